"""A stream of answers ends in order, whatever ends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from structlog.testing import capture_logs
from support.client import As, refused
from support.serving import ADDRESS, serving
from support.tokens import metadata_for, verifier

from chassis import context as call_context
from chassis.errors import Overloaded
from chassis.interceptors import deadline
from chassis.interceptors.streams import StreamInterceptor
from chassis.server import Hosted, running
from payment_svc.servicer import ACCESS, NAME

METHOD = f"/{NAME}/StreamPaymentEvents"
WAIT_S = 20.0
LONG_GRACE_S = 600.0
REQUEST = pb.StreamPaymentEventsRequest()
Messages = Callable[[], AsyncIterator[pb.PaymentEvent]]


class Streamer(rpc.PaymentServiceServicer):
    """Streams what a test tells it to, and notes when that is closed."""

    def __init__(self) -> None:
        self.messages: Messages = one_then_silence
        self.closed = asyncio.Event()
        self.closed_by_its_call = False

    async def StreamPaymentEvents(
        self, _request: pb.StreamPaymentEventsRequest, _context: Any
    ) -> AsyncIterator[pb.PaymentEvent]:
        task = asyncio.current_task()
        try:
            async for message in self.messages():
                yield message
        finally:
            await asyncio.sleep(0)
            # The garbage collector would have it closed by another task.
            self.closed_by_its_call = asyncio.current_task() is task
            self.closed.set()


async def nothing() -> None:
    pass


async def one_then_silence() -> AsyncIterator[pb.PaymentEvent]:
    yield pb.PaymentEvent(cursor="1")
    await asyncio.Event().wait()


async def without_end() -> AsyncIterator[pb.PaymentEvent]:
    """More than a connection takes when nobody reads."""
    while True:
        yield pb.PaymentEvent(cursor="x" * 100_000)


@pytest.fixture
def streamer() -> Streamer:
    return Streamer()


def hosted_by(streamer: Streamer) -> Hosted:
    return Hosted(
        name=NAME,
        register=lambda server: rpc.add_PaymentServiceServicer_to_server(streamer, server),
        access=ACCESS,
        ready=nothing,
        close=nothing,
    )


@pytest.fixture
async def stub(streamer: Streamer) -> AsyncIterator[rpc.PaymentServiceStub]:
    async with serving(hosted_by(streamer)) as channel:
        yield rpc.PaymentServiceStub(channel)


def opened(stub: rpc.PaymentServiceStub, timeout_s: float | None = None) -> Any:
    metadata = metadata_for("ann", "payments")
    return stub.StreamPaymentEvents(REQUEST, metadata=metadata, timeout=timeout_s)


async def ended(call: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while await call.read() is not grpc.aio.EOF:
            pass


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(WAIT_S):
        await event.wait()


@asynccontextmanager
async def stoppable(
    hosted: Hosted,
) -> AsyncIterator[tuple[grpc.aio.Channel, Callable[[], Awaitable[None]]]]:
    """Serve with a grace for which no test could wait; gives a channel, and the stop."""
    async with AsyncExitStack() as stack:
        server = running(hosted, ADDRESS, verifier(), LONG_GRACE_S)
        port = await stack.enter_async_context(server)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel, stack.aclose


async def test_a_stream_knows_its_call(stub: rpc.PaymentServiceStub, streamer: Streamer) -> None:
    """From its first message to its last, a stream knows its caller and its request id."""
    seen: list[tuple[str, str]] = []

    async def messages() -> AsyncIterator[pb.PaymentEvent]:
        for number in range(3):
            seen.append((call_context.caller().user_id, call_context.request_id.get()))
            yield pb.PaymentEvent(cursor=str(number))
            await asyncio.sleep(0)

    streamer.messages = messages
    call = As(stub, "ann", "payments").StreamPaymentEvents(REQUEST, x_request_id="trace-7")
    assert [message.cursor async for message in call] == ["0", "1", "2"]
    assert seen == [("ann", "trace-7")] * 3
    assert dict(await call.trailing_metadata())["x-request-id"] == "trace-7"


async def test_a_stream_is_for_those_who_may(stub: rpc.PaymentServiceStub) -> None:
    """A stream is refused without a token of its scope, and before its request is read."""
    with refused("TOKEN_MISSING"):
        await stub.StreamPaymentEvents(REQUEST).read()
    with refused("SCOPE_MISSING"):
        await As(stub, "ann", "bookings").StreamPaymentEvents(REQUEST).read()
    long = pb.StreamPaymentEventsRequest(cursor="x" * 201)
    with refused("INVALID_FIELD"):
        await As(stub, "ann", "payments").StreamPaymentEvents(long).read()


async def test_a_stream_may_be_refused_in_the_middle(
    stub: rpc.PaymentServiceStub, streamer: Streamer
) -> None:
    """An error after the first message ends the stream with its reason, and closes it."""

    async def messages() -> AsyncIterator[pb.PaymentEvent]:
        yield pb.PaymentEvent(cursor="1")
        message = "enough"
        raise Overloaded(message)

    streamer.messages = messages
    call = opened(stub)
    assert (await call.read()).cursor == "1"
    with refused("OVERLOADED"):
        await call.read()
    assert streamer.closed.is_set()


async def test_a_stream_ends_at_its_callers_deadline(
    stub: rpc.PaymentServiceStub, streamer: Streamer
) -> None:
    """A stream whose caller set a deadline ends with DEADLINE_EXCEEDED, and is closed."""
    call = opened(stub, timeout_s=0.5)
    assert (await call.read()).cursor == "1"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await soon(streamer.closed)


async def test_a_stream_has_no_limit_of_its_own(
    stub: rpc.PaymentServiceStub, streamer: Streamer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What limits any other call does not limit a stream, with a later deadline or without."""
    monkeypatch.setattr(deadline, "MOST_S", 0.05)
    left: list[float] = []

    async def messages() -> AsyncIterator[pb.PaymentEvent]:
        left.append(call_context.remaining_s(1000))
        await asyncio.sleep(0.2)
        yield pb.PaymentEvent(cursor="1")

    streamer.messages = messages
    for timeout_s in (None, 100):
        assert [message.cursor async for message in opened(stub, timeout_s)] == ["1"]
    assert left[0] == 1000
    assert 50 < left[1] < 110


@pytest.mark.parametrize("messages", [one_then_silence, without_end])
async def test_a_stream_whose_caller_leaves_is_closed(
    stub: rpc.PaymentServiceStub, streamer: Streamer, messages: Messages
) -> None:
    """A caller who leaves closes the stream, whether it waits or writes, and it is logged once."""
    streamer.messages = messages
    with capture_logs() as lines:
        call = opened(stub)
        await call.read()
        call.cancel()
        await soon(streamer.closed)
        async with asyncio.timeout(WAIT_S):
            while not lines:  # noqa: ASYNC110 - a log line sets no event
                await asyncio.sleep(0.01)
    assert [(line["event"], line["code"], line["user_id"]) for line in lines] == [
        ("call", "CANCELLED", "ann")
    ]
    assert streamer.closed_by_its_call


class Left:
    """The context of a call whose caller has left, which gRPC has not told the call yet."""

    async def send_initial_metadata(self, _metadata: Any) -> None:
        pass

    async def write(self, _message: Any) -> None:
        message = "SendMessage failed"
        raise grpc.aio.InternalError(message)


async def test_a_failure_to_send_is_a_caller_who_left(streamer: Streamer) -> None:
    """What cannot be sent any more is no fault of the service: the call counts as cancelled."""
    handler = grpc.unary_stream_rpc_method_handler(streamer.StreamPaymentEvents)

    async def continuation(_details: Any) -> Any:
        return handler

    details = SimpleNamespace(method=f"/{NAME}/StreamPaymentEvents")
    found = await StreamInterceptor(asyncio.Event()).intercept_service(continuation, details)
    with pytest.raises(asyncio.CancelledError):
        await found.unary_stream(REQUEST, Left())
    assert streamer.closed_by_its_call


async def test_a_stop_ends_streams_at_once(streamer: Streamer) -> None:
    """A stream ends with UNAVAILABLE when the server stops, and takes nothing of its grace."""
    async with stoppable(hosted_by(streamer)) as (channel, stop):
        call = opened(rpc.PaymentServiceStub(channel))
        assert (await call.read()).cursor == "1"
        async with asyncio.timeout(WAIT_S):
            await stop()
            with refused("DEPENDENCY_UNAVAILABLE") as said:
                await call.read()
    assert said[0].code is grpc.StatusCode.UNAVAILABLE
    assert "stopping" in said[0].message
    assert streamer.closed.is_set()


async def test_a_stop_does_not_wait_for_who_does_not_read(streamer: Streamer) -> None:
    """A caller who reads nothing, or only watches the health, does not use up the grace."""
    streamer.messages = without_end
    async with stoppable(hosted_by(streamer)) as (channel, stop):
        call = opened(rpc.PaymentServiceStub(channel))
        await call.read()
        request = health_pb2.HealthCheckRequest(service=NAME)
        watch = health_pb2_grpc.HealthStub(channel).Watch(request)
        await watch.read()
        async with asyncio.timeout(WAIT_S):
            await stop()
        assert streamer.closed.is_set()


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, but for gRPC's poller, which may hold events for another test's loop."""
    said = [record.getMessage() for record in caplog.records]
    return [one for one in said if "PollerCompletionQueue._handle_events" not in one]


async def test_a_stop_may_come_in_the_middle_of_a_message(
    streamer: Streamer, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that is ended while it writes its first message still says why, and no more."""
    hosted = hosted_by(streamer)

    async def messages() -> AsyncIterator[pb.PaymentEvent]:
        hosted.stopping.set()
        yield pb.PaymentEvent(cursor="x" * 1_000_000)
        await asyncio.Event().wait()

    streamer.messages = messages
    async with serving(hosted) as channel:
        with refused("DEPENDENCY_UNAVAILABLE"):
            await ended(opened(rpc.PaymentServiceStub(channel)))
    assert complaints(caplog) == []


async def test_no_stream_begins_at_a_stop(streamer: Streamer) -> None:
    """A stream that is asked for when the server has begun to stop is not begun."""
    hosted = hosted_by(streamer)
    async with serving(hosted) as channel:
        hosted.stopping.set()
        with refused("DEPENDENCY_UNAVAILABLE"):
            await opened(rpc.PaymentServiceStub(channel)).read()
    assert not streamer.closed.is_set()
