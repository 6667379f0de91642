"""What happens around every call, seen from outside through a real server."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc
from structlog.testing import capture_logs
from support import build
from support.client import As, bad_fields, refused
from support.serving import serving
from support.tokens import metadata_for, token_for

from chassis import context as call_context
from chassis.access import Access
from chassis.errors import DomainError, Overloaded, TokenMissing
from chassis.server import Hosted
from inventory_svc.servicer import ACCESS, NAME

SECRET_TEXT = "SELECT * FROM cards /* internal */"
METHOD, CREATE = f"/{NAME}/GetReservations", f"/{NAME}/CreateEvent"
Behaviour = Callable[[Any], Awaitable[Any]]


class Probe(rpc.InventoryServiceServicer):
    """A servicer whose GetReservations does what a test tells it to."""

    behaviour: Behaviour

    async def GetReservations(self, request: pb.GetReservationsRequest, _context: Any) -> Any:
        return await self.behaviour(request) or pb.GetReservationsResponse()


async def nothing() -> None:
    pass


@pytest.fixture
def probe() -> Probe:
    probe = Probe()

    async def answer(_: object) -> None:
        pass

    probe.behaviour = answer
    return probe


@pytest.fixture
async def channel(probe: Probe) -> AsyncIterator[grpc.aio.Channel]:
    hosted = Hosted(
        name=NAME,
        register=lambda server: rpc.add_InventoryServiceServicer_to_server(probe, server),
        access=Access({METHOD: ACCESS.scopes_of(METHOD), CREATE: ACCESS.scopes_of(CREATE)}),
        ready=nothing,
        close=nothing,
    )
    async with serving(hosted) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> rpc.InventoryServiceStub:
    return rpc.InventoryServiceStub(channel)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization", "Basic YTpi"),), "TOKEN_MISSING"),
        ((("authorization", "Bearer rubbish"),), "TOKEN_INVALID"),
        ((("authorization", f"Bearer {token_for('ann')}x"),), "TOKEN_INVALID"),
        ((("authorization", f"Bearer {token_for('ann', lifetime_s=-60)}"),), "TOKEN_EXPIRED"),
        (metadata_for("ann", "payments"), "SCOPE_MISSING"),
        (metadata_for("ann", ""), "SCOPE_MISSING"),
    ],
    ids=["none", "basic", "rubbish", "bad signature", "expired", "another scope", "no scope"],
)
async def test_who_may_not_call(
    stub: rpc.InventoryServiceStub, metadata: Sequence[tuple[str, str]], reason: str
) -> None:
    """A call without a good token of the right scope is refused, and says which of these it is."""
    with refused(reason) as said:
        await stub.GetReservations(build.get(1), metadata=metadata)
    wanted = "PERMISSION_DENIED" if reason == "SCOPE_MISSING" else "UNAUTHENTICATED"
    assert said[0].code.name == wanted


@pytest.mark.parametrize("scope", ["bookings", "inventory", "admin", "payments bookings"])
async def test_who_may_call(stub: rpc.InventoryServiceStub, probe: Probe, scope: str) -> None:
    """One of the scopes of the method is enough, `admin` opens all; the handler sees who calls."""
    seen: list[call_context.Caller] = []

    async def behaviour(_: object) -> None:
        seen.append(call_context.caller())

    probe.behaviour = behaviour
    await As(stub, "ann", scope).GetReservations(build.get(1))
    assert seen == [call_context.Caller("ann", frozenset(scope.split()))]


async def test_a_method_that_was_forgotten_is_closed(stub: rpc.InventoryServiceStub) -> None:
    """A method that the table of scopes does not name is open to the admin only."""
    with refused("SCOPE_MISSING", scopes="admin"):
        await As(stub, "ann", "bookings inventory").ListSeats(pb.ListSeatsRequest(event_id=1))


async def test_health_and_reflection_need_no_token(channel: grpc.aio.Channel) -> None:
    """Anyone may ask for the health of the server and of its service, and list its services."""
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", NAME):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    call = ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    listed = {one.name for one in (await call.read()).list_services_response.service}
    assert {NAME, "grpc.health.v1.Health"} <= listed


async def test_the_request_id_comes_back(stub: rpc.InventoryServiceStub, probe: Probe) -> None:
    """An answer carries the request id of its call, and so does a refusal."""
    ann = As(stub, "ann")
    call = ann.GetReservations(build.get(1), x_request_id="trace-7")
    await call
    assert dict(await call.trailing_metadata())["x-request-id"] == "trace-7"

    async def refuse(_: object) -> None:
        raise TokenMissing

    probe.behaviour = refuse
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ann.GetReservations(build.get(1), x_request_id="trace-8")
    assert dict(caught.value.trailing_metadata())["x-request-id"] == "trace-8"


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", '{"forged": "line"}'])
async def test_a_request_id_that_cannot_be_used_is_replaced(
    stub: rpc.InventoryServiceStub, given: str
) -> None:
    """Without a request id, or with one that could forge a log line, the call gets a fresh one."""
    call = As(stub, "ann").GetReservations(build.get(1), x_request_id=given)
    await call
    made = dict(await call.trailing_metadata())["x-request-id"]
    assert made != given
    assert len(made) == 32


@pytest.mark.parametrize(
    "error", [RuntimeError(SECRET_TEXT), KeyError(SECRET_TEXT), TimeoutError(SECRET_TEXT)]
)
async def test_an_unexpected_error_tells_nothing(
    stub: rpc.InventoryServiceStub, probe: Probe, error: Exception
) -> None:
    """Any other exception is INTERNAL, a fixed text and the request id; the log has the rest."""

    async def fail(_: object) -> None:
        raise error

    probe.behaviour = fail
    with capture_logs() as lines:
        with refused("INTERNAL", requestId="trace-7") as said:
            await As(stub, "ann").GetReservations(build.get(1), x_request_id="trace-7")
        # A refusal is sent before its line is written.
        async with asyncio.timeout(10):
            while not any(line["event"] == "call" for line in lines):  # noqa: ASYNC110 - a log line sets no event
                await asyncio.sleep(0.01)
    assert (said[0].code, said[0].message) == (grpc.StatusCode.INTERNAL, "internal error")
    assert said[0].metadata == {"requestId": "trace-7"}
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "unexpected_error",
        "call",
    ]


async def test_a_refusal_carries_reason_facts_and_delay(
    stub: rpc.InventoryServiceStub, probe: Probe
) -> None:
    """A domain error keeps its message, its reason and its metadata."""

    async def refuse(_: object) -> None:
        error: DomainError = Overloaded("busy", {"queue": 7})
        raise error

    probe.behaviour = refuse
    with refused("OVERLOADED", queue="7") as said:
        await As(stub, "ann").GetReservations(build.get(1))
    assert (said[0].code, said[0].message) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")


async def test_validation_names_every_bad_field(stub: rpc.InventoryServiceStub) -> None:
    """A request that breaks rules of the contract never reaches the handler; all are named."""
    request = build.create_event(["A1", "", "x" * 33], currency="dollars")
    request.seats[0].ClearField("price")
    request.name = ""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await As(stub, "root", "admin").CreateEvent(request)
    assert set(bad_fields(caught.value)) == {
        "name", "currency", "seats[0].price", "seats[1].seat_number", "seats[2].seat_number",
    }  # fmt: skip


async def test_a_stranger_learns_nothing_of_the_rules(stub: rpc.InventoryServiceStub) -> None:
    """Authentication comes before validation."""
    with refused("TOKEN_MISSING"):
        await stub.GetReservations(build.get())


@pytest.mark.parametrize(
    ("metadata", "code", "reason"),
    [
        (metadata_for("ann"), "INVALID_ARGUMENT", "INVALID_FIELD"),
        ((), "UNAUTHENTICATED", "TOKEN_MISSING"),
    ],
    ids=["token", "no token"],
)
async def test_bytes_that_are_no_message(
    channel: grpc.aio.Channel, metadata: Sequence[tuple[str, str]], code: str, reason: str
) -> None:
    """What cannot be read is refused as any bad request, after authentication, in our words."""
    call = channel.unary_unary(f"/{NAME}/GetReservations")
    with refused(reason) as said:
        await call(b"\xff\xff", metadata=metadata)
    assert said[0].code.name == code
    assert not re.search("exception|error|deserializ", said[0].message, re.IGNORECASE)


@pytest.mark.parametrize("metadata", [metadata_for("root", "admin"), ()], ids=["token", "no token"])
async def test_a_stream_of_requests_is_not_served(metadata: Sequence[tuple[str, str]]) -> None:
    """A method whose requests are a stream is refused rather than served without our checks."""
    reached: list[object] = []

    async def upload(requests: Any, _context: Any) -> bytes:
        reached.append(requests)
        return b""

    def register(server: grpc.aio.Server) -> None:
        handlers = {"Upload": grpc.stream_unary_rpc_method_handler(upload)}
        generic = grpc.method_handlers_generic_handler("tests.Streams", handlers)
        server.add_generic_rpc_handlers((generic,))

    hosted = Hosted(
        name="tests.Streams", register=register, access=Access(), ready=nothing, close=nothing
    )
    async with serving(hosted) as channel:
        call = channel.stream_unary("/tests.Streams/Upload")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(iter([b"x"]), metadata=metadata, timeout=5)
    assert caught.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
    assert reached == []


async def test_a_call_ends_before_its_caller_stops_listening(
    stub: rpc.InventoryServiceStub, probe: Probe
) -> None:
    """At the deadline the handler is stopped, and the caller still hears why."""
    stopped = asyncio.Event()

    async def linger(_: object) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            stopped.set()

    probe.behaviour = linger
    with refused("DEADLINE_TOO_SHORT") as said:
        await As(stub, "ann").GetReservations(build.get(1), timeout=0.3)
    assert said[0].code is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(stopped.wait(), 5)


async def test_the_handler_knows_how_long_its_caller_waits(
    stub: rpc.InventoryServiceStub, probe: Probe
) -> None:
    """The time left is the caller's less a margin, and a minute at most without a deadline."""
    left: list[float] = []

    async def note(_: object) -> None:
        left.append(call_context.remaining_s(1000))

    probe.behaviour = note
    await As(stub, "ann").GetReservations(build.get(1), timeout=5)
    await stub.GetReservations(build.get(1), metadata=metadata_for("ann"))
    assert 4 < left[0] < 5
    assert 59 < left[1] <= 60


async def test_too_little_time_is_not_begun(stub: rpc.InventoryServiceStub, probe: Probe) -> None:
    """A call that has no time to be answered in does not reach the handler."""
    reached: list[object] = []

    async def note(request: object) -> None:
        reached.append(request)

    probe.behaviour = note
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await As(stub, "ann").GetReservations(build.get(1), timeout=0.015)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert reached == []


async def test_one_log_line_a_call(stub: rpc.InventoryServiceStub) -> None:
    """A call is logged once, with method, code, duration and user, and nothing of the request."""
    with capture_logs() as lines:
        await As(stub, "ann").GetReservations(build.get(4711))
    (line,) = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "call", "log_level": "info", "code": "OK", "user_id": "ann",
        "method": f"/{NAME}/GetReservations",
    }  # fmt: skip
