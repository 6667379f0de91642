"""A person is given out whole, and erased from all that is stored; the books stay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.timestamp_pb2 import Timestamp
from holdfast.booking.v1 import booking_pb2
from holdfast.booking.v1 import booking_pb2_grpc as booking_rpc
from holdfast.payment.v1 import payment_pb2
from holdfast.payment.v1 import payment_pb2_grpc as payment_rpc
from sqlalchemy import insert
from support import bookings, build, redis
from support.audit import audit, read_tables
from support.bookings import POOR_CARD, Stack, confirm_request, on_sqlite, stack_on, until
from support.client import As, bad_fields, refused
from support.clock import ManualClock
from support.databases import SQLITE, Databases, url_of
from support.operators import cancellation_parked, operator, refund_by_hand
from support.payments import log_lines
from support.privacy import METADATA, REPLACEMENT, Office, files_hold, where
from support.redis import RedisServer
from support.tokens import metadata_for

from booking_svc.persistence import answers
from booking_svc.persistence import tables as booking_tables
from booking_svc.persistence.repository import SqlBookings
from chassis import context as call_context
from chassis import privacy as chassis_privacy
from chassis.database import DatabaseTransactions

private_redis, redis_server = redis.private_redis, redis.redis_server
stack = bookings.stack

WHO = "zoe-zq7x-example"
CARD, LAST_FOUR = "4539578763621486", "1486"
BOOKS = {
    "bookings": ("booking_id", "booking_reference", "currency", "created_at", "status"),
    "booking_seats": ("booking_id", "reservation_id", "seat_number", "price_minor"),
    "sagas": ("booking_id", "definition", "step", "state", "began_at"),
    "saga_steps": ("step_id", "action", "outcome", "began_at"),
    "payments": ("payment_id", "booking_reference", "amount_minor", "status", "transaction_id"),
    "refunds": ("refund_id", "payment_id", "amount_minor", "status", "finished_at"),
    "payment_log": ("payment_id", "entry_id", "happened_at", "action", "answer", "status"),
    "reservations": ("reservation_id", "seat_number", "price_minor", "status", "ended_at"),
    "outbox": ("event_id", "sequence", "kind", "subject", "occurred_at"),
}


class Life:
    """All that a person can do, and that others do about them."""

    def __init__(self, stack: Stack, who: str = WHO) -> None:
        self._stack, self._who = stack, who
        self._me = stack.buyer(who)

    async def lives(self) -> None:
        self._event_id = await self._stack.people.event([f"S{number}" for number in range(9)])
        await self._confirms(await self._hold("S0"), f"{self._who} 1")
        await self._confirms(await self._hold("S1"), f"{self._who} 2", POOR_CARD)
        cancelled = await self._confirms(await self._hold("S2"), f"{self._who} 3")
        await self._me.cancel(cancelled.booking_id)
        watched = self._me.watch(cancelled.booking_id)
        assert [one async for one in watched]
        await self._hold("S3", ttl_s=60)
        await self._stack.people.service.CancelReservations(build.cancel(*await self._hold("S4")))
        await self._pays_and_clerks()
        await self._works_as_an_operator()
        await self._stack.rests()
        self._stack.clock.move(3600)

    async def _hold(self, seat: str, ttl_s: float = 600) -> list[int]:
        request = build.reserve(self._event_id, seat, ttl_s=ttl_s)
        key = f"{seat} for {self._who}"
        held = await self._stack.people.buyer(self._who).ReserveSeats(request, idempotency_key=key)
        return [one.reservation_id for one in held.reservations]

    async def _confirms(self, held: list[int], key: str, card: str = CARD) -> Any:
        """Twice: a repeat is answered from another memory."""
        stub = booking_rpc.BookingServiceStub(await self._stack.channel(self._stack.bookings[0]))
        metadata = (
            *metadata_for(self._who, idempotency_key=key),
            ("x-request-id", f"request-of-{self._who}"),
        )
        for _ in range(2):
            call = stub.ConfirmBooking(confirm_request(held, card), metadata=metadata)
            answer = (await asyncio.gather(call, return_exceptions=True))[0]
        return answer

    async def _pays_and_clerks(self) -> None:
        """Pays for something else; a clerk gives a part back, and calls the rest off."""
        stub = payment_rpc.PaymentServiceStub(await self._stack.channel(self._stack.payment))
        payments = As(stub, self._who, "payments")
        request = payment_pb2.ProcessPaymentRequest(
            amount=build.decimal("75.00"),
            currency="USD",
            booking_reference="ORDER-7",
            user_id=self._who,
            payment_method=confirm_request([1], CARD).payment_method,
        )
        paid = await payments.ProcessPayment(request, idempotency_key=f"order of {self._who}")
        part = payment_pb2.RefundPaymentRequest(
            payment_id=paid.payment_id,
            amount=build.decimal("5.00"),
            reason=f"goodwill, for {self._who}, a friend",
        )
        await payments.RefundPayment(part)
        off = payment_pb2.CancelPaymentRequest(
            booking_reference="ORDER-7", reason=f"{self._who} asked for it"
        )
        await payments.CancelPayment(off)

    async def _works_as_an_operator(self) -> None:
        """Sets the saga of somebody else going again."""
        booking = await cancellation_parked(self._stack, key="of ann")
        await refund_by_hand(self._stack, booking)
        me = await operator(self._stack, user_id=self._who)
        await me.resolve(booking.booking_id, note="by hand")


@asynccontextmanager
async def life(databases: Databases, **settings: Any) -> AsyncIterator[Stack]:
    async with stack_on(databases, booking=settings, sweep_interval_s=0.05) as stack:
        await Life(stack).lives()
        await until(lambda: _is_at_rest(stack))
        yield stack


async def _is_at_rest(stack: Stack) -> bool:
    """Whether all that is over is written down as over, and all events have numbers."""
    tables = [await read_tables(url_of(one)) for one in stack.databases.values()]
    told = [row for one in tables for row in one.get("outbox", ())]
    held = [row for one in tables for row in one.get("reservations", ())]
    return all(one["sequence"] for one in told) and all(one["status"] != "ACTIVE" for one in held)


async def found(stack: Stack, *needles: str) -> dict[str, dict[str, set[str]]]:
    """In which rows of which service something is."""
    hits = {
        name: await where(stack.databases[name], metadata, *needles)
        for name, metadata in METADATA.items()
    }
    return {name: tables for name, tables in hits.items() if tables}


async def books(stack: Stack) -> dict[str, Any]:
    """What must be the same before and after."""
    tables = {
        (name, table): rows
        for name, database in stack.databases.items()
        for table, rows in (await read_tables(url_of(database))).items()
    }
    return {
        f"{name} {table}": [[row[column] for column in BOOKS[table]] for row in rows]
        for (name, table), rows in tables.items()
        if table in BOOKS
    }


async def test_of_a_person_nothing_is_left(databases: Databases, redis_server: RedisServer) -> None:
    """What is found of a person is exported first, and nowhere after the erasure; books stay."""
    with log_lines() as logged:
        async with life(databases, redis_url=redis_server.url) as stack:
            office = Office(stack)
            before, kept = await found(stack, WHO, LAST_FOUR), await books(stack)
            assert {name: set(tables) for name, tables in before.items()} == {
                "inventory_svc": {"reservations", "idempotency_keys"},
                "booking_svc": {"bookings", "sagas", "saga_steps", "outbox", "idempotency_keys"},
                "payment_svc": {
                    *("payments", "refunds", "payment_log", "outbox"),
                    *("booking_fences", "idempotency_keys"),
                },
            }
            anns = answers._name("ann", "of ann").encode()
            assert {anns} < set(redis_server.names())
            for service in METADATA:
                records = await office.export(service, WHO)
                names: dict[str, set[str]] = {}
                for one in records:
                    names.setdefault(one.kind, set()).add(one.name)
                for table, rows in before[service].items():
                    assert (table, rows - names[table]) == (table, set())
            logged.truncate(0)
            await office.erase(WHO)
            assert await found(stack, WHO) == {}
            # Somebody else has paid with another card.
            assert await found(stack, f'"{LAST_FOUR}"', f"\x04{LAST_FOUR}") == {}
            assert await books(stack) == kept
            for service in METADATA:
                assert await office.export(service, WHO) == []
            assert await audit(stack.databases, stack.provider) == []
            assert redis_server.names() == [anns]
            erasures = [one for one in logged.getvalue().splitlines() if "user_erased" in one]
            assert len(erasures) == 3
            assert all("olga" in one and WHO not in one for one in erasures)
            if databases.kind == SQLITE:
                for database in stack.databases.values():
                    assert await files_hold(database, WHO, LAST_FOUR + '"') == []


OPEN = {"booking": "booking_svc", "payment": "payment_svc", "reservation": "inventory_svc"}


@pytest.mark.parametrize("what", OPEN)
async def test_while_something_is_open(stack: Stack, what: str) -> None:
    """While a booking, a payment or a hold is not over, its service erases nothing and names it."""
    zoe = stack.buyer(WHO)
    held = await zoe.hold("A1")
    if what != "reservation":
        await zoe.asks(confirm_request(held, "4000000000003188"))
    office, service = Office(stack), OPEN[what]
    before = await read_tables(url_of(stack.databases[service]))
    for only in (True, False):
        with refused("USER_HAS_OPEN_BOOKINGS") as said:
            await office.erase_at(service, WHO, validate_only=only)
    (named,) = said[0].metadata
    assert named == f"{what}s"
    after = await read_tables(url_of(stack.databases[service]))
    told = ("reservations", "idempotency_keys", "bookings", "payments")
    assert {name: after[name] for name in after if name in told} == {
        name: before[name] for name in before if name in told
    }
    stack.provider.settle()
    await stack.passing(_over(stack), step_s=60)
    await office.erase(WHO)
    assert await found(stack, WHO) == {}


async def _over(stack: Stack) -> None:
    """Wait until an hour has gone by, and no saga is open."""
    await stack.clock_at(3600)

    async def none_is_open() -> bool:
        return not await stack._sagas()

    await until(none_is_open)


async def test_a_parked_saga_is_open(stack: Stack) -> None:
    """Of whom a saga waits for a person, nothing is erased."""
    booking = await cancellation_parked(stack)
    with refused("USER_HAS_OPEN_BOOKINGS", bookings=booking.booking_reference):
        await Office(stack).erase_at("booking_svc", "ann")
    await refund_by_hand(stack, booking)
    await (await operator(stack)).resolve(booking.booking_id)


@on_sqlite
@pytest.mark.parametrize("after", [0, 2])
async def test_an_interrupted_erasure(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """An erasure that ends in the middle, after any batch, is finished by the same call again."""
    monkeypatch.setattr(chassis_privacy, "BATCH", 2)
    whole = chassis_privacy.Privacy._erase
    left = after

    async def dies(self: Any, part: str, erasure: Any) -> dict[str, int]:
        nonlocal left
        if not left:
            raise RuntimeError(part)
        left -= 1
        return await whole(self, part, erasure)

    async with life(databases) as stack:
        office, kept = Office(stack), await books(stack)
        for service in METADATA:
            left = after
            with monkeypatch.context() as patched:
                patched.setattr(chassis_privacy.Privacy, "_erase", dies)
                with refused("INTERNAL"):
                    await office.erase_at(service, WHO)
            await office.erase_at(service, WHO)
            assert await office.erase_at(service, WHO) == {}
        assert await found(stack, WHO) == {}
        assert await books(stack) == kept


@on_sqlite
@pytest.mark.parametrize(
    ("seconds", "nanos"), [(253402300800, 0), (-62135596801, 0), (2**62, 0), (0, -1), (0, 2**30)]
)
async def test_a_moment_that_is_none(stack: Stack, seconds: int, nanos: int) -> None:
    """A moment that no calendar of a database has is the caller's mistake, and nothing changes."""
    office = Office(stack)
    for service in METADATA:
        with refused("INVALID_FIELD"):
            await office.erase_at(service, WHO, before=Timestamp(seconds=seconds, nanos=nanos))


async def test_a_booking_during_the_erasure(stack: Stack) -> None:
    """What a user begins once an erasure has begun stays whole, and is left for the next."""
    office, zoe = Office(stack), stack.buyer(WHO)
    await zoe.confirm(await zoe.hold("A1"), "first")
    stack.clock.move(60)
    before = Timestamp()
    before.FromDatetime(stack.clock.now())
    for service in METADATA:
        await office.erase_at(service, WHO, before=before, validate_only=True)
    # Paid, and its answer is lost: the saga asks again, and must find its payment.
    held = await zoe.hold("A2")
    booking = asyncio.create_task(zoe.asks(confirm_request(held, "4000000000003204"), "second"))
    for service in METADATA:
        await office.erase_at(service, WHO, before=before)
    await stack.passing(booking, step_s=1)
    (mine,) = (await zoe.mine()).bookings
    await stack.passing(zoe.sees(mine.booking_id, "CONFIRMED"), step_s=1)
    assert await audit(stack.databases, stack.provider) == []
    assert len(stack.provider.taken) == 2
    stack.clock.move(60)
    await office.erase(WHO)
    assert await found(stack, WHO) == {}


async def test_a_charge_that_comes_after_the_erasure(stack: Stack) -> None:
    """Whoever repeats a charge when its key is erased takes no money: its fence is kept."""
    zoe = stack.buyer(WHO)
    booking = await zoe.confirm(await zoe.hold("A1"))
    await Office(stack).erase(WHO)
    stub = payment_rpc.PaymentServiceStub(await stack.channel(stack.payment))
    request = payment_pb2.ProcessPaymentRequest(
        amount=booking.total_amount,
        currency=booking.currency,
        booking_reference=booking.booking_reference,
        user_id=REPLACEMENT,
        payment_method=confirm_request([1], CARD).payment_method,
    )
    late = await As(stub, "booking_svc", "payments").ProcessPayment(
        request, idempotency_key=f"{booking.booking_reference}/charge"
    )
    assert late.status == payment_pb2.Payment.CANCELLED
    assert len(stack.provider.taken) == 1


async def test_only_the_person(stack: Stack) -> None:
    """Another user's rows are what they were, also of one whose id begins with the same letters."""
    for seat, who in (("A1", WHO), ("A2", WHO + "2")):
        buyer = stack.buyer(who)
        await buyer.confirm(await buyer.hold(seat))
    office = Office(stack)
    before = [await office.export(service, WHO + "2") for service in METADATA]
    assert all(before)
    await office.erase(WHO)
    assert [await office.export(service, WHO + "2") for service in METADATA] == before
    again = await stack.buyer(WHO + "2").asks(
        confirm_request([one.reservation_id for one in _booked(before).seats])
    )
    assert again.replayed


async def test_only_what_the_person_did_by_hand(databases: Databases) -> None:
    """What operators did whose ids a database could take for the person's is theirs."""
    database = await databases.fresh("booking_svc")
    clock = ManualClock()
    others = (WHO.upper(), f"{WHO}:", f"{WHO}%", WHO.replace("-", "_", 1), f"{WHO}x")
    acts = [f"by {one}{note}" for one in (WHO, *others) for note in ("", ": done")]
    rows = [
        {
            "step_id": number,
            "booking_id": 1,
            "definition": "cancel_booking",
            "step": "payment",
            "action": "give_back_payment",
            "attempt": 1,
            "outcome": "RESOLVED",
            "detail": detail,
            "began_at": clock.now(),
            "took_ms": 0,
        }
        for number, detail in enumerate(acts, 1)
    ]
    stored = insert(booking_tables.saga_steps).values(rows)
    await database.write(lambda one: one.execute(stored))
    transactions = DatabaseTransactions(database, SqlBookings)
    privacy = chassis_privacy.Privacy(transactions, clock, lambda payload, _: payload)
    told = [one.fields["detail"] async for one in privacy.export(WHO)]
    assert told == acts[:2]
    assert await privacy.erase(WHO, REPLACEMENT, validate_only=True) == {"saga_steps": 2}
    call_context.set_caller(call_context.Caller("olga", frozenset()))
    await privacy.erase(WHO, REPLACEMENT)
    kept = await read_tables(url_of(database))
    details = [one["detail"] for one in sorted(kept["saga_steps"], key=lambda one: one["step_id"])]
    assert details == [f"by {REPLACEMENT}", f"by {REPLACEMENT}: done", *acts[2:]]


@pytest.mark.parametrize("nobody", [f"{WHO} ", f" {WHO}", f"{WHO}\x07"])
async def test_what_is_nobodys_id(stack: Stack, nobody: str) -> None:
    """An id that no token can have is refused, where a database could take it for another."""
    zoe, office = stack.buyer(WHO), Office(stack)
    await zoe.confirm(await zoe.hold("A1"))
    for service in METADATA:
        with refused("INVALID_FIELD"):
            await office.export(service, nobody)
        with refused("INVALID_FIELD"):
            await office.erase_at(service, nobody)
        assert await office.export(service, WHO)


def _booked(exported: Any) -> booking_pb2.Booking:
    (answer,) = [
        one.fields["answer"] for rows in exported for one in rows if one.kind == "bookings"
    ]
    booking = booking_pb2.Booking()
    Parse(MessageToJson(answer), booking)
    return booking


@on_sqlite
@pytest.mark.parametrize("replacement", ["", "bob", "erased-", f"{REPLACEMENT} ", REPLACEMENT[:-1]])
async def test_a_replacement_that_could_be_somebody(stack: Stack, replacement: str) -> None:
    """Only `erased-` and 26 hexadecimal digits may stand in place of an id, and not its own."""
    office = Office(stack)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await office.erase_at("booking_svc", "ann", replacement=replacement)
    assert set(bad_fields(caught.value)) == {"replacement"}
    with refused("INVALID_FIELD"):
        await office.erase_at("booking_svc", REPLACEMENT)


@on_sqlite
async def test_while_redis_is_away(databases: Databases) -> None:
    """Where the copies of answers cannot be deleted, the erasure fails and says so."""
    async with stack_on(databases, booking={"redis_url": "redis://127.0.0.1:1"}) as stack:
        zoe = stack.buyer(WHO)
        await zoe.confirm(await zoe.hold("A1"))
        with refused("DEPENDENCY_UNAVAILABLE"):
            await Office(stack).erase_at("booking_svc", WHO)
