"""The repository of the inventory: the same answers on every database."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from support.clock import START
from support.databases import Databases

from chassis.database import Database, DatabaseTransactions
from chassis.idempotency import Claim
from inventory_svc.domain.event import Event, Seat
from inventory_svc.domain.reservation import Reservation, ReservationStatus
from inventory_svc.persistence.repository import SqlInventory

EVENT = Event(9, "Gala ☃", "USD", 3, START + timedelta(microseconds=1))
SEATS = [Seat(number, 9, f"A{number}", 7500) for number in (1, 2, 3)]
UNTIL = START + timedelta(seconds=60, microseconds=123456)
OVER = UNTIL + timedelta(microseconds=1)

Write = Callable[[Callable[[SqlInventory], Awaitable[Any]]], Awaitable[Any]]


def hold(reservation_id: int, seat: Seat, **changes: Any) -> Reservation:
    made = Reservation(
        reservation_id, 9, "ann", seat.seat_id, seat.seat_number, seat.price_minor, "USD",
        ReservationStatus.ACTIVE, START, UNTIL,
    )  # fmt: skip
    return replace(made, **changes)


FIRST, SECOND = hold(101, SEATS[0]), hold(102, SEATS[1])


@pytest.fixture
async def write(databases: Databases) -> Write:
    """Runs a unit on a database that has the event, its seats, and holds on the first two."""
    database: Database = await databases.fresh("inventory_svc")
    transactions = DatabaseTransactions(database, SqlInventory)

    async def given(inventory: SqlInventory) -> None:
        await inventory.add_event(EVENT, SEATS)
        await inventory.take_seats([FIRST, SECOND], START)
        await inventory.add_reservations([FIRST, SECOND])

    await transactions.write(given)
    return transactions.write


async def seat_holders(write: Write) -> dict[str, int | None]:
    found = await write(lambda inventory: inventory.seats_after(9, 0, 10))
    return {seat.seat_number: seat.reservation_id for seat in found}


async def test_what_is_stored_is_what_comes_back(write: Write) -> None:
    """Events, seats and reservations are read as they were written, to the microsecond."""
    assert await write(lambda inventory: inventory.event(9)) == EVENT
    assert await write(lambda inventory: inventory.event(10)) is None
    seats = await write(lambda inventory: inventory.seats_after(9, 0, 10))
    held = {"reservation_id": 101, "held_until": UNTIL}
    assert seats[0] == replace(SEATS[0], **held)
    assert seats[2] == SEATS[2]
    found = await write(lambda inventory: inventory.reservations([102, 101, 7]))
    assert sorted(found, key=lambda one: one.reservation_id) == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("seats", "now", "given"),
    [
        ((3,), START, True),
        ((1,), START, False),
        ((1,), UNTIL, True),
        ((3, 2), START, False),
        ((3, 2), OVER, True),
    ],
    ids=["free", "held", "over just now", "one of two is held", "one of two is over"],
)
async def test_seats_are_taken_only_if_all_are_free(
    write: Write, seats: tuple[int, ...], now: Any, given: object
) -> None:
    """Taking seats is one conditional step: free, or held until now at the latest."""
    wanted = [hold(200 + number, SEATS[number - 1]) for number in seats]
    assert await write(lambda inventory: inventory.take_seats(wanted, now)) is given


async def test_a_booked_seat_is_never_free(write: Write) -> None:
    """A seat that is booked cannot be taken, however long ago its hold would have ended."""
    assert await write(lambda inventory: inventory.confirm([FIRST], "BK-1", START)) == 1
    later = UNTIL + timedelta(days=365)
    assert not await write(lambda inventory: inventory.take_seats([hold(201, SEATS[0])], later))


@pytest.mark.parametrize("change", ["extend", "confirm"])
async def test_a_lost_seat_is_counted(write: Write, change: str) -> None:
    """Extending or confirming tells how many seats the reservations still have."""
    await write(lambda inventory: inventory.take_seats([hold(201, SEATS[0])], OVER))
    arguments = {"extend": (OVER,), "confirm": ("BK-1", START)}[change]
    kept = await write(lambda one: getattr(one, change)([FIRST, SECOND], *arguments))
    assert kept == 1


@pytest.mark.parametrize("until", [START, UNTIL, OVER])
async def test_extending_counts_seats_that_it_need_not_change(write: Write, until: Any) -> None:
    """A shorter extension, or one to the same moment, counts the seat and keeps its expiry."""
    assert await write(lambda inventory: inventory.extend([FIRST], until)) == 1
    (found,) = await write(lambda inventory: inventory.reservations([101]))
    (seat,) = await write(lambda inventory: inventory.seats_numbered(9, ["A1"]))
    assert found.expires_at == seat.held_until == max(UNTIL, until)


@pytest.mark.parametrize("change", ["cancel", "expire"])
async def test_ending_frees_only_what_is_still_held(write: Write, change: str) -> None:
    """Ending a reservation frees its seat, but not one that someone else has by now."""
    await write(lambda inventory: inventory.take_seats([hold(201, SEATS[0])], OVER))
    await write(lambda inventory: getattr(inventory, change)([FIRST, SECOND], OVER))
    assert await seat_holders(write) == {"A1": 201, "A2": None, "A3": None}
    states = {one.status for one in await write(lambda one: one.reservations([101, 102]))}
    assert states == {{"cancel": "CANCELLED", "expire": "EXPIRED"}[change]}


async def test_when_it_was_is_kept(write: Write) -> None:
    """A reservation keeps when it was confirmed and when it ended; a retake is a new beginning."""

    async def times() -> list[object]:
        (found,) = await write(lambda inventory: inventory.reservations([101]))
        return [found.confirmed_at, found.ended_at]

    later = [UNTIL + timedelta(microseconds=number) for number in range(4)]
    assert await times() == [None, None]
    await write(lambda inventory: inventory.expire([FIRST], later[0]))
    assert await times() == [None, later[0]]
    await write(lambda inventory: inventory.retake([FIRST], "BK-1", later[1]))
    assert await times() == [later[1], None]
    await write(lambda inventory: inventory.cancel([FIRST], later[2]))
    assert await times() == [later[1], later[2]]
    await write(lambda inventory: inventory.confirm([FIRST], "BK-1", later[3]))
    assert await times() == [later[3], later[2]]


async def test_overdue_are_the_active_ones_that_are_over(write: Write) -> None:
    """Only active reservations that are over are overdue, and no more than asked for."""
    assert await write(lambda inventory: inventory.overdue(START, 10)) == []
    assert sorted(await write(lambda inventory: inventory.overdue(UNTIL, 10))) == [101, 102]
    assert len(await write(lambda inventory: inventory.overdue(OVER, 1))) == 1
    await write(lambda inventory: inventory.confirm([FIRST], "BK-1", START))
    assert await write(lambda inventory: inventory.overdue(OVER, 10)) == [102]


async def test_one_seat_has_one_reservation(write: Write) -> None:
    """The schema itself refuses a reservation that would have two seats."""
    twice = [hold(201, SEATS[0]), hold(201, SEATS[2])]
    with pytest.raises(IntegrityError):
        await write(lambda inventory: _once(inventory.take_seats(twice, OVER)))


async def test_a_key_is_claimed_once(write: Write) -> None:
    """The first claim of a key stands; a second returns it; case and owner tell keys apart."""
    claim = Claim("ann", "k", "f", "1,2", START)
    others = [replace(claim, key="K"), replace(claim, owner="Ann")]
    assert await write(lambda inventory: inventory.keys.claim(claim)) is None
    assert await write(lambda one: one.keys.claim(replace(claim, subject="3"))) == claim
    for other in others:
        assert await write(lambda one, other=other: one.keys.claim(other)) is None


async def _once(work: Awaitable[Any]) -> Any:
    """Let a duplicate end the test: a unit that fails with one would otherwise run again."""
    try:
        return await work
    except IntegrityError as error:
        error.orig = Exception("duplicate, seen")
        raise
