"""Settings of transport security, from the environment, with the prefix `TLS_`: docs/tls.md."""

import ipaddress
import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis import tls_files
from chassis.settings import SettingsError

# A service's name becomes a user's id, which is no longer than 128, with a word before it.
SERVICE_NAME_LENGTH_MAX = 120


def _certificate_file(value: str) -> str:
    if value:
        tls_files.certificate(value)
    return value


def _key_file(value: str, info: ValidationInfo) -> str:
    """Both or neither; a `…key_file` stands right after its `…cert_file`."""
    certificate = info.data.get(str(info.field_name).replace("key", "cert"))
    # None: what is wrong with the certificate is told already.
    if certificate is not None and bool(certificate) is not bool(value):
        message = "a certificate and its key are set together, or neither of them"
        raise ValueError(message)
    if value:
        tls_files.key_of(value, tls_files.certificate(certificate) if certificate else b"")
    return value


def _ca_file(value: str) -> str:
    if value:
        tls_files.authorities(value)
    return value


def _services(value: str, info: ValidationInfo) -> str:
    try:
        read = json.loads(value or "{}")
    except ValueError:
        read = None
    if not isinstance(read, dict) or not all(isinstance(one, str) for one in read.values()):
        message = 'must be JSON, such as {"booking_svc": "inventory payments"}'
        raise ValueError(message)
    for name in read:
        if not 1 <= len(name) <= SERVICE_NAME_LENGTH_MAX or not name.isprintable() or " " in name:
            message = f"{name!r} is no name of a certificate"
            raise ValueError(message)
    # What is not there is wrong, which is told already.
    if read and (info.data.get("ca_file") == "" or info.data.get("clients") == "none"):
        message = (
            "a name is believed only if TLS_CA_FILE vouches for it, and TLS_CLIENTS is required"
        )
        raise ValueError(message)
    return value


CertificateFile = Annotated[str, AfterValidator(_certificate_file)]
KeyFile = Annotated[str, AfterValidator(_key_file)]


class TlsSettings(BaseSettings):
    """Whom a program shows itself as, and whom it believes; the same for all programs."""

    model_config = SettingsConfigDict(env_prefix="TLS_")

    cert_file: CertificateFile = Field(
        default="",
        description="PEM file of the certificate that this program shows, to callers and when it"
        " calls; with it, its gRPC listener and its metrics speak TLS only",
    )
    key_file: KeyFile = Field(
        default="", validate_default=True, description="PEM file of the key of that certificate"
    )
    ca_file: Annotated[str, AfterValidator(_ca_file)] = Field(
        default="",
        description="PEM file of the authorities that are believed, of callers and of who is"
        " called; empty: callers are asked for no certificate, and of who is called the public"
        " authorities are believed",
    )
    clients: Literal["required", "none"] = Field(
        default="required",
        description="what callers must show where TLS_CA_FILE is set: required (a certificate), or"
        " none",
    )
    services: Annotated[str, AfterValidator(_services)] = Field(
        default="",
        description="names of certificates and the scopes of who shows them, as JSON: a call"
        ' without a token is that service, as in {"booking_svc": "inventory payments"}',
    )
    plaintext_beyond_loopback: bool = Field(
        default=False,
        description="whether what has no TLS may be reached from other machines: on a network"
        " that you trust, or behind something that speaks TLS",
    )

    @property
    def scopes(self) -> dict[str, frozenset[str]]:
        """The services by the names of their certificates, and their scopes."""
        read: dict[str, str] = json.loads(self.services or "{}")
        return {name: frozenset(scopes.split()) for name, scopes in read.items()}

    @property
    def is_service(self) -> bool:
        """Whether this program's own certificate is that of a service."""
        if not self.cert_file:
            return False
        names = tls_files.names_in(tls_files.certificate(self.cert_file))
        return not self.scopes.keys().isdisjoint(names)


def require_listener(tls: TlsSettings) -> None:
    """Refuse a gRPC listener that would ask nobody for the certificate that it is to ask for.

    Raises:
        SettingsError: says what to set.
    """
    if tls.ca_file and not tls.cert_file and tls.clients == "required":
        message = (
            "TLS_CERT_FILE: not set, and TLS_CA_FILE is: callers cannot be asked for a certificate"
            " without TLS. Set it and TLS_KEY_FILE, or TLS_CLIENTS=none"
        )
        raise SettingsError(message)


def require_private(tls: TlsSettings, plain: Mapping[str, str], certificate: str) -> None:
    """Refuse to be reached from elsewhere without TLS: addresses by variable, and what gives it.

    Raises:
        SettingsError: names them, and what to do.
    """
    if tls.plaintext_beyond_loopback:
        return
    mistakes = [
        f"{variable}: can be reached from other machines, and what passes has no TLS. Set"
        f" {certificate}, or an address such as 127.0.0.1; or, on a network that you trust,"
        f" TLS_PLAINTEXT_BEYOND_LOOPBACK=true (it is {address!r})"
        for variable, address in plain.items()
        if address and not is_loopback(address)
    ]
    if mistakes:
        raise SettingsError("\n".join(mistakes))


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Any other name may lead anywhere.
        return host == "localhost"
