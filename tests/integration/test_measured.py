"""What is behind the calls is measured: units of work, connections, keys, sagas."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from sqlalchemy.exc import OperationalError
from support import build, redis
from support.bookings import Stack, confirm_request, on_sqlite, stack_on
from support.clock import ManualClock
from support.databases import Databases
from support.inventory import InventoryPeople
from support.payments import Payments, give_back, process, serving_payments
from support.redis import RedisServer
from support.telemetry import Tally, recorded, value

from booking_svc.persistence import answers
from booking_svc.persistence.repository import SqlBookings
from chassis import tracing
from chassis.database import Database, DatabaseTransactions
from chassis.errors import (
    CommitUnknown,
    DependencyUnavailable,
    Overloaded,
    ScopeMissing,
)
from chassis.events import EventFeed

private_redis, redis_server = redis.private_redis, redis.redis_server
pytestmark = on_sqlite

LOCKED = OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))
UNITS, RERUNS = "holdfast_database_unit_seconds_count", "holdfast_database_reruns_total"
CONNECTIONS = "holdfast_database_connections"
KEYS = "holdfast_idempotency_requests_total"
WAIT_S = 20.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0.005)


# Units of work.


@pytest.fixture
async def database(databases: Databases) -> Database:
    database = databases.open(await databases.empty())
    await database.ping()
    return database


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (ScopeMissing("admin"), "refused"),
        (LookupError(), "failed"),
        (Overloaded("busy"), "failed"),
        (CommitUnknown(), "failed"),
        (DependencyUnavailable("away"), "failed"),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, Exception) else None,
)
async def test_a_unit(database: Database, kind: str, error: Exception | None, outcome: str) -> None:
    """A unit is counted once, by what became of it: ok, refused by its rules, or failed."""

    async def unit(_connection: object) -> None:
        if error is not None:
            raise error

    tally = Tally()
    await asyncio.gather(getattr(database, kind)(unit), return_exceptions=True)
    assert tally.of(UNITS) == {("main", kind, outcome): 1}
    assert tally.of(RERUNS) == {}


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_unit_that_is_given_up(database: Database, kind: str) -> None:
    """A unit whose caller gave up is neither ok nor failed."""
    begun = asyncio.Event()

    async def unit(_connection: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    tally = Tally()
    task = asyncio.ensure_future(getattr(database, kind)(unit))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert tally.of(UNITS) == {("main", kind, "cancelled"): 1}


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_unit_that_runs_again(database: Database, kind: str) -> None:
    """A unit that the database asked for again is one unit, and each further run is counted."""
    errors: list[Exception] = [LOCKED, LOCKED]

    async def unit(_connection: object) -> None:
        if errors:
            raise errors.pop()

    tally = Tally()
    await getattr(database, kind)(unit)
    assert tally.of(UNITS) == {("main", kind, "ok"): 1}
    assert tally.of(RERUNS) == {("main", kind): 2}


@pytest.mark.parametrize("pool", ["reader", "writer"])
async def test_connections(database: Database, pool: str) -> None:
    """A connection is in use while a unit has it, and idle after that."""
    seen: list[float] = []

    async def unit(_connection: object) -> None:
        seen.append(value(CONNECTIONS, "main", pool, "in_use"))

    await (database.write if pool == "writer" else database.read)(unit)
    assert seen == [1]
    assert value(CONNECTIONS, "main", pool, "in_use") == 0
    assert value(CONNECTIONS, "main", pool, "idle") == 1
    assert value("holdfast_database_connections_max", "main", pool) >= 1


async def test_a_second_database_of_a_program(databases: Databases) -> None:
    """A program that has two databases measures them apart."""
    other = Database(await databases.empty(), "mock")
    tally = Tally()

    async def unit(_connection: object) -> float:
        return value(CONNECTIONS, "mock", "reader", "in_use")

    try:
        assert await other.read(unit) == 1
    finally:
        await other.close()
    assert tally.of(UNITS) == {("mock", "read", "ok"): 1}


async def test_units_are_parts_of_a_trace(database: Database) -> None:
    """A unit of work is a span where somebody waits for it, and none in the background."""

    async def unit(_connection: object) -> None:
        pass

    with recorded() as spans:
        await database.read(unit)
        with tracing.serving("call", {}):
            await database.write(unit)
    assert spans.names() == ["database write", "call"]


# Keys.

CONFIRM = "ConfirmBooking"


async def test_what_a_stream_polls_for_is_in_no_trace(databases: Databases) -> None:
    """A stream lasts for ever and polls: that makes no spans, or its trace would have no end."""
    database = await databases.fresh("booking_svc")
    feed = EventFeed("events", DatabaseTransactions(database, SqlBookings), poll_s=0.01)
    with recorded() as spans, tracing.serving("a stream", {}):
        tally = Tally()
        following = asyncio.ensure_future(anext(aiter(feed.stream(0))))
        reads = "holdfast_database_unit_seconds_count"
        await until(lambda: sum(tally.of(reads).values()) >= 3)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert spans.names() == ["a stream"]


async def use_a_key(stack: Stack, tally: Tally) -> list[dict[tuple[str, ...], float]]:
    """A key that is new, in use, replayed and reused: what has been counted after each."""
    ann = stack.buyer("ann")
    held, told = await ann.hold("A1"), []
    stack.provider.hold()
    first = asyncio.ensure_future(ann.asks(confirm_request(held)))
    await stack.provider.asked()
    in_use = await ann.asks(confirm_request(held))
    assert in_use.reason == "IDEMPOTENCY_KEY_IN_USE"
    # A refusal is counted as its handler ends, a moment after its caller has heard of it.
    await until(lambda: bool(tally.of(KEYS)))
    told.append(tally.of(KEYS))
    stack.provider.release()
    assert (await first).code is grpc.StatusCode.OK
    for request, reason in ((held, ""), ([*held, 7], "IDEMPOTENCY_KEY_REUSED")):
        again = await ann.asks(confirm_request(request))
        assert again.reason == reason
    await until(lambda: sum(tally.of(KEYS).values()) == 5)
    return [*told, tally.of(KEYS)]


async def test_keys_of_bookings(databases: Databases) -> None:
    """Calls with a key are counted by what the database knew of it."""
    async with stack_on(databases) as stack:
        tally = Tally()
        in_use, all_of_them = await use_a_key(stack, tally)
    charge = {("ProcessPayment", "new", "database"): 1}
    assert in_use == {(CONFIRM, "in_use", "database"): 1}
    assert all_of_them == charge | {
        (CONFIRM, result, "database"): 1 for result in ("new", "in_use", "replayed", "reused")
    }


async def test_keys_that_redis_knows(
    databases: Databases, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls whose answer Redis had are counted apart from those that the database answered."""
    monkeypatch.setattr(answers, "BUDGET_S", WAIT_S)
    async with stack_on(databases, booking={"redis_url": redis_server.url}) as stack:
        tally = Tally()
        _, all_of_them = await use_a_key(stack, tally)
        assert value("holdfast_breaker_state", "redis") == 0
    assert {key: count for key, count in all_of_them.items() if key[0] == CONFIRM} == {
        (CONFIRM, "new", "database"): 1,
        (CONFIRM, "in_use", "database"): 1,
        (CONFIRM, "replayed", "redis"): 1,
        (CONFIRM, "reused", "redis"): 1,
    }


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


async def test_keys_of_payments(payments: Payments) -> None:
    """Payments, refunds and cancellations with a key are counted; those without one are not."""
    tally = Tally()
    for _ in range(2):
        paid = await payments.pay(key="k")
        await payments.refund(paid, "1.00", key="k")
    with pytest.raises(grpc.aio.AioRpcError):
        await payments.pay(key="k", amount="1.00")
    with pytest.raises(grpc.aio.AioRpcError):
        await payments.refund(paid, "2.00", key="k")
    await payments.cancel()
    await payments.caller.ProcessPayment(process(booking="BK-2"))
    await payments.caller.RefundPayment(give_back(paid.payment_id)).code()
    with pytest.raises(grpc.aio.AioRpcError):
        await payments.pay(key="other", amount="0.001")
    await until(lambda: sum(tally.of(KEYS).values()) == 7)
    assert tally.of(KEYS) == {
        (method, result, "database"): 1
        for method in ("ProcessPayment", "RefundPayment")
        for result in ("new", "replayed", "reused")
    } | {("ProcessPayment", "failed", "database"): 1}


async def test_keys_of_the_inventory(inventory: InventoryPeople) -> None:
    """Events and reservations with a key are counted by what was known of it."""
    tally, events = Tally(), []
    for _ in range(2):
        events.append(await inventory.admin.CreateEvent(build.create_event(), idempotency_key="k"))
        request = build.reserve(events[0].event_id, "A1")
        await inventory.buyer("ann").ReserveSeats(request, idempotency_key="k")
    for call in (
        inventory.admin.CreateEvent(build.create_event(["B1"]), idempotency_key="k"),
        inventory.buyer("ann").ReserveSeats(
            build.reserve(events[0].event_id, "A2"), idempotency_key="k"
        ),
    ):
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    await until(lambda: sum(tally.of(KEYS).values()) == 6)
    assert tally.of(KEYS) == {
        (method, result, "database"): 1
        for method in ("CreateEvent", "ReserveSeats")
        for result in ("new", "replayed", "reused")
    }


async def test_a_saga_that_runs_here(databases: Databases) -> None:
    """How many sagas run in this process is known while they do, and 0 when they have ended."""
    async with stack_on(databases) as stack:
        ann = stack.buyer("ann")
        stack.provider.hold()
        asking = asyncio.ensure_future(ann.asks(confirm_request(await ann.hold("A1"))))
        await stack.provider.asked()
        assert value("holdfast_sagas_here") == 1
        stack.provider.release()
        assert (await asking).code is grpc.StatusCode.OK
        await until(lambda: value("holdfast_sagas_here") == 0)
