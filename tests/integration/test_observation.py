"""Calls are counted once each, by what became of them, and nobody can make up a new series."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from holdfast.booking.v1 import booking_pb2
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from structlog.testing import capture_logs
from support.client import As
from support.gateway import Gateway, Seen, gateway
from support.serving import serving
from support.telemetry import TRACE_ID, TRACEPARENT, Tally, recorded, trace_of, value
from support.tokens import auth_settings

from booking_svc.domain.errors import BookingNotFound
from chassis.channels import Outgoing
from chassis.errors import DomainError, Overloaded
from chassis.server import Hosted
from chassis.tokens import service_token
from payment_svc.servicer import ACCESS, NAME

GET, STREAM = ("unary", NAME, "GetPayment"), ("server_stream", NAME, "StreamPaymentEvents")
GET_REQUEST = pb.GetPaymentRequest(payment_id="PAY-1")
EVENTS = pb.StreamPaymentEventsRequest()
SECRET_TEXT = "SELECT number FROM cards"
LONG_S, WAIT_S = 20.0, 20.0
BOOKING, WATCH = "/api/bookings/5001", "/api/bookings/5001/watch"
CONFIRMED = booking_pb2.Booking(booking_id=5001, status="CONFIRMED")


class Probe(rpc.PaymentServiceServicer):
    """Does what a test tells it to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()

    async def GetPayment(self, _request: Message, _context: Any) -> pb.Payment:
        await self._behave()
        return pb.Payment(payment_id="PAY-1")

    async def StreamPaymentEvents(self, _request: Message, _context: Any) -> Any:
        yield pb.PaymentEvent()
        await self._behave()

    async def _behave(self) -> None:
        self.begun.set()
        await self.may_end.wait()
        if self.error is not None:
            raise self.error


async def nothing() -> None:
    pass


async def until(holds: Callable[[], bool]) -> None:
    """A call is counted when it ends here, which is after its caller has the answer."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0.005)


async def counted(tally: Tally, name: str, expected: dict[tuple[str, ...], float]) -> None:
    """Wait until all has been counted, and find that it is this."""
    await until(lambda: sum(tally.of(name).values()) >= sum(expected.values()))
    assert tally.of(name) == expected


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def channel(probe: Probe) -> AsyncIterator[grpc.aio.Channel]:
    hosted = Hosted(
        name=NAME,
        register=lambda server: rpc.add_PaymentServiceServicer_to_server(probe, server),
        access=ACCESS,
        ready=nothing,
        close=nothing,
    )
    async with serving(hosted) as channel:
        yield channel


@pytest.fixture
def caller(channel: grpc.aio.Channel) -> As:
    return As(rpc.PaymentServiceStub(channel), "booking_svc", "payments")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, "OK"),
        (BookingNotFound(5001), "NOT_FOUND"),
        (Overloaded("busy"), "RESOURCE_EXHAUSTED"),
        (LookupError(SECRET_TEXT), "INTERNAL"),
    ],
    ids=["OK", "refused", "overloaded", "failed"],
)
async def test_a_call(probe: Probe, caller: As, error: Exception | None, code: str) -> None:
    """A call is counted when it comes in and when it is answered, by its code, and its time is."""
    probe.error, tally = error, Tally()
    await asyncio.gather(
        *(caller.GetPayment(GET_REQUEST) for _ in range(3)), return_exceptions=True
    )
    await counted(tally, "grpc_server_handled_total", {(*GET, code): 3})
    assert tally.of("grpc_server_started_total") == {GET: 3}
    assert tally.of("grpc_server_handling_seconds_count") == {GET: 3}


async def test_a_call_that_nobody_may_make(channel: grpc.aio.Channel) -> None:
    """A call without a token is counted as what it is."""
    tally = Tally()
    with pytest.raises(grpc.aio.AioRpcError):
        await rpc.PaymentServiceStub(channel).GetPayment(GET_REQUEST)
    await counted(tally, "grpc_server_handled_total", {(*GET, "UNAUTHENTICATED"): 1})


async def test_a_call_that_its_caller_leaves(probe: Probe, caller: As) -> None:
    """A call whose caller leaves is CANCELLED; while it runs it is in progress, and then not."""
    tally = Tally()
    probe.may_end.clear()
    call = caller.GetPayment(GET_REQUEST)
    await probe.begun.wait()
    assert value("holdfast_calls_in_progress", "calls") == 1
    assert value("holdfast_calls_max", "calls") > 1
    assert tally.of("grpc_server_handled_total") == {}
    call.cancel()
    await counted(tally, "grpc_server_handled_total", {(*GET, "CANCELLED"): 1})
    await until(lambda: value("holdfast_calls_in_progress", "calls") == 0)


async def test_a_stream(probe: Probe, caller: As) -> None:
    """A stream is in progress until it ends, apart from the calls, and is OK at its end."""
    tally = Tally()
    probe.may_end.clear()
    call = caller.StreamPaymentEvents(EVENTS)
    await call.read()
    assert value("holdfast_calls_in_progress", "streams") == 1
    assert value("holdfast_calls_in_progress", "calls") == 0
    assert tally.of("grpc_server_started_total") == {STREAM: 1}
    probe.may_end.set()
    assert await call.read() is grpc.aio.EOF
    await counted(tally, "grpc_server_handled_total", {(*STREAM, "OK"): 1})
    await until(lambda: value("holdfast_calls_in_progress", "streams") == 0)


@pytest.mark.parametrize("end", ["left", "failed"])
async def test_a_stream_that_does_not_end_well(probe: Probe, caller: As, end: str) -> None:
    """A stream whose reader leaves is CANCELLED, one that fails INTERNAL."""
    tally, probe.error = Tally(), LookupError(SECRET_TEXT)
    probe.may_end.clear()
    call = caller.StreamPaymentEvents(EVENTS)
    await call.read()
    await probe.begun.wait()
    if end == "left":
        call.cancel()
    else:
        probe.may_end.set()
    code = {"left": "CANCELLED", "failed": "INTERNAL"}[end]
    await counted(tally, "grpc_server_handled_total", {(*STREAM, code): 1})
    await until(lambda: value("holdfast_calls_in_progress", "streams") == 0)


async def test_a_server_that_is_full_counts_what_it_refuses(probe: Probe, caller: As) -> None:
    """What is refused for want of room is counted, and takes none of the room."""
    tally = Tally()
    probe.may_end.clear()
    most = int(value("holdfast_calls_max", "streams"))
    calls = [caller.StreamPaymentEvents(EVENTS) for _ in range(most + 2)]
    await asyncio.wait({asyncio.ensure_future(one.read()) for one in calls}, timeout=WAIT_S)
    assert value("holdfast_calls_in_progress", "streams") == most
    await counted(tally, "grpc_server_handled_total", {(*STREAM, "RESOURCE_EXHAUSTED"): 2})
    for one in calls:
        one.cancel()
    await until(lambda: value("holdfast_calls_in_progress", "streams") == 0)


@pytest.mark.parametrize("method", [f"/{NAME}/Nothing", "/made.up.Service/GetPayment", "/"])
async def test_what_is_no_method_makes_no_series(channel: grpc.aio.Channel, method: str) -> None:
    """A caller cannot make new series by calling what there is not."""
    tally = Tally()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(method)(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert {name for name, _ in tally.new() if name.startswith("grpc_")} == set()
    assert tally.of("grpc_server_started_total") == {}


async def test_health_is_not_counted(channel: grpc.aio.Channel) -> None:
    """Who asks for the health of a service is no call of it."""
    tally = Tally()
    await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=NAME))
    assert tally.of("grpc_server_started_total") == {}


async def test_a_line_of_each_call(probe: Probe, caller: As) -> None:
    """Each call is one line of the log, whatever became of it; only a fault of ours is an error."""
    with capture_logs() as lines:
        for error in (None, BookingNotFound(5001), LookupError(SECRET_TEXT)):
            probe.error = error
            await asyncio.gather(caller.GetPayment(GET_REQUEST), return_exceptions=True)
        await until(lambda: sum(one["event"] == "call" for one in lines) == 3)
    told = [one for one in lines if one["event"] == "call"]
    assert [(one["code"], one["log_level"]) for one in told] == [
        ("OK", "info"),
        ("NOT_FOUND", "info"),
        ("INTERNAL", "error"),
    ]
    assert {(one["method"], one["user_id"]) for one in told} == {
        (f"/{NAME}/GetPayment", "booking_svc")
    }


async def test_a_span_of_each_call(probe: Probe, caller: As) -> None:
    """A call is a span of its caller's trace; only a fault of ours fails it, with no text of it."""
    with recorded() as spans:
        for error in (None, BookingNotFound(5001), LookupError(SECRET_TEXT)):
            probe.error = error
            call = caller.GetPayment(GET_REQUEST, traceparent=TRACEPARENT, x_request_id="r-1")
            await asyncio.gather(call, return_exceptions=True)
        await until(lambda: len(spans.all()) == 3)
    assert spans.names() == [f"{NAME}/GetPayment"] * 3
    assert {trace_of(one) for one in spans.all()} == {TRACE_ID}
    assert [one.attributes["rpc.grpc.status_code"] for one in spans.all()] == [0, 5, 13]
    assert [one.status.description for one in spans.all()] == [None, None, "INTERNAL"]
    assert {one.attributes["holdfast.request_id"] for one in spans.all()} == {"r-1"}
    assert SECRET_TEXT not in spans.text()


# Calls to other services.


def outgoing() -> Outgoing:
    token = service_token(auth_settings(), "booking_svc", "payments")
    return Outgoing(pb.DESCRIPTOR.services_by_name["PaymentService"], token)


@pytest.mark.parametrize(
    ("error", "code", "failed"),
    [
        (None, "OK", None),
        (BookingNotFound(5001), "NOT_FOUND", None),
        (LookupError(SECRET_TEXT), "INTERNAL", "INTERNAL"),
    ],
    ids=["OK", "refused", "failed"],
)
async def test_a_call_to_another_service(
    probe: Probe, channel: grpc.aio.Channel, error: Exception | None, code: str, failed: str | None
) -> None:
    """A call that is made is counted by its code; it is a span, and the parent of the other's."""
    probe.error, tally = error, Tally()
    method = rpc.PaymentServiceStub(channel).GetPayment
    with recorded() as spans:
        await asyncio.gather(
            outgoing().call(method, GET_REQUEST, timeout_s=LONG_S), return_exceptions=True
        )
        await until(lambda: len(spans.all()) == 2)
    assert tally.of("grpc_client_handled_total") == {(NAME, "GetPayment", code): 1}
    assert tally.of("grpc_client_handling_seconds_count") == {(NAME, "GetPayment"): 1}
    (made,) = [one for one in spans.all() if one.kind.name == "CLIENT"]
    (served,) = [one for one in spans.all() if one.kind.name == "SERVER"]
    assert served.parent.span_id == made.context.span_id
    assert made.status.description == failed
    assert SECRET_TEXT not in spans.text()


@pytest.mark.parametrize("end", ["too late", "given up"])
async def test_a_call_to_a_service_that_hangs(
    probe: Probe, channel: grpc.aio.Channel, end: str
) -> None:
    """A call that is answered too late is DEADLINE_EXCEEDED, one that is given up CANCELLED."""
    tally = Tally()
    probe.may_end.clear()
    method = rpc.PaymentServiceStub(channel).GetPayment
    timeout_s = 0.2 if end == "too late" else LONG_S
    call = asyncio.ensure_future(outgoing().call(method, GET_REQUEST, timeout_s=timeout_s))
    await probe.begun.wait()
    if end == "given up":
        call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    code = {"too late": "DEADLINE_EXCEEDED", "given up": "CANCELLED"}[end]
    assert tally.of("grpc_client_handled_total") == {(NAME, "GetPayment", code): 1}


# Requests over HTTP.


@pytest.fixture
async def gate() -> AsyncIterator[Gateway]:
    async with gateway(heartbeat_s=0.05) as running:
        yield running


REQUESTS = "http_server_request_duration_seconds_count"


@pytest.mark.parametrize(
    ("verb", "path", "answer", "series"),
    [
        ("GET", BOOKING, CONFIRMED, ("GET", "/api/bookings/{booking_id}", "200")),
        ("GET", BOOKING, BookingNotFound(5001), ("GET", "/api/bookings/{booking_id}", "404")),
        ("GET", BOOKING, grpc.StatusCode.INTERNAL, ("GET", "/api/bookings/{booking_id}", "500")),
        ("GET", WATCH, [CONFIRMED], ("GET", "/api/bookings/{booking_id}/watch", "200")),
        ("GET", "/healthz", None, ("GET", "(page)", "200")),
        ("GET", "/api/made/up/9", None, ("GET", "(none)", "404")),
        ("PATCH", BOOKING, None, ("PATCH", "(none)", "405")),
        ("PROPFIND", "/api/made/up/9", None, ("_OTHER", "(none)", "404")),
        ("OPTIONS", BOOKING, None, ("OPTIONS", "(none)", "204")),
    ],
)
async def test_a_request(
    gate: Gateway, verb: str, path: str, answer: Any, series: tuple[str, ...]
) -> None:
    """A request is counted once, by the template of its route: never by what its caller made up."""
    gate.services.answers.append(answer)
    tally = Tally()
    with recorded() as spans, capture_logs() as lines:
        response = await gate.http.request(verb, path, headers={"traceparent": TRACEPARENT})
        assert str(response.status_code) == series[2]
        await counted(tally, REQUESTS, {series: 1})
        await until(lambda: value("http_server_active_requests") == 0)
    served = spans.one(" ".join(series[:2]))
    assert trace_of(served) == TRACE_ID
    assert served.attributes["http.response.status_code"] == response.status_code
    assert served.attributes["holdfast.request_id"] == response.headers["x-request-id"]
    assert (served.status.description == "500") == (series[2] == "500")
    assert sum(one["event"] == "request" for one in lines) == 1


async def test_a_request_is_active_until_its_answer(gate: Gateway) -> None:
    """A request whose caller leaves was active until then, and is counted as 499; its call too."""

    async def forever(_context: Any, _seen: Seen) -> None:
        await asyncio.Event().wait()

    gate.services.answers.append(forever)
    tally = Tally()
    request = asyncio.ensure_future(gate.get(BOOKING))
    await gate.services.last()
    assert value("http_server_active_requests") == 1
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    await counted(tally, REQUESTS, {("GET", "/api/bookings/{booking_id}", "499"): 1})
    await until(lambda: value("http_server_active_requests") == 0)
    called = ("holdfast.booking.v1.BookingService", "GetBooking", "CANCELLED")
    await counted(tally, "grpc_client_handled_total", {called: 1})


@pytest.mark.parametrize("error", [None, BookingNotFound(5001)], ids=["OK", "refused"])
async def test_a_call_of_the_gateway(gate: Gateway, error: DomainError | None) -> None:
    """A request is one trace from the gateway to the service, which is told the gateway's span."""
    gate.services.answers.append(error or CONFIRMED)
    tally = Tally()
    with recorded() as spans:
        await gate.get(BOOKING, traceparent=TRACEPARENT)
        await until(lambda: len(spans.all()) == 2)
    method = ("holdfast.booking.v1.BookingService", "GetBooking")
    code = "NOT_FOUND" if error else "OK"
    assert tally.of("grpc_client_handled_total") == {(*method, code): 1}
    call, request = spans.one("/".join(method)), spans.one("GET /api/bookings/{booking_id}")
    assert call.parent.span_id == request.context.span_id
    (seen,) = gate.services.seen
    assert seen.metadata["traceparent"] == f"00-{TRACE_ID}-{call.context.span_id:016x}-01"
