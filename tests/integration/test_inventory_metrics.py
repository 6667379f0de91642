"""Reservations are counted by what they come to be, each once, and seats that were refused."""

from collections.abc import AsyncIterator

import pytest
from support import build
from support.bookings import on_sqlite
from support.client import refused
from support.clock import ManualClock
from support.commits import Trouble, next_commit
from support.databases import Databases
from support.inventory import InventoryPeople, hosted_inventory
from support.serving import serving
from support.telemetry import Tally

from chassis.database import Database, DatabaseTransactions
from inventory_svc.persistence.repository import SqlInventory
from inventory_svc.ports import Inventory
from inventory_svc.usecases.sweeper import Sweeper

pytestmark = on_sqlite

RESERVATIONS, REFUSED = "holdfast_reservations_total", "holdfast_seats_refused_total"


@pytest.fixture
async def database(databases: Databases) -> Database:
    return await databases.fresh("inventory_svc")


@pytest.fixture
async def inventory(database: Database, clock: ManualClock) -> AsyncIterator[InventoryPeople]:
    async with serving(await hosted_inventory(database, clock)) as channel:
        yield InventoryPeople(channel)


@pytest.fixture
def sweeper(database: Database, clock: ManualClock) -> Sweeper:
    return Sweeper(DatabaseTransactions[Inventory](database, SqlInventory), clock)


async def test_reserved_and_confirmed(inventory: InventoryPeople) -> None:
    """Reservations count when they are made and when they are confirmed; repeats do not."""
    event_id, tally = await inventory.event(), Tally()
    for _ in range(2):
        request = build.reserve(event_id, "A1", "A2")
        held = await inventory.buyer("ann").ReserveSeats(request, idempotency_key="k")
    assert tally.of(RESERVATIONS) == {("ACTIVE",): 2}
    ids = [one.reservation_id for one in held.reservations]
    for _ in range(2):
        await inventory.service.ConfirmReservations(build.confirm(*ids))
    assert tally.of(RESERVATIONS) == {("ACTIVE",): 2, ("CONFIRMED",): 2}


async def test_cancelled(inventory: InventoryPeople) -> None:
    """Reservations count when they are cancelled, those that were confirmed too; repeats do not."""
    held = await inventory.hold(await inventory.event(), "A1", "A2")
    await inventory.service.ConfirmReservations(build.confirm(held[0]))
    tally = Tally()
    for _ in range(2):
        await inventory.service.CancelReservations(build.cancel(*held))
    assert tally.of(RESERVATIONS) == {("CANCELLED",): 2}


async def test_expired(inventory: InventoryPeople, clock: ManualClock, sweeper: Sweeper) -> None:
    """A reservation whose time is over counts when that is written down, once."""
    await inventory.hold(await inventory.event(), "A1", "A2", ttl_s=60)
    tally = Tally()
    await sweeper.run_once()
    assert tally.of(RESERVATIONS) == {}
    clock.move(60)
    for _ in range(2):
        await sweeper.run_once()
    assert tally.of(RESERVATIONS) == {("EXPIRED",): 2}


async def test_taken_back(inventory: InventoryPeople, clock: ManualClock) -> None:
    """A reservation that is over and gets its seat back counts as confirmed."""
    held = await inventory.hold(await inventory.event(), "A1", ttl_s=60)
    clock.move(60)
    tally = Tally()
    await inventory.retake(*held)
    assert tally.of(RESERVATIONS) == {("CONFIRMED",): 1}


async def test_refused(inventory: InventoryPeople) -> None:
    """Seats that somebody else has count when they are asked for, and nothing is reserved."""
    event_id = await inventory.event()
    await inventory.hold(event_id, "A1", "A2")
    tally = Tally()
    with refused("SEAT_NOT_AVAILABLE"):
        await inventory.hold(event_id, "A1", "A2", "A3", buyer="bob")
    assert tally.of(REFUSED) == {(): 2}
    assert tally.of(RESERVATIONS) == {}


async def test_a_unit_that_runs_again(
    database: Database, inventory: InventoryPeople, clock: ManualClock, sweeper: Sweeper
) -> None:
    """Reservations and refusals count once when their unit runs again."""
    event_id, tally = await inventory.event(), Tally()

    with next_commit(database, "INSERT INTO reservations ", Trouble.AGAIN) as happened:
        held = await inventory.hold(event_id, "A1", "A2", ttl_s=60)
    assert happened
    assert tally.of(RESERVATIONS) == {("ACTIVE",): 2}
    with next_commit(database, "UPDATE reservations ", Trouble.AGAIN) as happened:
        await inventory.service.ConfirmReservations(build.confirm(held[0]))
    assert happened
    with next_commit(database, "UPDATE reservations ", Trouble.AGAIN) as happened:
        await inventory.service.CancelReservations(build.cancel(held[0]))
    assert happened
    clock.move(60)
    with next_commit(database, "UPDATE reservations ", Trouble.AGAIN) as happened:
        await sweeper.run_once()
    assert happened
    assert tally.of(RESERVATIONS) == {
        ("ACTIVE",): 2,
        ("CONFIRMED",): 1,
        ("CANCELLED",): 1,
        ("EXPIRED",): 1,
    }
