"""Sagas of definitions that only a newer version knows are left to it, seen, and not touched."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from support import bookings
from support.bookings import Stack
from support.client import refused
from support.clock import ManualClock
from support.databases import Databases
from support.office import Office
from support.operators import CANCEL, CONFIRM, cancellation_parked, operator
from support.sagas import a_booking
from support.telemetry import value

from booking_svc.persistence.repository import SqlBookings
from booking_svc.saga import machine
from booking_svc.saga.definition import CANCEL_BOOKING, CONFIRM_BOOKING, DEFINITIONS, Definition
from booking_svc.saga.machine import Lease, Saga, State
from booking_svc.usecases.census import Census
from booking_svc.usecases.recovery import Recovery
from chassis.database import DatabaseTransactions

stack = bookings.stack
NEWER = Definition(f"{CONFIRM}/2", CONFIRM_BOOKING.steps)


@pytest.fixture
async def transactions(databases: Databases) -> DatabaseTransactions[SqlBookings]:
    return DatabaseTransactions(await databases.fresh("booking_svc"), SqlBookings)


def names(saga: Saga) -> dict[str, Any]:
    return {"booking_id": saga.booking_id, "booking_reference": f"BK-{saga.booking_id}"}


def overdue(definition: Definition, booking_id: int, clock: ManualClock) -> Saga:
    return machine.begin(definition, booking_id, clock.now(), Lease("", clock.now()))


async def renamed(stack: Stack, to: str, booking_id: int) -> None:
    """Have a saga be of another definition, as a newer replica would have begun it."""
    values = {"to": to, "id": booking_id, "of": to.partition("/")[0] + "%"}
    for table in ("sagas", "saga_steps"):
        named = text(
            f"UPDATE {table} SET definition = :to"  # noqa: S608
            " WHERE booking_id = :id AND definition LIKE :of"
        )
        await stack.databases["booking_svc"].write(
            lambda one, named=named: one.execute(named, values)
        )


async def test_a_newer_saga_is_left_alone(
    transactions: DatabaseTransactions[SqlBookings],
) -> None:
    """Recovery takes over what it knows; any other saga stays as it is, and nothing is logged."""
    office = Office()
    clock = office.clock
    known, newer = overdue(CONFIRM_BOOKING, 1, clock), overdue(NEWER, 2, clock)

    async def store(repository: SqlBookings) -> None:
        for saga in (known, newer):
            await repository.add_booking(a_booking(**names(saga)))
            await repository.sagas.add(saga)

    await transactions.write(store)
    recovery = Recovery(transactions, office.sagas, clock, asyncio.Event())
    with capture_logs() as lines:
        assert not await recovery.run_once()
        assert not await recovery.run_once()
    assert lines == []
    assert office.sagas.running == [1]
    found = await transactions.read(lambda one: one.sagas.find(2, NEWER.name))
    assert found == newer


async def test_a_saga_is_found_by_what_it_is_for(
    transactions: DatabaseTransactions[SqlBookings],
) -> None:
    """Whoever asks for a family finds the saga of whichever version; other families are others."""
    clock = ManualClock()
    newer, cancels = overdue(NEWER, 1, clock), overdue(CANCEL_BOOKING, 1, clock)

    async def unit(repository: SqlBookings) -> list[Saga | None]:
        await repository.sagas.add(newer)
        await repository.sagas.add(cancels)
        store = repository.sagas
        names = (CONFIRM, NEWER.name, CANCEL, "confirm", f"{CONFIRM}/", f"{CONFIRM}/3")
        return [await store.find(1, name) for name in names]

    assert await transactions.write(unit) == [newer, newer, cancels, None, None, None]
    await transactions.write(lambda one: one.sagas.supersede(1, CONFIRM))
    states = [
        (await transactions.read(lambda one, name=name: one.sagas.find(1, name))).state
        for name in (CONFIRM, CANCEL)
    ]
    assert states == [State.SUPERSEDED, State.RUNNING]


async def test_an_unknown_saga_is_seen(transactions: DatabaseTransactions[SqlBookings]) -> None:
    """Open sagas that nobody here can finish are counted, and told of once; then they are gone."""
    clock = ManualClock()
    for number, definition in enumerate((CONFIRM_BOOKING, NEWER, NEWER)):
        saga = overdue(definition, number, clock)
        await transactions.write(lambda one, saga=saga: one.sagas.add(saga))
    census = Census(transactions, clock)
    with capture_logs() as lines:
        await census.run_once()
        await census.run_once()
    assert value("holdfast_sagas_unknown") == 2
    told = [(one["event"], one.get("definitions")) for one in lines]
    assert told == [("sagas_unknown_here", {NEWER.name: 2})]
    for number in (1, 2):
        await transactions.write(lambda one, number=number: one.sagas.supersede(number, CONFIRM))
    await census.run_once()
    assert value("holdfast_sagas_unknown") == 0


async def test_what_is_not_understood_is_not_undone(stack: Stack) -> None:
    """A booking that a newer replica made is cancelled by a newer one: here nothing is stored."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"))
    await renamed(stack, f"{CONFIRM}/9", booking.booking_id)
    with refused("DEPENDENCY_UNAVAILABLE"):
        await ann.cancel(booking.booking_id)
    assert (await ann.get(booking.booking_id)).status == booking.CONFIRMED
    await renamed(stack, CONFIRM, booking.booking_id)
    assert (await ann.cancel(booking.booking_id)).status == booking.CANCELLED


async def test_operators_see_what_waits_for_a_newer_version(stack: Stack) -> None:
    """A parked saga of a newer version is shown, with why; to act on it here is refused."""
    booking = await cancellation_parked(stack)
    await renamed(stack, f"{CANCEL}/9", booking.booking_id)
    olga = await operator(stack)
    (listed,) = (await olga.page(state="NEEDS_ATTENTION")).sagas
    shown = await olga.show(booking.booking_id)
    assert (listed.name, shown.name) == (f"{CANCEL}/9", f"{CANCEL}/9")
    assert "does not know cancel_booking/9" in listed.last_error
    assert listed.last_error == shown.last_error
    for intervene in (olga.retry, olga.resolve):
        with refused("DEPENDENCY_UNAVAILABLE"):
            await intervene(booking.booking_id)
    assert (await olga.show(booking.booking_id)).attempt == shown.attempt
    await renamed(stack, CANCEL, booking.booking_id)
    await olga.retry(booking.booking_id)
    await olga.sees(booking.booking_id, "SUCCEEDED")


async def test_a_later_definition_ends_as_its_family_does(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A booking of a later definition is cancelled, and its saga shown, as any other is."""
    monkeypatch.setitem(DEFINITIONS, NEWER.name, NEWER)
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"))
    await renamed(stack, NEWER.name, booking.booking_id)
    shown = await (await operator(stack)).show(booking.booking_id, CONFIRM)
    assert (shown.name, shown.last_error) == (NEWER.name, "")
    assert (await ann.cancel(booking.booking_id)).status == booking.CANCELLED
