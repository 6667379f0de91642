"""`holdfast certs`: an authority for development, and a certificate for each program."""

import contextlib
import ipaddress
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chassis import tls_files
from chassis.tls_files import Unusable
from cli.failure import Failure
from cli.programs import BOOKING, GATEWAY, PROGRAMS
from cli.screen import out

FOLDER = Path("var/tls")
CA = "ca"
COMMAND = "holdfast"
NAMES = (*(program.name for program in PROGRAMS), COMMAND)
# On this machine a program is called by other names than its own.
HERE = ("localhost", "127.0.0.1", "::1")
SERVICES = {BOOKING.name: "inventory payments"}
CA_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=397)
# The clocks of others may be late.
CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True)
class Signed:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def certs(
    folder: Annotated[Path, typer.Option(help="Where they are put.", metavar="PATH")] = FOLDER,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            help="A name to make a certificate for; may be given again. Without it: all programs.",
            metavar="NAME",
        ),
    ] = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Replace certificates that are there.")
    ] = False,
) -> None:
    """Make an authority for development, and certificates that it vouches for.

    Each NAME gets NAME.pem and NAME.key, for the hosts NAME (with - for _, too), localhost and
    loopback. An authority that is in the folder is used, ca.pem and ca.key. Programs that run take
    what is replaced within a second. Whoever has ca.key can be any of them.
    """
    wanted = names or list(NAMES)
    there = [name for name in wanted if any(path.exists() for path in pair(folder, name))]
    if there and not force:
        message = f"{folder} has certificates of {', '.join(there)}: --force replaces them"
        raise Failure(message)
    made = make(folder, wanted)
    told = f"made {', '.join(made)} in {folder}; whoever believes ca.pem believes them"
    out.print(told, soft_wrap=True)


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    """Where a certificate is, and its key."""
    return folder / f"{name}.pem", folder / f"{name}.key"


def make(folder: Path, names: Sequence[str]) -> list[str]:
    """Make certificates with the authority of a folder, which is made if need be; what was made.

    Raises:
        Failure: a name is none, there is half an authority, or the folder cannot be written.
    """
    for name in names:
        if not name or set(name) & set("/\0 ") or name in (CA, ".", "..") or not name.isascii():
            message = f"{name!r} is no name for a certificate"
            raise Failure(message)
    authority, is_new = _authority(folder)
    pairs = {name: _certificate(name, authority) for name in names}
    if is_new:
        pairs = {CA: authority, **pairs}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(folder, pairs)
    except OSError as error:
        message = f"{folder} cannot be written: {(error.strerror or str(error)).lower()}"
        raise Failure(message) from None
    return list(pairs)


def make_missing(folder: Path = FOLDER) -> list[str]:
    """Make what is not there, or of no more use; what was made.

    Raises:
        Failure: there is half an authority.
    """
    missing = [name for name in NAMES if not _is_good(folder, name)]
    return make(folder, missing) if missing else []


def settings(folder: Path, name: str) -> dict[str, str]:
    """Settings with which a program shows its certificate, and believes the authority's."""
    certificate, key = (str(path.absolute()) for path in pair(folder, name))
    told = {
        "TLS_CERT_FILE": certificate,
        "TLS_KEY_FILE": key,
        "TLS_CA_FILE": str(pair(folder, CA)[0].absolute()),
        "TLS_SERVICES": json.dumps(SERVICES),
    }
    if name == GATEWAY.name:
        told |= {"GATEWAY_TLS_CERT_FILE": certificate, "GATEWAY_TLS_KEY_FILE": key}
        # Browsers would keep it, for all that is on this machine.
        told |= {"GATEWAY_HSTS_S": "0"}
    return told


def _is_good(folder: Path, name: str) -> bool:
    certificate, key = pair(folder, name)
    try:
        tls_files.key_of(str(key), tls_files.certificate(str(certificate)))
        shown = x509.load_pem_x509_certificate(certificate.read_bytes())
        ca = x509.load_pem_x509_certificate(pair(folder, CA)[0].read_bytes())
        shown.verify_directly_issued_by(ca)
    except (Unusable, OSError, ValueError, TypeError):
        return False
    except Exception:  # noqa: BLE001 - a signature of another authority is an exception of none
        return False
    return True


def _authority(folder: Path) -> tuple[Signed, bool]:
    """That of the folder, or a new one; and whether it is new."""
    certificate, key = pair(folder, CA)
    if not certificate.exists() and not key.exists():
        return _new_authority(), True
    try:
        pem = tls_files.certificate(str(certificate))
        tls_files.key_of(str(key), pem)
        found = load_pem_private_key(key.read_bytes(), None)
    except Unusable as error:
        message = f"the authority in {folder} is of no use, ca.pem or ca.key {error}: delete both"
        raise Failure(message) from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        message = f"the authority in {folder} was not made by this command: make your own with it"
        raise Failure(message)
    return Signed(x509.load_pem_x509_certificate(pem), found), False


def _new_authority() -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("Holdfast development")
    builder = (
        _builder(key, CA_LIFETIME)
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Signed(builder.sign(key, hashes.SHA256()), key)


def _certificate(name: str, authority: Signed) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    hosts = list(dict.fromkeys((name, name.replace("_", "-"), *HERE)))
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(key, LIFETIME)
        .subject_name(_named(name))
        .issuer_name(authority.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName([_host(one) for one in hosts]), critical=False)
        .add_extension(issued_by, critical=False)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
    )
    return Signed(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(key: ec.EllipticCurvePrivateKey, lifetime: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, pairs: dict[str, Signed]) -> None:
    """Write all beside what is there, then put all in its place: a full disk changes nothing."""
    with _written(folder, pairs) as moves:
        for source, target in moves:
            source.replace(target)


@contextlib.contextmanager
def _written(folder: Path, pairs: dict[str, Signed]) -> Iterator[list[tuple[Path, Path]]]:
    moves: list[tuple[Path, Path]] = []
    try:
        for name, signed in pairs.items():
            certificate, key = pair(folder, name)
            plain = signed.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            shown = signed.certificate.public_bytes(Encoding.PEM)
            for target, mode, text in ((key, 0o600, plain), (certificate, 0o644, shown)):
                source = target.with_name(f".{target.name}.{os.getpid()}")
                moves.append((source, target))
                descriptor = os.open(source, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(text)
        yield moves
    finally:
        for source, _ in moves:
            source.unlink(missing_ok=True)
