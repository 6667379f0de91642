"""Transport security of a program: what it listens with, what it calls with, whom it knows."""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc

from chassis import metrics
from chassis.context import Caller
from chassis.settings import SettingsError
from chassis.tls_files import Material, TlsFiles, Unusable, server_context
from chassis.tls_settings import TlsSettings

# What gRPC calls the names in a certificate that was checked, those of hosts and of services.
NAMES = ("peer_dns", "peer_uri")
# Before the name of a service that is known by its certificate, where a user's id stands.
SERVICE = "service:"


class Identities:
    """Services that are known by their certificates."""

    def __init__(self, scopes: Mapping[str, frozenset[str]]) -> None:
        """Know these names, with their scopes."""
        self._scopes = scopes

    def caller(self, connection: Mapping[str, Iterable[bytes]]) -> Caller | None:
        """Who calls over a connection, from what gRPC knows of it; none if it is no service.

        Of several names in one certificate the first of TLS_SERVICES counts.
        """
        if not self._scopes:
            return None
        names = {one.decode(errors="replace") for kind in NAMES for one in connection.get(kind, ())}
        for name, scopes in self._scopes.items():
            if name in names:
                return Caller(f"{SERVICE}{name}", scopes)
        return None

    def has(self, user_id: str) -> bool:
        """Whether this is how a service is called that is known by its certificate."""
        return user_id.startswith(SERVICE) and user_id.removeprefix(SERVICE) in self._scopes


class Tls:
    """What the settings come to. The files are read when it is made, and followed from then on."""

    def __init__(self, settings: TlsSettings) -> None:
        """Read the files.

        Raises:
            SettingsError: one cannot be used any more; when the settings were read it could.
        """
        self.settings = settings
        self.identities = Identities(settings.scopes)
        try:
            self._files = TlsFiles(settings.cert_file, settings.key_file, settings.ca_file)
        except Unusable as error:
            message = f"TLS_CERT_FILE, TLS_KEY_FILE, TLS_CA_FILE: one of these {error}"
            raise SettingsError(message) from None

    @property
    def files(self) -> TlsFiles | None:
        """What calls are made with; none: in plaintext."""
        return self._files if self.settings.cert_file or self.settings.ca_file else None

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """What a gRPC listener speaks TLS with; none: plaintext.

        gRPC asks anew before each handshake, so a certificate is replaced without a restart.
        """
        if not self.settings.cert_file:
            return None
        asks = bool(self.settings.ca_file) and self.settings.clients == "required"
        known = self._files.current()

        def renewed() -> Any:
            nonlocal known
            current = self._files.current()
            if current is known:
                return None
            known = current
            return _configuration(current, asks=asks)

        first = _configuration(known, asks=asks)
        return grpc.dynamic_ssl_server_credentials(
            first, renewed, require_client_authentication=asks
        )

    def server_context(self) -> ssl.SSLContext | None:
        """What a server that is not gRPC's speaks TLS with; none: plaintext.

        Raises:
            SettingsError: the files cannot be used for that.
        """
        if not self.settings.cert_file:
            return None
        try:
            return server_context(self._files, self.settings.cert_file, self.settings.key_file)
        except Unusable as error:
            message = f"TLS_CERT_FILE: {error}"
            raise SettingsError(message) from None

    def watch(self) -> None:
        """Let the metrics say when the certificate is over."""
        if self.settings.cert_file:
            metrics.watch_certificate("TLS_CERT_FILE", self._files.ends_at)


# What has no TLS: loopback in tests, and programs that are told of none.
PLAIN = Tls(TlsSettings.model_construct())


def channel_credentials(material: Material) -> grpc.ChannelCredentials:
    """What a channel speaks TLS with: public authorities are believed if none is given."""
    return grpc.ssl_channel_credentials(
        root_certificates=material.ca or None,
        private_key=material.key or None,
        certificate_chain=material.certificate or None,
    )


def open_blocking(
    target: str, options: Sequence[tuple[str, object]], files: TlsFiles | None
) -> grpc.Channel:
    """A channel for a few calls, that waits for its answers; without files, in plaintext."""
    if files is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, channel_credentials(files.current()), options=options)


def _configuration(material: Material, *, asks: bool) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.certificate)],
        root_certificates=material.ca if asks else None,
    )
