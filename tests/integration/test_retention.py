"""What is old is forgotten in every service, and nothing that somebody can still ask for."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc
from holdfast.payment.v1 import payment_pb2
from holdfast.payment.v1 import payment_pb2_grpc as payment_rpc
from prometheus_client import REGISTRY
from sqlalchemy import MetaData, Table, insert, select
from support import bookings, build
from support.audit import audit
from support.bookings import POOR_CARD, Stack, confirm_request, on_sqlite, stack_on, until
from support.client import As, refused
from support.clock import START, ManualClock
from support.databases import Databases
from support.operators import cancellation_parked, operator

from booking_svc.config import BookingSettings
from booking_svc.persistence import tables as booking_tables
from booking_svc.persistence.repository import SqlBookings
from booking_svc.usecases import retention as booking_retention
from booking_svc.usecases.follow_payments import CURSOR
from chassis import retention as chassis_retention
from chassis.database import Database, DatabaseTransactions
from chassis.retention import Retention
from chassis.settings import ServiceSettings, SettingsError, load
from inventory_svc.config import InventorySettings
from inventory_svc.persistence import tables as inventory_tables
from inventory_svc.persistence.repository import SqlInventory
from inventory_svc.usecases import retention as inventory_retention
from payment_svc.config import PaymentSettings
from payment_svc.persistence import tables as payment_tables
from payment_svc.persistence.repository import SqlLedger
from payment_svc.usecases import retention as payment_retention

stack = bookings.stack
KEPT_S = 100_000.0
EDGE = START - timedelta(seconds=KEPT_S)
OLD = EDGE - timedelta(microseconds=1)
# repository, rules, how many retentions they have, tables
SERVICES: dict[str, tuple[Any, Any, int, MetaData]] = {
    "booking_svc": (SqlBookings, booking_retention, 3, booking_tables.metadata),
    "payment_svc": (SqlLedger, payment_retention, 3, payment_tables.metadata),
    "inventory_svc": (SqlInventory, inventory_retention, 2, inventory_tables.metadata),
}
Rows = list[dict[str, Any]]


def worker(service: str, database: Database, clock: ManualClock) -> Retention[Any]:
    """What a service forgets by, after the same time each."""
    repository, rules, count, _ = SERVICES[service]
    kept = rules.Retentions(*[KEPT_S] * count)
    made: Retention[Any] = rules.retention(DatabaseTransactions(database, repository), clock, kept)
    return made


async def forget(stack: Stack) -> None:
    for name, database in stack.databases.items():
        while await worker(name, database, stack.clock).run_once():
            pass


async def rows_of(database: Database, table: Table) -> Rows:
    async def unit(connection: Any) -> Rows:
        return [dict(row) for row in (await connection.execute(select(table))).mappings()]

    return await database.read(unit)


async def counts(stack: Stack) -> dict[str, dict[str, int]]:
    """How many rows there are, by service and table."""
    return {
        name: {
            table.name: len(await rows_of(stack.databases[name], table))
            for table in metadata.sorted_tables
        }
        for name, (_, _, _, metadata) in SERVICES.items()
    }


async def store(database: Database, table: Table, *rows: dict[str, Any]) -> None:
    async def unit(connection: Any) -> None:
        for row in rows:
            await connection.execute(insert(table).values(row))

    await database.write(unit)


async def all_kinds(stack: Stack) -> None:
    """Bookings that end in every way, and holds that nobody pays for."""
    ann = stack.buyer("ann")
    event_id = await stack.people.event([f"S{number}" for number in range(5)])

    async def hold(seat: str) -> list[int]:
        return await ann.hold(seat, event_id=event_id)

    await ann.confirm(await hold("S0"), "confirmed")
    await ann.asks(confirm_request(await hold("S1"), POOR_CARD), "declined")
    cancelled = await ann.confirm(await hold("S2"), "cancelled")
    await ann.cancel(cancelled.booking_id)
    over = build.reserve(event_id, "S3", ttl_s=60)
    await stack.people.buyer("ann").ReserveSeats(over, idempotency_key="over")
    await stack.people.service.CancelReservations(build.cancel(*await hold("S4")))


async def swept(stack: Stack) -> None:
    """Wait until no reservation is stored as ACTIVE."""

    async def none_is_active() -> bool:
        found = await rows_of(stack.databases["inventory_svc"], inventory_tables.reservations)
        return all(one["status"] != "ACTIVE" for one in found)

    await until(none_is_active)


async def test_all_that_is_old_and_nothing_else(databases: Databases) -> None:
    """Up to the retention nothing goes; then keys, events, steps and unpaid holds, and no book."""
    async with stack_on(databases, sweep_interval_s=0.05) as stack:
        await all_kinds(stack)
        await stack.rests()
        stack.clock.move(KEPT_S)
        await swept(stack)
        before = await counts(stack)
        await forget(stack)
        assert await counts(stack) == before
        stack.clock.move(KEPT_S + 1)
        await forget(stack)
        left = await counts(stack)
        gone = {
            name: {table for table, count in tables.items() if count < before[name][table]}
            for name, tables in left.items()
        }
        assert gone == {
            "booking_svc": {"idempotency_keys", "outbox", "saga_steps"},
            "payment_svc": {"idempotency_keys", "outbox"},
            "inventory_svc": {"idempotency_keys", "reservations"},
        }
        # What was booked once stays: S0 and S2.
        assert left["inventory_svc"]["reservations"] == 2
        assert await audit(stack.databases, stack.provider) == []
        await stack.buyer("ann").confirm(await stack.buyer("ann").hold("A1"), "confirmed")


async def test_what_is_open_keeps_its_key_and_its_history(stack: Stack) -> None:
    """However old, the key and the steps of a booking stay while a saga of it is parked."""
    booking = await cancellation_parked(stack)
    stack.clock.move(2 * KEPT_S)
    await forget(stack)
    assert (await stack.buyer("ann").asks(_again(booking))).replayed
    shown = await (await operator(stack)).show(booking.booking_id)
    assert shown.timeline

    async def is_given_back() -> bool:
        """By itself, as so much time has gone by."""
        (paid,) = await stack.payments()
        return paid.status == payment_pb2.Payment.REFUNDED

    await until(is_given_back)
    await (await operator(stack)).resolve(booking.booking_id)
    await stack.rests()
    stack.clock.move(2 * KEPT_S)
    await forget(stack)
    # What a person did belongs to the books; the auditor goes by it, too.
    outcome = pb_outcomes(await (await operator(stack)).show(booking.booking_id))
    assert outcome == ["RESOLVED"]


def _again(booking: pb.Booking) -> pb.ConfirmBookingRequest:
    return confirm_request([one.reservation_id for one in booking.seats])


def pb_outcomes(saga: Any) -> list[str]:
    return [type(saga).StepRecord.Outcome.Name(one.outcome) for one in saga.timeline]


async def test_a_key_of_an_open_payment_stays(databases: Databases) -> None:
    """An old key goes when its payment, refund or called-off booking has its outcome, and then."""
    database = await databases.fresh("payment_svc")
    tables = payment_tables
    still, done = {"status": "PENDING", "next_ask_at": OLD}, {"status": "SUCCESS"}
    payment = {
        "currency": "USD",
        "amount_minor": 1,
        "user_id": "ann",
        "method_type": "CREDIT_CARD",
        "method_brand": "",
        "method_last_four": "",
        "transaction_id": "",
        "asks": 0,
        "created_at": OLD,
        "leased_until": OLD,
        "refunded_minor": 0,
        "returned_minor": 0,
    }
    refund = {
        "payment_id": "pay_done",
        "currency": "USD",
        "amount_minor": 1,
        "reason": "",
        "asks": 0,
        "created_at": OLD,
        "leased_until": OLD,
    }
    for name, state in (("open", still), ("done", {**done, "next_ask_at": None})):
        row = {**payment, "payment_id": f"pay_{name}", "booking_reference": f"BK-{name}", **state}
        await store(database, tables.payments, row)
        own = {**refund, "payment_id": f"pay_{name}", "refund_id": f"ref_{name}", **state}
        await store(database, tables.refunds, own)
    subjects = [f"{kind}{name}" for kind in ("pay_", "ref_", "BK-") for name in ("open", "done")]
    key = {"owner": "o", "fingerprint": "f"}
    for subject in subjects:
        for age, at in (("old", OLD), ("edge", EDGE)):
            named = {"idempotency_key": f"{subject} {age}", "subject": subject, "created_at": at}
            await store(database, tables.idempotency_keys, {**key, **named})
    await worker("payment_svc", database, ManualClock()).run_once()
    left = {one["idempotency_key"] for one in await rows_of(database, tables.idempotency_keys)}
    assert left == {f"{one} edge" for one in subjects} | {
        f"{one} old" for one in subjects if one.endswith("open")
    }


async def test_a_webhook_that_is_tried_again_stays(databases: Databases) -> None:
    """An old webhook goes when it took effect or never will, and not while it is tried again."""
    database = await databases.fresh("payment_svc")
    one = {"provider": "p", "reference": "r", "answer": "PENDING", "detail": "", "tries": 1}
    for name, at, again in (("old", OLD, None), ("kept", OLD, START), ("edge", EDGE, None)):
        when = {"event_id": name, "received_at": at, "next_try_at": again}
        await store(database, payment_tables.webhook_events, {**one, **when})
    await worker("payment_svc", database, ManualClock()).run_once()
    left = await rows_of(database, payment_tables.webhook_events)
    assert {row["event_id"] for row in left} == {"kept", "edge"}


RESERVATIONS: dict[str, tuple[dict[str, Any], bool]] = {
    "expired": ({"status": "EXPIRED"}, False),
    "cancelled": ({"status": "CANCELLED"}, False),
    "ended by an older version": ({"status": "CANCELLED", "ended_at": None}, False),
    "held": ({"status": "ACTIVE", "ended_at": None}, True),
    "booked": ({"status": "CONFIRMED", "booking_reference": "BK", "ended_at": None}, True),
    "was booked": ({"status": "CANCELLED", "booking_reference": "BK"}, True),
    "ended late": ({"status": "EXPIRED", "ended_at": EDGE}, True),
    "not so old": ({"status": "EXPIRED", "expires_at": EDGE}, True),
}


async def test_only_holds_that_came_to_nothing(databases: Databases) -> None:
    """A reservation goes when it ended long ago and no booking ever had it."""
    database = await databases.fresh("inventory_svc")
    plain = {
        "event_id": 1,
        "user_id": "ann",
        "seat_id": 1,
        "seat_number": "A1",
        "currency": "USD",
        "price_minor": 1,
        "created_at": OLD,
        "expires_at": OLD,
        "ended_at": OLD,
        "booking_reference": "",
    }
    for number, (changes, _) in enumerate(RESERVATIONS.values()):
        row = {**plain, "reservation_id": number, **changes}
        await store(database, inventory_tables.reservations, row)
    await worker("inventory_svc", database, ManualClock()).run_once()
    left = {one["reservation_id"] for one in await rows_of(database, inventory_tables.reservations)}
    named = [name for number, name in enumerate(RESERVATIONS) if number in left]
    assert named == [name for name, (_, stays) in RESERVATIONS.items() if stays]


async def test_what_names_something_goes_first(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While old keys are left, no reservation goes that one of them may name; batches are small."""
    monkeypatch.setattr(chassis_retention, "BATCH", 2)
    database = await databases.fresh("inventory_svc")
    key = {"owner": "o", "fingerprint": "f", "subject": "1", "created_at": OLD}
    keys = [{**key, "idempotency_key": f"k{number}"} for number in range(3)]
    await store(database, inventory_tables.idempotency_keys, *keys)
    plain = {
        "event_id": 1,
        "user_id": "ann",
        "seat_id": 1,
        "seat_number": "A1",
        "currency": "USD",
        "price_minor": 1,
        "created_at": OLD,
        "expires_at": OLD,
        "ended_at": OLD,
        "booking_reference": "",
        "status": "EXPIRED",
    }
    await store(
        database, inventory_tables.reservations, *({**plain, "reservation_id": n} for n in range(3))
    )
    one = worker("inventory_svc", database, ManualClock())
    seen = []
    before = counted("reservations")
    for _ in range(3):
        more = await one.run_once()
        left = [
            len(await rows_of(database, table))
            for table in (inventory_tables.idempotency_keys, inventory_tables.reservations)
        ]
        seen.append((more, *left))
    assert seen == [(True, 1, 3), (True, 0, 1), (False, 0, 0)]
    assert counted("reservations") == before + 3


def counted(kind: str) -> float:
    return REGISTRY.get_sample_value("holdfast_purged_rows_total", {"kind": kind}) or 0.0


class Feed:
    """The events of a service, as a consumer reads them."""

    def __init__(self, stack: Stack, service: str) -> None:
        self._stack, self._service = stack, service

    async def take(self, count: int, cursor: str = "") -> list[Any]:
        request: Message
        if self._service == "booking_svc":
            served, stub, scope = self._stack.bookings[0], rpc.BookingServiceStub, "admin"
            request = pb.StreamBookingEventsRequest(cursor=cursor)
        else:
            served, stub, scope = self._stack.payment, payment_rpc.PaymentServiceStub, "payments"
            request = payment_pb2.StreamPaymentEventsRequest(cursor=cursor)
        caller = As(stub(await self._stack.channel(served)), "reader", scope)
        name = request.DESCRIPTOR.name.removesuffix("Request")
        stream = getattr(caller, name)(request)
        taken: list[Any] = []
        async for one in stream:
            taken.append(one)
            if len(taken) == count:
                break
        stream.cancel()
        return taken


async def book(stack: Stack, *seats: str) -> None:
    ann = stack.buyer("ann")
    for seat in seats:
        await ann.confirm(await ann.hold(seat), seat)


@pytest.mark.parametrize("service", ["booking_svc", "payment_svc"])
async def test_a_reader_who_was_away_too_long(stack: Stack, service: str) -> None:
    """A cursor before what is kept is refused by name; the last one goes on, and so does none."""
    feed = Feed(stack, service)
    await book(stack, "A1", "A2")
    first, last = await feed.take(2)
    stack.clock.move(2 * KEPT_S)
    await forget(stack)
    with refused("CURSOR_EXPIRED"):
        await feed.take(1, first.cursor)
    await book(stack, "A3")
    with refused("CURSOR_EXPIRED"):
        await feed.take(1, first.cursor)
    (new,) = await feed.take(1, last.cursor)
    assert await feed.take(1) == [new]


async def test_bookings_that_missed_payment_events(stack: Stack) -> None:
    """The orchestrator that finds its cursor too old begins anew, and follows what comes."""
    await book(stack, "A1", "A2")
    first, _ = await Feed(stack, "payment_svc").take(2)
    stack.clock.move(2 * KEPT_S)
    await forget(stack)
    (service,) = stack.bookings
    await service.stop()
    database, table = stack.databases["booking_svc"], booking_tables.cursors
    await database.write(lambda one: one.execute(table.delete()))
    await store(database, table, {"name": CURSOR, "position": first.cursor})
    await service.start()
    held = await stack.buyer("ann").hold("A3")
    pending = await stack.buyer("ann").asks(confirm_request(held, "4000000000003188"), "late")

    async def began_anew() -> bool:
        (row,) = await rows_of(database, table)
        return bool(row["position"] != first.cursor)

    await until(began_anew)
    stack.provider.settle()
    await stack.passing(stack.buyer("ann").sees(pending.booking.booking_id, "CONFIRMED"), step_s=1)


async def test_two_replicas_forget_at_once(databases: Databases) -> None:
    """Two replicas that delete the same at one moment are in nobody's way."""
    async with stack_on(databases, sweep_interval_s=0.05) as stack:
        await all_kinds(stack)
        stack.clock.move(KEPT_S)
        await swept(stack)
        stack.clock.move(2 * KEPT_S)
        await asyncio.gather(forget(stack), forget(stack))
        left = await counts(stack)
        assert {one["idempotency_keys"] for one in left.values()} == {0}
        assert left["inventory_svc"]["reservations"] == 2


@pytest.mark.parametrize("retention_s", [float("inf"), 1e12])
@on_sqlite
async def test_what_is_kept_for_ever(databases: Databases, retention_s: float) -> None:
    """A retention longer than all time keeps what it is of, and the others are as they are."""
    database, clock = await databases.fresh("payment_svc"), ManualClock()
    row = {"owner": "ann", "idempotency_key": "k", "fingerprint": "f", "subject": "pay_1"}
    await store(database, payment_tables.idempotency_keys, {**row, "created_at": clock.now()})
    event = {"provider": "mock", "event_id": "e", "reference": "pay_1", "answer": "PENDING"}
    received = {"detail": "", "received_at": clock.now(), "tries": 0}
    await store(database, payment_tables.webhook_events, {**event, **received})
    clock.move(2 * KEPT_S)
    transactions = DatabaseTransactions(database, SqlLedger)
    kept = payment_retention.Retentions(retention_s, retention_s, KEPT_S)
    assert not await payment_retention.retention(transactions, clock, kept).run_once()
    assert len(await rows_of(database, payment_tables.idempotency_keys)) == 1
    assert await rows_of(database, payment_tables.webhook_events) == []


MISTAKES: dict[str, tuple[type[ServiceSettings], dict[str, str]]] = {
    "INVENTORY_RESERVATIONS_RETENTION_S: must be at least INVENTORY_IDEMPOTENCY_RETENTION_S": (
        InventorySettings,
        {"INVENTORY_RESERVATIONS_RETENTION_S": "2591999"},
    ),
    "INVENTORY_RESERVATIONS_RETENTION_S: must be at least 172800": (
        InventorySettings,
        {
            "INVENTORY_RESERVATIONS_RETENTION_S": "172799",
            "INVENTORY_IDEMPOTENCY_RETENTION_S": "172799",
        },
    ),
    "INVENTORY_IDEMPOTENCY_RETENTION_S: must be at least INVENTORY_RESERVATION_LIFETIME": (
        InventorySettings,
        {"INVENTORY_IDEMPOTENCY_RETENTION_S": "3599"},
    ),
    "PAYMENT_IDEMPOTENCY_RETENTION_S: must be at least 86400": (
        PaymentSettings,
        {"PAYMENT_IDEMPOTENCY_RETENTION_S": "86399"},
    ),
    "PAYMENT_WEBHOOKS_RETENTION_S: must be at least 604800": (
        PaymentSettings,
        {"PAYMENT_WEBHOOKS_RETENTION_S": "604799"},
    ),
    "BOOKING_EVENTS_RETENTION_S: ": (BookingSettings, {"BOOKING_EVENTS_RETENTION_S": "3599"}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_must_outlive_what(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retentions under which something late would not find what guards it are refused by name."""
    settings, told = MISTAKES[mistake]
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load(settings)
    assert str(caught.value).startswith(mistake)
    for name, value in told.items():
        monkeypatch.setenv(name, str(int(value) + 1))
    load(settings)
