"""Authorities and certificates of the tests, good and bad."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOUR = timedelta(hours=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
HERE = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Files:
    """Where a certificate is, its key, and the authority that vouches for it."""

    certificate: Path
    key: Path
    ca: Path

    @property
    def settings(self) -> dict[str, str]:
        """For `TlsSettings`."""
        return {
            "cert_file": str(self.certificate),
            "key_file": str(self.key),
            "ca_file": str(self.ca),
        }

    @property
    def variables(self) -> dict[str, str]:
        """For the environment of a program."""
        return {f"TLS_{name.upper()}": value for name, value in self.settings.items()}

    def become(self, other: "Files") -> None:
        """Hold what the others hold, each file put into its place at once."""
        for mine, theirs in ((self.certificate, other.certificate), (self.key, other.key)):
            beside = mine.with_suffix(".new")
            beside.write_bytes(theirs.read_bytes())
            beside.replace(mine)


class Authority:
    """Vouches for whom a test says."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        """Keep everything in this folder."""
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        builder = _builder(self._name, self._key, HOUR).issuer_name(self._name)
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)  # noqa: FBT003
        self.file.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def files(  # noqa: PLR0913 - what can be wrong with one
        self,
        name: str,
        *,
        hosts: Sequence[str] = HERE,
        uri: str = "",
        lasts: timedelta = HOUR,
        called: str = "",
        key: Key | None = None,
    ) -> Files:
        """A certificate for a name and these hosts; over already if it lasts less than nothing."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [_host(one) for one in (name, *hosts)]
        if uri:
            names = [*names[1:], x509.UniformResourceIdentifier(uri)]
        builder = _builder(subject, key, lasts).issuer_name(self._name)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        stem = called or name
        files = Files(self._folder / f"{stem}.pem", self._folder / f"{stem}.key", self.file)
        files.certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files


def _builder(subject: x509.Name, key: Key, lasts: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 24 * HOUR)
        .not_valid_after(now + lasts)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
