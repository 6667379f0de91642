"""Streams over HTTP: a line of JSON for each message, or Server-Sent Events.

NDJSON: each line is a message; if the stream fails after it began, the last line is
`{"error": …}`, as the body of an error is.

Server-Sent Events (HTML, section 9.2): each message is an event, with its `cursor` as the id if it
has one; a comment now and then keeps the connection; a failure is an event of the type `error`. A
client that comes back with `Last-Event-ID` goes on after that.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress

import msgspec
from google.protobuf.message import Message

from gateway.answers import error_body
from gateway.errors import NotAcceptable
from gateway.upstream import Failed

NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
CURSOR = "cursor"
LAST_EVENT_ID = "last-event-id"
HEARTBEAT = b": still here\n\n"
# While nothing is sent a failure still has a status of its own; but a quiet stream must begin.
FIRST_WAIT_S = 1.0

Encode = Callable[[Message], bytes]


def kind_of(accepted: str) -> str:
    """The type of a stream that a caller takes.

    Raises:
        NotAcceptable: it takes neither.
    """
    names = [one.partition(";")[0].strip().lower() for one in accepted.split(",")]
    if EVENTS in names:
        return EVENTS
    if not accepted or {NDJSON, "application/json", "application/*", "*/*"} & set(names):
        return NDJSON
    made = f"{NDJSON} or {EVENTS}"
    raise NotAcceptable(made)


def go_on_after(request: Message, headers: Mapping[str, str]) -> None:
    """Let a stream go on after the last event that its client has seen, if it can."""
    last = headers.get(LAST_EVENT_ID, "")
    if last and has_cursor(request):
        setattr(request, CURSOR, last)


def has_cursor(message: Message) -> bool:
    """Whether a message says where in its stream it is."""
    field = message.DESCRIPTOR.fields_by_name.get(CURSOR)
    return field is not None and field.type == field.TYPE_STRING


@asynccontextmanager
async def opened(messages: AsyncIterator[Message]) -> AsyncGenerator[AsyncIterator[Message]]:
    """The messages, once the first is there, or did not come for a moment.

    When it is left, none is being waited for, whether or not any was read.

    Raises:
        Failed: the stream failed before its first message.
    """
    coming = asyncio.ensure_future(anext(messages))
    try:
        await asyncio.wait({coming}, timeout=FIRST_WAIT_S)
        if coming.done() and isinstance(coming.exception(), Failed):
            coming.result()
        yield _from(coming, messages)
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def _from(
    coming: "asyncio.Future[Message]", messages: AsyncIterator[Message]
) -> AsyncIterator[Message]:
    with suppress(StopAsyncIteration):
        yield await coming
        async for one in messages:
            yield one


async def lines(messages: AsyncIterator[Message], encode: Encode) -> AsyncGenerator[bytes]:
    """A stream as lines of JSON."""
    try:
        async for message in messages:
            yield encode(message) + b"\n"
    except Failed as failure:
        yield msgspec.json.encode(error_body(failure)) + b"\n"


async def events(
    messages: AsyncIterator[Message], encode: Encode, heartbeat_s: float
) -> AsyncGenerator[bytes]:
    """A stream as Server-Sent Events."""
    try:
        # Closed here, not some time later: a message that is waited for would still be running.
        async with aclosing(_with_heartbeats(messages, heartbeat_s)) as beats:
            async for message in beats:
                yield HEARTBEAT if message is None else _event(message, encode)
    except Failed as failure:
        body = msgspec.json.encode(error_body(failure))
        yield b"event: error\ndata: " + body + b"\n\n"


def _event(message: Message, encode: Encode) -> bytes:
    name = f"id: {getattr(message, CURSOR)}\n".encode() if has_cursor(message) else b""
    return name + b"data: " + encode(message) + b"\n\n"


async def _with_heartbeats(
    messages: AsyncIterator[Message], every_s: float
) -> AsyncGenerator[Message | None]:
    """The messages, and None when none came for so long. One is read ahead, and no more."""
    coming: asyncio.Future[Message] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(messages))
            done, _ = await asyncio.wait({coming}, timeout=every_s)
            if not done:
                yield None
                continue
            try:
                message = coming.result()
            except StopAsyncIteration:
                return
            finally:
                coming = None
            yield message
    finally:
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration, Failed):
                await coming
