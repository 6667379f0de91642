"""What `python -m gateway` does: serve until SIGTERM or SIGINT."""

import argparse
import asyncio
import math
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import structlog
import uvicorn
import uvloop

from chassis import logs, metrics, probe, tracing
from chassis.settings import SettingsError, describe, load, load_together
from chassis.tls import Tls
from chassis.tls_files import TlsFiles, Unusable, server_context
from chassis.tls_settings import TlsSettings, require_private
from gateway import wiring
from gateway.config import GatewaySettings
from gateway.connection import Connection
from gateway.descriptors import ContractError
from gateway.pages import PagesError
from gateway.router import RouteConflict
from gateway.rules import RuleError

log = structlog.get_logger(__name__)

NAME = "gateway"
EXIT_FAILURE = 1
EXIT_USAGE = 2
# Of connections that are open and silent.
KEEP_ALIVE_S = 30
BACKLOG = 1024
# As long as the headers of a request may take: see `gateway.connection`.
HANDSHAKE_TIMEOUT_S = 10.0
# Who does not answer when a connection is closed: a stop in order waits for that.
FAREWELL_TIMEOUT_S = 2.0
# What can be wrong with what it is given to serve, or with where.
MISTAKES = (ContractError, RuleError, RouteConflict, PagesError, metrics.MetricsAddressTaken)
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Loop(uvloop.Loop):
    """Bounds what a caller may take for beginning TLS and ending it; uvicorn leaves that open."""

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:
        """Listen, as the other loops do."""
        if kwargs.get("ssl") is not None:
            kwargs |= {
                "ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S,
                "ssl_shutdown_timeout": FAREWELL_TIMEOUT_S,
            }
        return await super().create_server(*args, **kwargs)


class _Server(uvicorn.Server):
    """Tells when it is told to stop, so that streams end: they would not by themselves."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order at the first signal; the second ends the process at once.

        A stop in order ends with exit code 0: the server's own way is to die of the signal.
        """
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        self._stopping.set()
        self.should_exit = True


def main() -> int:
    """Run the gateway; the exit code is 0, 1 for a failure, 2 for wrong settings or arguments."""
    if _parser().parse_args().command == "health":
        return probe.of_gateway(NAME, GatewaySettings.model_fields["listen"].default)
    try:
        settings, tls, *_ = load_together(
            lambda: load(GatewaySettings),
            lambda: Tls(load(TlsSettings)),
            lambda: _check_listeners(load(GatewaySettings), load(TlsSettings)),
        )
        logs.configure(NAME, settings.log_level)
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(_serve(settings, tls))
    except SettingsError as error:
        mistakes = "\n".join(f"  {line}" for line in str(error).splitlines())
        sys.stderr.write(f"{NAME}: the settings are not right:\n{mistakes}\n")
        return EXIT_USAGE
    except (*MISTAKES, OSError) as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        return EXIT_FAILURE
    return 0


def _check_listeners(settings: GatewaySettings, tls: TlsSettings) -> None:
    if tls.is_service:
        message = (
            "TLS_SERVICES: names the gateway's own certificate, and whoever sends no token would"
            " be that service"
        )
        raise SettingsError(message)
    if settings.tls_cert_file:
        return
    plain = {"GATEWAY_LISTEN": settings.listen}
    if not tls.cert_file:
        plain["GATEWAY_METRICS_LISTEN"] = settings.metrics_listen
    require_private(tls, plain, "GATEWAY_TLS_CERT_FILE and GATEWAY_TLS_KEY_FILE")


def _https(settings: GatewaySettings) -> ssl.SSLContext | None:
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if not certificate:
        return None
    try:
        files = TlsFiles(certificate, key)
        metrics.watch_certificate("GATEWAY_TLS_CERT_FILE", files.ends_at)
        return server_context(files, certificate, key)
    except Unusable as error:
        message = f"GATEWAY_TLS_CERT_FILE: {error}"
        raise SettingsError(message) from None


async def _serve(settings: GatewaySettings, tls: Tls) -> None:
    stopping = asyncio.Event()
    https = _https(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, tracing.configure(NAME))
        with _listening(settings.listen) as listener:
            # Inside, as the services do; else as outside.
            tls.watch()
            inside = tls.server_context() or https
            await stack.enter_async_context(metrics.served(NAME, settings.metrics_listen, inside))
            app = await stack.enter_async_context(wiring.opened(settings, stopping, tls))
            config = uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
                ssl_context_factory=(lambda *_: https) if https else None,
            )
            log.info("listening", address=settings.listen, port=listener.getsockname()[1])
            await _Server(config, stopping).serve([listener])
    log.info("stopped")


def _listening(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    except OSError as error:
        listener.close()
        message = f"cannot listen on {address}: {(error.strerror or str(error)).lower()}"
        raise OSError(message) from None
    return listener


def _parser() -> argparse.ArgumentParser:
    settings = [*describe(GatewaySettings), *describe(TlsSettings)]
    lines = [f"  {name} = {default}\n      {meaning}" for name, default, meaning in settings]
    parser = argparse.ArgumentParser(
        prog=f"python -m {NAME}",
        description="Holdfast's gateway: REST and JSON for gRPC services, from their contracts.",
        epilog="settings, from the environment, with their defaults:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "health"),
        default="serve",
        help="serve (the default), or ask the one that runs on this machine whether it is ready,"
        " where GATEWAY_LISTEN says",
    )
    return parser
