"""The one way to start a gRPC server, and to stop it in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chassis import interceptors
from chassis.access import Access
from chassis.health import Health
from chassis.interceptors.admission import AdmissionInterceptor, Limits
from chassis.interceptors.auth import AuthInterceptor
from chassis.tasks import Tasks
from chassis.tls import PLAIN, Tls
from chassis.tokens import Verifier
from chassis.worker import Worker

log = structlog.get_logger(__name__)

# An event of 100,000 seats with long names is about 6 MB; gRPC's default is 4.
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
# Clients may ping this often without being told to calm down.
PING_INTERVAL_MIN_MS = 10_000
# A caller that does not answer pings is gone, and its streams end.
KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
# From a connection to its first frame.
GREETING_TIMEOUT_MS = 10_000
# Of one connection, beyond what is served at once: what is refused is refused in our words.
STREAMS_SPARE = 100
STOP_MARGIN_S = 5.0
# How long the last answers may be on their way after the last call was served.
LAST_ANSWERS_S = 1.0
# In which those who watch our health hear that it is over, and call others.
LEAVING_S = 0.3
LIMITS = Limits()


@dataclass(frozen=True)
class Hosted:
    """A service, with all that a server needs to know to host it. Made by its `wiring`."""

    name: str
    register: Callable[[grpc.aio.Server], None]
    # Who may call which of its methods.
    access: Access
    # Raises when the service cannot work.
    ready: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    tasks: Tasks = field(default_factory=Tasks)
    workers: Sequence[Worker] = ()
    # Further services that `register` adds, by their names.
    others: Sequence[str] = ()
    # Set first of all in a stop: who only waits need not wait any longer.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def names(self) -> tuple[str, ...]:
        """All its services."""
        return (self.name, *self.others)


@dataclass(frozen=True)
class _Started:
    server: grpc.aio.Server
    admission: AdmissionInterceptor
    health: Health
    background: Sequence[asyncio.Task[Any]]


class AddressTaken(Exception):
    """The server cannot listen where it was told to; the text says what to do."""


@asynccontextmanager
async def running(  # noqa: PLR0913 - a service, and all that a program is told of serving it
    hosted: Hosted,
    listen: str,
    verifier: Verifier,
    grace_s: float,
    limits: Limits = LIMITS,
    *,
    tls: Tls = PLAIN,
) -> AsyncIterator[int]:
    """Serve until the block ends, then stop in order. Gives the port.

    Stopping: NOT_SERVING, a moment for who watches that, no new calls, end the streams, wait for
    running calls and their work for `grace_s` seconds at most, then close the pools.

    Raises:
        AddressTaken: something else listens there.
    """
    health = Health(hosted.names, hosted.ready)
    admission = AdmissionInterceptor(limits)
    auth = AuthInterceptor(verifier, hosted.access, tls.identities)
    server = _build(hosted, health, admission, auth, limits)
    try:
        port = _bind(server, listen, tls.server_credentials())
    except AddressTaken:
        await hosted.close()
        raise
    await health.check()
    await server.start()
    background = [asyncio.create_task(worker.run(), name=worker.name) for worker in hosted.workers]
    background.append(asyncio.create_task(health.run(), name="health"))
    log.info("listening", address=listen, port=port)
    try:
        yield port
    finally:
        await _stop(hosted, _Started(server, admission, health, background), grace_s)


def _build(
    hosted: Hosted,
    health: Health,
    admission: AdmissionInterceptor,
    auth: AuthInterceptor,
    limits: Limits,
) -> grpc.aio.Server:
    server = grpc.aio.server(
        interceptors=interceptors.standard(
            admission, auth, hosted.stopping, hosted.access.open_methods
        ),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_INTERVAL_MIN_MS),
            ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            # Who connects and says nothing, or nothing of TLS, is left after that.
            ("grpc.server_handshake_timeout_ms", GREETING_TIMEOUT_MS),
            # gRPC cancels calls of all connections when too many of one wait to be looked at, and
            # those that their caller gives up at once wait, too ("rapid reset").
            (
                "grpc.max_concurrent_streams",
                limits.calls_max + limits.streams_max + STREAMS_SPARE,
            ),
            # Two processes on one port would share its calls by chance.
            ("grpc.so_reuseport", 0),
        ],
    )
    hosted.register(server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    names = (*hosted.names, "grpc.health.v1.Health", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, credentials)
    except RuntimeError:
        message = f"cannot listen on {listen}: taken, or not an address of this machine"
        if credentials is not None:
            message += ", or gRPC does not take the kind of key of TLS_CERT_FILE, as it says above"
        raise AddressTaken(message) from None


async def _stop(hosted: Hosted, started: _Started, grace_s: float) -> None:
    log.info("stopping")
    hosted.stopping.set()
    ends_at = asyncio.get_running_loop().time() + grace_s
    started.health.shut_down()
    if started.health.is_watched:
        # gRPC ends calls that come in from now on with CANCELLED, which nobody may repeat.
        await asyncio.sleep(LEAVING_S)
    with suppress(TimeoutError):
        # It ends the calls that are left after the grace by itself; this is for when it does not.
        async with asyncio.timeout(grace_s + STOP_MARGIN_S):
            await _end_calls(started, grace_s)
    await hosted.tasks.drain(max(0.0, ends_at - asyncio.get_running_loop().time()))
    for task in started.background:
        task.cancel()
    await asyncio.gather(*started.background, return_exceptions=True)
    await hosted.close()
    log.info("stopped")


async def _end_calls(started: _Started, grace_s: float) -> None:
    """Wait for the calls, but not for a caller who reads nothing, or watches the health."""
    ending = asyncio.create_task(started.server.stop(grace_s))
    try:
        # Those that had just come in get as far as the admission.
        await asyncio.wait({ending}, timeout=LAST_ANSWERS_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await started.admission.empty()
        await asyncio.wait({ending}, timeout=LAST_ANSWERS_S)
        await started.server.stop(None)
    finally:
        ending.cancel()
