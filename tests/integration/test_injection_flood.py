"""Texts that mean harm, in every field and every header, through all services and the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from prometheus_client import generate_latest
from support.bookings import Stack, on_sqlite
from support.databases import Databases
from support.gateway import WAIT_S, Gateway, gateway
from support.hostile import MARK, TEXTS
from support.methods import METHODS, path_of, request_of
from support.payments import log_lines
from support.telemetry import recorded
from support.tokens import metadata_for

pytestmark = on_sqlite

ADMIN = metadata_for("root", "admin bookings payments inventory")
TIMEOUT_S = 20.0
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
HEADERS = [
    *("x-request-id", "idempotency-key", "idempotency-wait", "user-agent", "traceparent"),
    *("tracestate", "webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature"),
    *("accept", "content-type", "origin", "last-event-id", "grpc-metadata-x", "grpc-timeout"),
    *("authorization", "x-forwarded-for", "forwarded", "cookie", "referer", "if-none-match"),
]
# What a line of the log may be about, and what it may say of it.
LINE_BYTES_MAX = 4096
Path = tuple[FieldDescriptor, ...]


def texts_in(message: Any, above: Path = ()) -> Iterator[Path]:
    """The way to each field of text, or of bytes, that a message may have."""
    for field in message.fields:
        if field.cpp_type == field.CPPTYPE_STRING:
            yield (*above, field)
        elif field.cpp_type == field.CPPTYPE_MESSAGE and field.message_type not in {
            one.message_type for one in above
        }:
            yield from texts_in(field.message_type, (*above, field))


FIELDS = [(method, path) for method in METHODS for path in texts_in(method.input_type)]


def with_text(method: MethodDescriptor, path: Path, text: str) -> bytes:
    """A good request, but for this text in one of its fields."""
    request = message = request_of(method)
    for field in path[:-1]:
        inner = getattr(message, field.name)
        message = (inner[0] if inner else inner.add()) if field.is_repeated else inner
    put(message, path[-1], text)
    return request.SerializeToString()


def put(message: Message, field: FieldDescriptor, text: str) -> None:
    value: Any = text.encode() if field.type == field.TYPE_BYTES else text
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


class Flooded:
    """The services, what they were asked, and how they answered."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._services = {
            "booking": stack.bookings[0], "payment": stack.payment, "inventory": stack.inventory,
        }  # fmt: skip
        self.calls = 0
        self.codes: set[grpc.StatusCode] = set()

    @property
    def targets(self) -> dict[str, str]:
        return {f"{name}_target": one.address for name, one in self._services.items()}

    async def ask(self, method: MethodDescriptor, request: bytes, *metadata: Any) -> None:
        package = method.containing_service.full_name.split(".")[1]
        # What is of no program's own package, each of them hosts.
        for name in {package} & self._services.keys() or self._services:
            await self._ask(await self._channel(name), method, request, *metadata)

    async def _ask(
        self, channel: grpc.aio.Channel, method: MethodDescriptor, request: bytes, *metadata: Any
    ) -> None:
        shape = channel.unary_stream if method.server_streaming else channel.unary_unary
        pairs = (*ADMIN, *metadata)
        call = shape(path_of(method))(request, metadata=pairs, timeout=TIMEOUT_S)
        self.calls += 1
        try:
            if method.server_streaming:
                async with asyncio.timeout(0.05):
                    await call.read()
            else:
                await call
        except grpc.aio.AioRpcError as error:
            self.codes.add(error.code())
        except TimeoutError:
            call.cancel()

    async def _channel(self, name: str) -> grpc.aio.Channel:
        if not hasattr(self, f"_{name}"):
            setattr(self, f"_{name}", await self._stack.channel(self._services[name]))
        channel: grpc.aio.Channel = getattr(self, f"_{name}")
        return channel


@asynccontextmanager
async def flooded(databases: Databases) -> AsyncIterator[Flooded]:
    """All services; nothing of the block may have harmed what they tell of themselves."""
    with log_lines() as written, recorded() as spans:
        stack = Stack()
        await stack.start(databases)
        try:
            services = Flooded(stack)
            yield services
        finally:
            await stack.stop()
        assert not services.codes & FAULTS
        logged, told = written.getvalue(), spans.text()
    for line in logged.splitlines():
        facts = json.loads(line)
        assert MARK not in json.dumps([*facts, facts["event"], facts["level"]])
        assert len(line) < LINE_BYTES_MAX
        assert facts["level"] not in {"error", "critical"}, line
    assert len(logged.splitlines()) == logged.count("\n")
    assert MARK not in generate_latest().decode()
    for line in told.splitlines():
        name, _, attributes, *_ = json.loads(line)
        assert MARK not in json.dumps([name, *attributes])


async def test_every_field(databases: Databases) -> None:
    """Whatever text is in whatever field, no call fails at it, and log, metrics and traces stay."""
    async with flooded(databases) as services:
        for method, path in FIELDS:
            for text in TEXTS.values():
                await services.ask(method, with_text(method, path, text))
    assert services.calls > 300
    assert grpc.StatusCode.INVALID_ARGUMENT in services.codes


async def test_metadata(databases: Databases) -> None:
    """Whatever is in the metadata of a call that services read, none fails at it."""
    names = ("x-request-id", "idempotency-key", "idempotency-wait", "traceparent", "tracestate")
    async with flooded(databases) as services:
        for method in METHODS:
            request = request_of(method).SerializeToString()
            for name in names:
                for kind in ("a statement", "a format", "a length"):
                    await services.ask(method, request, (name, TEXTS[kind]))


async def answered(served: Gateway, request: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and the body of the answer to bytes; none: the connection was ended."""
    async with served.connected() as (reader, writer):
        writer.write(request)
        async with asyncio.timeout(WAIT_S):
            whole = await reader.read()
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    return dict(one.lower().split(": ", 1) for one in lines), body


def harmless_answer(headers: dict[str, str], body: bytes) -> None:
    """No header is of the caller's making, and the body is JSON."""
    assert not {one for one in headers if MARK.lower() in one}
    assert MARK.lower() not in headers.get("x-request-id", "")
    assert all(value.isprintable() for value in headers.values())
    if headers.get("content-type") == "application/json":
        json.loads(body)


async def test_every_header(databases: Databases) -> None:
    """Whatever is in a header, no answer is split, and the log stays as it is."""
    async with flooded(databases) as services, gateway(**services.targets, rate_per_s=0) as served:
        for name in HEADERS:
            for text in TEXTS.values():
                # What does not end the header is sent as it is, and what does, too.
                for value in (text.encode(), text.replace("\r", " ").replace("\n", " ").encode()):
                    line = name.encode() + b": " + value
                    head = b"GET /api/bookings/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
                    harmless_answer(*await answered(served, head + line + b"\r\n\r\n"))


async def test_every_path(databases: Databases) -> None:
    """Whatever is in a path or a query, in escapes or not, the answer is JSON and the log stays."""
    places = ["/{}", "/api/payment/{}", "/api/bookings/{}/watch", "/api/bookings/me?pageToken={}"]
    places += ["/api/bookings/me?{}=1", "/api/payment?bookingReference={}", "/docs/{}"]
    async with flooded(databases) as services, gateway(**services.targets, rate_per_s=0) as served:
        for place in places:
            for text in TEXTS.values():
                for given in (quote(text, safe=""), quote(quote(text, safe=""), safe="")):
                    target = place.format(given).encode()
                    head = b"GET " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
                    harmless_answer(*await answered(served, head + b"\r\n"))
