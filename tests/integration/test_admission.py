"""A server with its hands full says so at once, and has done nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from support.client import As, reason_of, refused
from support.serving import ADDRESS
from support.tokens import verifier

from chassis.interceptors.admission import Limits
from chassis.server import Hosted, running
from payment_svc.servicer import ACCESS, NAME

METHODS = ("GetPayment", "StreamPaymentEvents")
WAIT_S = 20.0
PAYMENT = pb.GetPaymentRequest(payment_id="PAY-1")
EVENTS = pb.StreamPaymentEventsRequest()


class Slow(rpc.PaymentServiceServicer):
    """Answers nothing until a test lets it; counts the calls that got through."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def GetPayment(self, _request: pb.GetPaymentRequest, _context: Any) -> pb.Payment:
        self.begun += 1
        await self.may_end.wait()
        return pb.Payment()

    async def StreamPaymentEvents(
        self, _request: pb.StreamPaymentEventsRequest, _context: Any
    ) -> AsyncIterator[pb.PaymentEvent]:
        self.begun += 1
        yield pb.PaymentEvent()
        await self.may_end.wait()


async def nothing() -> None:
    pass


@pytest.fixture
def slow() -> Slow:
    return Slow()


@asynccontextmanager
async def served(slow: Slow, limits: Limits) -> AsyncIterator[grpc.aio.Channel]:
    hosted = Hosted(
        name=NAME,
        register=lambda server: rpc.add_PaymentServiceServicer_to_server(slow, server),
        access=ACCESS,
        ready=nothing,
        close=nothing,
    )
    async with (
        asyncio.timeout(WAIT_S),
        running(hosted, ADDRESS, verifier(), WAIT_S, limits) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel
        slow.may_end.set()


async def until_begun(slow: Slow, calls: int) -> None:
    while slow.begun < calls:  # noqa: ASYNC110 - a count sets no event
        await asyncio.sleep(0.01)


async def test_a_call_too_many_is_refused(slow: Slow) -> None:
    """With all calls taken the next is RESOURCE_EXHAUSTED with a delay, and never begun."""
    async with served(slow, Limits(calls_max=2)) as channel:
        ann = As(rpc.PaymentServiceStub(channel), "ann", "payments")
        running_calls = [ann.GetPayment(PAYMENT) for _ in range(2)]
        await until_begun(slow, 2)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ann.GetPayment(PAYMENT)
        slow.may_end.set()
        await asyncio.gather(*running_calls)
        assert slow.begun == 2
        await ann.GetPayment(PAYMENT)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(caught.value) == "OVERLOADED"
    delay = error_details_pb2.RetryInfo()
    assert any(one.Unpack(delay) for one in rpc_status.from_call(caught.value).details)
    assert delay.retry_delay.ToMilliseconds() > 0


async def test_a_stream_too_many_is_refused(slow: Slow) -> None:
    """Streams have a limit of their own: they take no call's place, and a call takes none."""
    async with served(slow, Limits(calls_max=1, streams_max=1)) as channel:
        ann = As(rpc.PaymentServiceStub(channel), "ann", "payments")
        stream = ann.StreamPaymentEvents(EVENTS)
        await stream.read()
        call = ann.GetPayment(PAYMENT)
        await until_begun(slow, 2)
        with refused("OVERLOADED"):
            await ann.StreamPaymentEvents(EVENTS).read()
        assert slow.begun == 2
        stream.cancel()
        slow.may_end.set()
        await call


@pytest.mark.parametrize("method", METHODS)
async def test_a_place_is_given_back(slow: Slow, method: str) -> None:
    """However calls end, refused, cut short or left by their callers, their places are free."""
    request = PAYMENT if method == "GetPayment" else EVENTS
    async with served(slow, Limits(calls_max=1, streams_max=1)) as channel:
        stub = rpc.PaymentServiceStub(channel)
        for user_id, scope in (("eve", "bookings"), ("eve", "inventory")):
            with refused("SCOPE_MISSING"):
                await ended(getattr(As(stub, user_id, scope), method)(request))
        ann = As(stub, "ann", "payments")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ended(getattr(ann, method)(request, timeout=0.5))
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        leaving = getattr(ann, method)(request)
        await until_begun(slow, 2)
        leaving.cancel()
        slow.may_end.set()
        await until_answered(ann, method, request)


async def test_health_takes_no_place(slow: Slow) -> None:
    """The health of a server that is full is answered, and watching it takes no stream's place."""
    async with served(slow, Limits(calls_max=1, streams_max=1)) as channel:
        ann = As(rpc.PaymentServiceStub(channel), "ann", "payments")
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=NAME)
        watches = [health.Watch(request) for _ in range(2)]
        for watch in watches:
            await watch.read()
        stream, call = ann.StreamPaymentEvents(EVENTS), ann.GetPayment(PAYMENT)
        await stream.read()
        await until_begun(slow, 2)
        assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
        slow.may_end.set()
        await call
        for open_stream in (*watches, stream):
            open_stream.cancel()


async def ended(call: Any) -> None:
    """Wait for the end of a call of either shape."""
    if not hasattr(call, "read"):
        await call
        return
    while await call.read() is not grpc.aio.EOF:
        pass


async def until_answered(ann: As, method: str, request: Any) -> None:
    """Call until there is a place: the server hears a moment later that a caller has left."""
    while True:
        try:
            await ended(getattr(ann, method)(request))
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017 - it may end well
            await asyncio.sleep(0.01)
        else:
            return
