"""The gateway over real HTTP, in front of services that answer what a test tells them to."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import httpx
import uvicorn
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from holdfast.booking.v1 import booking_pb2, saga_pb2
from holdfast.inventory.v1 import inventory_pb2
from holdfast.payment.v1 import payment_pb2

from chassis.errors import DomainError
from chassis.status import to_status
from gateway import wiring
from gateway.config import GatewaySettings
from gateway.connection import Connection

CONTRACTS = [
    booking_pb2.DESCRIPTOR.services_by_name["BookingService"],
    saga_pb2.DESCRIPTOR.services_by_name["SagaService"],
    payment_pb2.DESCRIPTOR.services_by_name["PaymentService"],
    inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"],
]
WAIT_S = 20.0


@dataclass
class Seen:
    """A call that came."""

    method: str
    request: Message
    metadata: dict[str, str]
    # Seconds that its caller will wait.
    timeout_s: float
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    # Whether a stream has ended, in whatever way.
    ended: bool = False


class Services:
    """All methods of all services: each gives the next answer that it was told to give.

    An answer is a message, an error to refuse with, a status code, or a function of the call's
    context and of what was seen; of a stream, a list of them.
    """

    def __init__(self) -> None:
        self.answers: deque[Any] = deque()
        self.seen: list[Seen] = []
        self.health = health.aio.HealthServicer()
        # Where they are, once started.
        self.target = ""

    async def last(self) -> Seen:
        """The last call; waits for the first."""
        await until(lambda: bool(self.seen))
        return self.seen[-1]

    async def start(self) -> grpc.aio.Server:
        server = grpc.aio.server()
        for contract in CONTRACTS:
            handlers = {method.name: self._handler(method) for method in contract.methods}
            generic = grpc.method_handlers_generic_handler(contract.full_name, handlers)
            server.add_generic_rpc_handlers((generic,))
            await self.health.set(contract.full_name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        port = server.add_insecure_port("127.0.0.1:0")
        self.target = f"127.0.0.1:{port}"
        await server.start()
        return server

    def _handler(self, method: Any) -> Any:
        request = method.input_type._concrete_class.FromString

        async def once(message: Message, context: Any) -> Message:
            seen = self._see(method.name, message, context)
            return await self._told(self.answers.popleft(), context, seen)

        async def stream(message: Message, context: Any) -> AsyncIterator[Message]:
            seen = self._see(method.name, message, context)
            try:
                for answer in self.answers.popleft():
                    yield await self._told(answer, context, seen)
            finally:
                seen.ended = True

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, request, _bytes)
        return grpc.unary_unary_rpc_method_handler(once, request, _bytes)

    def _see(self, method: str, message: Message, context: Any) -> Seen:
        metadata = {str(name): value for name, value in context.invocation_metadata()}
        seen = Seen(method, message, metadata, context.time_remaining())
        self.seen.append(seen)
        return seen

    async def _told(self, answer: Any, context: Any, seen: Seen) -> Message:
        if callable(answer):
            try:
                answer = await answer(context, seen)
            except asyncio.CancelledError:
                seen.cancelled.set()
                raise
        if isinstance(answer, DomainError):
            await context.abort_with_status(rpc_status.to_status(to_status(answer)))
        if isinstance(answer, grpc.StatusCode):
            await context.abort(answer, "password of the database is swordfish")
        assert isinstance(answer, Message)
        return answer


@dataclass
class Gateway:
    """The gateway as a client sees it, with what lies behind it."""

    http: httpx.AsyncClient
    services: Services
    stopping: asyncio.Event

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=_named(headers))

    async def post(self, path: str, body: str = "{}", **headers: str) -> httpx.Response:
        kind = {"content-type": "application/json"}
        return await self.http.post(path, content=body, headers=kind | _named(headers))

    @asynccontextmanager
    async def connected(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection of one's own, for what no client sends."""
        url = self.http.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def gateway(**settings: Any) -> AsyncIterator[Gateway]:
    """Serve the gateway; settings by their names in `GatewaySettings`."""
    services, stopping = Services(), asyncio.Event()
    backend = await services.start()
    names = ("booking_target", "payment_target", "inventory_target")
    targets = dict.fromkeys(names, services.target)
    # To describe all methods takes a while, and is of no use to most tests.
    told = GatewaySettings(**{"docs": False, **targets, **settings})
    async with wiring.opened(told, stopping) as app:
        config = uvicorn.Config(
            app, port=0, http=Connection, lifespan="off", log_config=None, server_header=False
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        await until(lambda: server.started)
        address = server.servers[0].sockets[0].getsockname()
        url = f"http://127.0.0.1:{address[1]}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=WAIT_S, trust_env=False) as http:
                yield Gateway(http, services, stopping)
        finally:
            server.should_exit = True
            await serving
            await backend.stop(0)


async def until(met: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    async with asyncio.timeout(WAIT_S):
        while not met():  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0.005)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
