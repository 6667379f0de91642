"""Certificates and keys in PEM files: read, checked, and read again when they change."""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

log = structlog.get_logger(__name__)

# Between two looks at whether a file has changed.
LOOK_EVERY_S = 1.0


class Unusable(ValueError):
    """A file cannot be used; the text says why."""


@dataclass(frozen=True)
class Material:
    """What the files hold, as PEM. Empty: there is no such file."""

    certificate: bytes = b""
    key: bytes = b""
    ca: bytes = b""


def certificate(path: str) -> bytes:
    """A certificate, and those that vouch for it after it.

    Raises:
        Unusable: it cannot be read, is none, or its time is not now.
    """
    pem = _read(path)
    _require_now(_certificates(pem)[0])
    return pem


def key_of(path: str, pem: bytes) -> bytes:
    """The private key of a certificate.

    Raises:
        Unusable: it cannot be read, is none, or is that of another certificate.
    """
    text = _read(path)
    try:
        key = load_pem_private_key(text, None)
    except TypeError:
        message = "must be a key that is not encrypted: nobody could type its password"
        raise Unusable(message) from None
    except ValueError:
        message = "holds no private key in PEM"
        raise Unusable(message) from None
    except UnsupportedAlgorithm:
        message = "holds a key of a kind that is not known here: make one of P-256 or RSA"
        raise Unusable(message) from None
    if pem and key.public_key() != _certificates(pem)[0].public_key():
        message = "does not fit the certificate: it is the key of another one"
        raise Unusable(message)
    return text


def authorities(path: str) -> bytes:
    """The certificates of those who vouch for others.

    Raises:
        Unusable: it cannot be read, or holds none whose time is not over.
    """
    pem = _read(path)
    found = _certificates(pem)
    if all(one.not_valid_after_utc <= datetime.now(UTC) for one in found):
        _require_now(found[0])
    return pem


def names_in(pem: bytes) -> tuple[str, ...]:
    """The names that a certificate is for: of hosts (DNS) first, then of services (URI)."""
    try:
        extension = _certificates(pem)[0].extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return ()
    names = extension.value
    hosts = names.get_values_for_type(x509.DNSName)
    return (*hosts, *names.get_values_for_type(x509.UniformResourceIdentifier))


class TlsFiles:
    """A certificate, its key and the authorities, as the files hold them now.

    A change that leaves nothing usable, a pair half replaced for one, keeps what was read last.
    """

    def __init__(self, certificate_file: str = "", key_file: str = "", ca_file: str = "") -> None:
        """Read the files; an empty name is no file.

        Raises:
            Unusable: as it says.
        """
        self._certificate, self._key, self._ca = certificate_file, key_file, ca_file
        self._paths = [Path(one) for one in (certificate_file, key_file, ca_file) if one]
        # gRPC asks in threads of its own.
        self._lock = threading.Lock()
        self._seen = self._states()
        self._material = self._read()
        self._look_at_s = time.monotonic() + LOOK_EVERY_S
        self._told = ""

    def ends_at(self) -> float:
        """When the certificate is over, in seconds since 1970."""
        return _certificates(self.current().certificate)[0].not_valid_after_utc.timestamp()

    def current(self) -> Material:
        """What they hold; the same object until that changes."""
        if time.monotonic() < self._look_at_s:
            return self._material
        with self._lock:
            self._look_at_s = time.monotonic() + LOOK_EVERY_S
            states = self._states()
            if states != self._seen:
                self._renew(states)
            return self._material

    def _renew(self, states: list[tuple[int, ...]]) -> None:
        try:
            read = self._read()
        except Unusable as error:
            # It is tried again at every look, and told once.
            if self._told != str(error):
                self._told = str(error)
                log.warning("tls_files_unusable", cause=self._told, kept="what was read before")
            return
        self._seen, self._told = states, ""
        if read != self._material:
            self._material = read
            log.info("tls_files_read", files=[str(path) for path in self._paths])

    def _read(self) -> Material:
        pem = certificate(self._certificate) if self._certificate else b""
        key = key_of(self._key, pem) if self._key else b""
        return Material(pem, key, authorities(self._ca) if self._ca else b"")

    def _states(self) -> list[tuple[int, ...]]:
        """What is different when a file was written, replaced, or linked to another."""
        return [_state(path) for path in self._paths]


def server_context(files: TlsFiles, certificate_file: str, key_file: str) -> ssl.SSLContext:
    """For servers that speak TLS by Python's `ssl`: each handshake takes what the files hold then.

    It asks the other side for no certificate.

    Raises:
        Unusable: OpenSSL does not take them: too short a key, for one.
    """
    make: Callable[[], ssl.SSLContext] = lambda: _server_context(certificate_file, key_file)  # noqa: E731
    try:
        first, known = make(), files.current()
    except (OSError, ssl.SSLError) as error:
        message = f"{certificate_file} and {key_file} cannot be used: {error}"
        raise Unusable(message) from None
    present = first

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal present, known
        material = files.current()
        if material is not known:
            try:
                present, known = make(), material
            except (OSError, ssl.SSLError):
                # Replaced once more, just now: the next handshake sees it whole.
                log.info("tls_files_changing")
        connection.context = present

    first.sni_callback = choose
    return first


def _server_context(certificate_file: str, key_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate_file, key_file)
    return context


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        message = f"cannot be read: {(error.strerror or str(error)).lower()}"
        raise Unusable(message) from None


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        message = "holds no certificate in PEM"
        raise Unusable(message) from None


def _require_now(one: x509.Certificate) -> None:
    now = datetime.now(UTC)
    if one.not_valid_after_utc <= now:
        message = f"holds a certificate that expired at {one.not_valid_after_utc:%Y-%m-%dT%H:%MZ}"
        raise Unusable(message)
    if one.not_valid_before_utc > now:
        begins = f"{one.not_valid_before_utc:%Y-%m-%dT%H:%MZ}"
        message = f"holds a certificate that is good from {begins} on, and not before"
        raise Unusable(message)
