"""A payment that came late: what has expired takes its seat back, if it is still free."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from support import build
from support.client import reason_of, refused
from support.clock import ManualClock
from support.databases import Databases, url_of
from support.inventory import InventoryPeople, hosted_inventory
from support.serving import serving

from chassis.database import Database, DatabaseTransactions
from inventory_svc.persistence.repository import SqlInventory
from inventory_svc.ports import Inventory
from inventory_svc.usecases.sweeper import Sweeper

AHEAD_S = 90.0
SEATS = [f"S{number}" for number in range(20)]


@pytest.fixture
async def database(databases: Databases) -> Database:
    return await databases.fresh("inventory_svc")


@pytest.fixture
def sweeper(database: Database, clock: ManualClock) -> Sweeper:
    return Sweeper(DatabaseTransactions[Inventory](database, SqlInventory), clock)


@pytest.fixture
async def inventory(database: Database, clock: ManualClock) -> AsyncIterator[InventoryPeople]:
    """One replica, by the clock of the test."""
    async with serving(await hosted_inventory(database, clock)) as channel:
        yield InventoryPeople(channel)


@pytest.fixture
async def ahead(
    databases: Databases, database: Database, clock: ManualClock
) -> AsyncIterator[InventoryPeople]:
    """A second replica, whose clock is ahead."""
    later = ManualClock(clock.now())
    later.move(AHEAD_S)
    async with serving(await hosted_inventory(databases.open(url_of(database)), later)) as channel:
        yield InventoryPeople(channel)


@pytest.mark.parametrize("swept", [False, True])
async def test_a_free_seat_is_taken_back(
    inventory: InventoryPeople,
    clock: ManualClock,
    sweeper: Sweeper,
    swept: bool,  # noqa: FBT001
) -> None:
    """What has expired is confirmed when its seat is free; again, and later, is the same answer."""
    event_id = await inventory.event()
    held = await inventory.hold(event_id, "A1", "A2", ttl_s=60)
    clock.move(60)
    if swept:
        await sweeper.run_once()
    first = await inventory.retake(*held)
    assert [(one.status, one.booking_reference) for one in first] == [(2, "BK-1")] * 2
    clock.move(3600)
    await sweeper.run_once()
    assert await inventory.retake(*held) == first
    answered = await inventory.service.ConfirmReservations(build.confirm(*held))
    assert list(answered.reservations) == first
    assert await inventory.statuses(*held) == ["CONFIRMED", "CONFIRMED"]
    with refused("SEAT_NOT_AVAILABLE"):
        await inventory.hold(event_id, "A1", buyer="bob")


@pytest.mark.parametrize("swept", [False, True])
async def test_it_is_asked_for(
    inventory: InventoryPeople,
    clock: ManualClock,
    sweeper: Sweeper,
    swept: bool,  # noqa: FBT001
) -> None:
    """Without the flag an expired reservation is refused although its seat is free."""
    (held,) = await inventory.hold(await inventory.event(), "A1", ttl_s=60)
    clock.move(60)
    if swept:
        await sweeper.run_once()
    with refused("RESERVATION_EXPIRED", reservationIds=str(held)):
        await inventory.service.ConfirmReservations(build.confirm(held))
    assert await inventory.statuses(held) == ["EXPIRED"]


@pytest.mark.parametrize("booked", [False, True], ids=["held", "booked"])
async def test_a_seat_of_somebody_else_is_left_alone(
    inventory: InventoryPeople,
    clock: ManualClock,
    booked: bool,  # noqa: FBT001
) -> None:
    """One seat that somebody else has refuses all, and nothing is changed by it."""
    event_id = await inventory.event()
    held = await inventory.hold(event_id, "A1", "A2", ttl_s=60)
    clock.move(60)
    (theirs,) = await inventory.hold(event_id, "A2", buyer="bob", ttl_s=60)
    if booked:
        await inventory.service.ConfirmReservations(build.confirm(theirs, booking="BK-2"))
        clock.move(60)
    before = await inventory.seat_statuses(event_id)
    with refused("RESERVATION_EXPIRED"):
        await inventory.retake(*held)
    assert await inventory.statuses(*held) == ["EXPIRED", "EXPIRED"]
    assert await inventory.seat_statuses(event_id) == before
    (mine,) = await inventory.hold(event_id, "A1", buyer="cleo")
    assert await inventory.statuses(theirs, mine) == ["CONFIRMED" if booked else "ACTIVE", "ACTIVE"]


async def test_a_hold_that_is_over_too_gives_way(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """Of two that expired on one seat, the first to be paid for has it; the other is refused."""
    event_id = await inventory.event()
    (old,) = await inventory.hold(event_id, "A1", buyer="ann", ttl_s=60)
    clock.move(60)
    (new,) = await inventory.hold(event_id, "A1", buyer="bob", ttl_s=60)
    clock.move(60)
    with refused("RESERVATION_EXPIRED"):
        await inventory.retake(old, new)
    await inventory.retake(old, booking="BK-1")
    with refused("RESERVATION_EXPIRED"):
        await inventory.retake(new, booking="BK-2")
    assert await inventory.statuses(old, new) == ["CONFIRMED", "EXPIRED"]


async def test_active_and_expired_together(inventory: InventoryPeople, clock: ManualClock) -> None:
    """A booking of which one hold is over and one is not gets both."""
    event_id = await inventory.event()
    (short,) = await inventory.hold(event_id, "A1", ttl_s=60)
    (long,) = await inventory.hold(event_id, "A2", ttl_s=600)
    clock.move(60)
    await inventory.retake(long, short)
    assert await inventory.statuses(short, long) == ["CONFIRMED", "CONFIRMED"]


async def test_what_was_retaken_is_undone(inventory: InventoryPeople, clock: ManualClock) -> None:
    """Cancelling a booking that retook its seats frees them, and it cannot retake them again."""
    event_id = await inventory.event()
    (held,) = await inventory.hold(event_id, "A1", ttl_s=60)
    clock.move(60)
    await inventory.retake(held)
    await inventory.service.CancelReservations(build.cancel(held))
    with refused("RESERVATION_NOT_ACTIVE"):
        await inventory.retake(held)
    assert (await inventory.seat_statuses(event_id))["A1"] == "AVAILABLE"


async def test_another_booking_cannot_retake(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """What one booking has retaken is refused to another, and stays with the first."""
    (held,) = await inventory.hold(await inventory.event(), "A1", ttl_s=60)
    clock.move(60)
    await inventory.retake(held, booking="BK-1")
    with refused("RESERVATION_NOT_ACTIVE", reservationIds=str(held)):
        await inventory.retake(held, booking="BK-2")
    await inventory.service.CancelReservations(build.cancel(held, booking="BK-2"))
    assert await inventory.statuses(held) == ["CONFIRMED"]


async def test_retaking_against_reserving_and_sweeping(
    inventory: InventoryPeople, ahead: InventoryPeople, clock: ManualClock, sweeper: Sweeper
) -> None:
    """Twenty seats retaken, reserved by others and swept at once: each has exactly one owner."""
    event_id = await inventory.event(SEATS)
    held = await inventory.hold(event_id, *SEATS, ttl_s=60)
    clock.move(60)
    retakes = [inventory.retake(one, booking=f"BK-{one}") for one in held]
    holds = [ahead.hold(event_id, seat, buyer="bob") for seat in SEATS]
    *outcomes, _ = await asyncio.gather(
        *[call for pair in zip(retakes, holds, strict=True) for call in pair],
        sweeper.run_once(),
        return_exceptions=True,
    )
    for one, seat, retaken, reserved in zip(
        held, SEATS, outcomes[::2], outcomes[1::2], strict=True
    ):
        failed = [result for result in (retaken, reserved) if isinstance(result, grpc.RpcError)]
        assert [reason_of(error) for error in failed] == [
            "SEAT_NOT_AVAILABLE" if retaken not in failed else "RESERVATION_EXPIRED"
        ], seat
        assert await inventory.statuses(one) == ["EXPIRED" if retaken in failed else "CONFIRMED"]
    statuses = set((await inventory.seat_statuses(event_id)).values())
    assert statuses <= {"BOOKED", "HELD"}


async def test_retaking_against_cancelling(
    inventory: InventoryPeople, ahead: InventoryPeople, clock: ManualClock
) -> None:
    """Retaken and cancelled for one booking at once: in the end all is cancelled and free."""
    event_id = await inventory.event(SEATS)
    held = await inventory.hold(event_id, *SEATS, ttl_s=60)
    clock.move(60)
    outcomes = await asyncio.gather(
        *(inventory.retake(one) for one in held),
        *(ahead.service.CancelReservations(build.cancel(one)) for one in held),
        return_exceptions=True,
    )
    refusals = [reason_of(one) for one in outcomes if isinstance(one, grpc.RpcError)]
    assert set(refusals) <= {"RESERVATION_NOT_ACTIVE"}
    assert set(await inventory.statuses(*held)) == {"CANCELLED"}
    assert set((await inventory.seat_statuses(event_id)).values()) == {"AVAILABLE"}


async def test_a_replica_ahead_takes_what_still_holds(
    inventory: InventoryPeople, ahead: InventoryPeople
) -> None:
    """A clock ahead takes a hold for over: one owner all the same, and the other is refused."""
    event_id = await inventory.event()
    (old,) = await ahead.hold(event_id, "A1", buyer="ann", ttl_s=1)
    (late,) = await inventory.hold(event_id, "A2", buyer="ann", ttl_s=60)
    # To the replica that is ahead this is over; to the other it holds.
    await ahead.retake(late, booking="BK-1")
    answered = await inventory.service.ConfirmReservations(build.confirm(late, booking="BK-1"))
    assert answered.reservations[0].status == 2
    with refused("SEAT_NOT_AVAILABLE"):
        await ahead.hold(event_id, "A2", buyer="bob")
    assert await inventory.statuses(old) == ["ACTIVE"]


async def test_a_seat_given_away_by_a_replica_ahead(
    inventory: InventoryPeople, ahead: InventoryPeople
) -> None:
    """A seat that a replica ahead gave to another is not retaken by one that is behind."""
    event_id = await inventory.event()
    (old,) = await inventory.hold(event_id, "A1", buyer="ann", ttl_s=60)
    (new,) = await ahead.hold(event_id, "A1", buyer="bob", ttl_s=600)
    with refused("RESERVATION_EXPIRED"):
        await inventory.retake(old)
    await ahead.service.ConfirmReservations(build.confirm(new, booking="BK-2"))
    assert await inventory.statuses(old, new) == ["ACTIVE", "CONFIRMED"]
