"""Old keys are forgotten, but never one that somebody may still need."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.bookings import HurriedClock, confirm_request, stack_on
from support.clock import START
from support.databases import Databases
from support.sagas import a_booking

from booking_svc.domain.booking import BookingStatus
from booking_svc.persistence.repository import SqlBookings
from booking_svc.ports import Bookings
from booking_svc.saga import machine
from booking_svc.saga.definition import CANCEL_BOOKING, CONFIRM_BOOKING
from booking_svc.saga.machine import Lease, State
from booking_svc.usecases.retention import Retentions, retention
from chassis import retention as chassis_retention
from chassis.clock import Clock
from chassis.database import DatabaseTransactions
from chassis.idempotency import Claim
from chassis.retention import Retention
from chassis.transactions import Transactions

RETENTION_S = 1000.0
FOREVER_S = 1e9
OLD = START - timedelta(seconds=RETENTION_S, microseconds=1)
LEASE = Lease("somebody", START)


@pytest.fixture
async def transactions(databases: Databases) -> Transactions[SqlBookings]:
    return DatabaseTransactions(await databases.fresh("booking_svc"), SqlBookings)


def purge_keys(transactions: Transactions[Bookings], clock: Clock) -> Retention[Bookings]:
    return retention(transactions, clock, Retentions(RETENTION_S, FOREVER_S, FOREVER_S))


@pytest.fixture
def purge(transactions: Transactions[SqlBookings]) -> Retention[Bookings]:
    return purge_keys(transactions, HurriedClock())


def claim(key: str, booking_id: int, **changes: object) -> Claim:
    return replace(Claim("ann", key, "f", str(booking_id), OLD), **changes)


async def keys_left(transactions: Transactions[SqlBookings], *keys: str) -> list[str]:
    async def unit(bookings: SqlBookings) -> list[str]:
        return [key for key in keys if await bookings.keys.find("ann", key)]

    return await transactions.read(unit)


async def test_a_key_stays_while_its_booking_may_change(
    transactions: Transactions[SqlBookings], purge: Retention[Bookings]
) -> None:
    """An old key goes when its booking is settled and its sagas are over, and not before."""
    cases = {f"{status} {state}": (status, state) for status in BookingStatus for state in State}

    async def given(bookings: SqlBookings) -> None:
        for number, (key, (status, state)) in enumerate(cases.items(), 1):
            reference = f"BK-2026-{number:010}"
            await bookings.add_booking(
                a_booking(booking_id=number, booking_reference=reference, status=status)
            )
            ended = machine.begin(CONFIRM_BOOKING, number, OLD, LEASE)
            other = machine.begin(CANCEL_BOOKING, number, OLD, LEASE)
            await bookings.sagas.add(replace(ended, state=State.SUCCEEDED))
            await bookings.sagas.add(replace(other, state=state))
            await bookings.keys.claim(claim(key, number))

    await transactions.write(given)
    assert not await purge.run_once()
    stays = [
        key
        for key, (status, state) in cases.items()
        if status in ("PENDING", "CANCELLING") or state in ("RUNNING", "NEEDS_ATTENTION")
    ]
    assert await keys_left(transactions, *cases) == stays


async def test_a_key_goes_by_its_age(
    transactions: Transactions[SqlBookings], purge: Retention[Bookings]
) -> None:
    """A key as old as the retention stays; one that is older goes, of the same user or not."""
    moment = timedelta(microseconds=1)

    async def given(bookings: SqlBookings) -> None:
        await bookings.add_booking(a_booking(status=BookingStatus.CONFIRMED))
        for one in (
            claim("old", 5001),
            claim("old", 5001, owner="bob"),
            claim("on the edge", 5001, created_at=OLD + moment),
            claim("new", 5001, created_at=START),
        ):
            await bookings.keys.claim(one)

    await transactions.write(given)
    await purge.run_once()
    assert await keys_left(transactions, "old", "on the edge", "new") == ["on the edge", "new"]
    assert not await transactions.read(lambda one: one.keys.find("bob", "old"))


async def test_more_than_a_batch_of_keys(
    transactions: Transactions[SqlBookings],
    purge: Retention[Bookings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A round deletes one batch and says if there is more; keys that must stay do not block it."""
    monkeypatch.setattr(chassis_retention, "BATCH", 3)
    keys = [f"k{number}" for number in range(5)]

    async def given(bookings: SqlBookings) -> None:
        pending = a_booking(booking_id=5002, booking_reference="BK-2026-ZZZZZZZZZZ")
        await bookings.add_booking(a_booking(status=BookingStatus.CONFIRMED))
        await bookings.add_booking(pending)
        for number in range(4):
            older = OLD - timedelta(days=1)
            await bookings.keys.claim(claim(f"stays{number}", 5002, created_at=older))
        for key in keys:
            await bookings.keys.claim(claim(key, 5001))

    await transactions.write(given)
    assert [await purge.run_once() for _ in range(2)] == [True, False]
    assert await keys_left(transactions, *keys) == []
    assert len(await keys_left(transactions, *(f"stays{number}" for number in range(4)))) == 4


async def test_a_forgotten_key_is_free(databases: Databases) -> None:
    """After the retention the same key books again, and the first booking stays as it was."""
    async with stack_on(databases) as stack:
        ann = stack.buyer("ann")
        first = await ann.confirm(await ann.hold("A1"))
        transactions = DatabaseTransactions(stack.databases["booking_svc"], SqlBookings)
        stack.clock.move(RETENTION_S + 1)
        await purge_keys(transactions, stack.clock).run_once()
        second = await ann.asks(confirm_request(await ann.hold("A2")))
        assert not second.replayed
        assert second.booking.booking_id != first.booking_id
        assert await ann.get(first.booking_id) == first
