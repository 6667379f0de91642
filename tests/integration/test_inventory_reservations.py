"""Reserving, reading and extending: all or nothing, one's own only, over when it is over."""

from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from support import build
from support.client import refused, replayed
from support.clock import START, ManualClock
from support.inventory import InventoryPeople


def expiries(answer: object) -> list[float]:
    """Seconds from the start of the test's clock to each expiry."""
    start = Timestamp()
    start.FromDatetime(START)
    return [one.expires_at.seconds - start.seconds for one in answer.reservations]


async def test_all_or_nothing(inventory: InventoryPeople) -> None:
    """One seat that is held refuses the whole request, names it, and holds none of the others."""
    event_id = await inventory.event()
    await inventory.hold(event_id, "A2", buyer="bob")
    with refused("SEAT_NOT_AVAILABLE", seatNumbers="A2"):
        await inventory.hold(event_id, "A1", "A2", "A3")
    assert await inventory.seat_statuses(event_id) == {
        "A1": "AVAILABLE",
        "A2": "HELD",
        "A3": "AVAILABLE",
    }


async def test_reservations_come_in_the_order_asked_for(inventory: InventoryPeople) -> None:
    """ReserveSeats answers in the order of the seats, GetReservations in that of the ids."""
    event_id = await inventory.event()
    held = await inventory.buyer("ann").ReserveSeats(build.reserve(event_id, "A3", "A1", "A2"))
    assert [one.seat.seat_number for one in held.reservations] == ["A3", "A1", "A2"]
    backwards = [one.reservation_id for one in reversed(held.reservations)]
    found = await inventory.buyer("ann").GetReservations(build.get(*backwards))
    assert list(found.reservations) == list(reversed(held.reservations))


async def test_long_names_fit_an_answer(inventory: InventoryPeople) -> None:
    """50 seats with the longest names there are can be refused: taken ones, and unknown ones."""
    names = [f"{number:02}{'座' * 30}" for number in range(50)]
    event_id, other = await inventory.event(names), await inventory.event()
    await inventory.hold(event_id, *names, buyer="bob")
    with refused("SEAT_NOT_AVAILABLE") as said:
        await inventory.hold(event_id, *names)
    named = said[0].metadata["seatNumbers"].split(",")
    # As many whole names as fit.
    assert 10 < len(named) < 50
    assert set(named) <= set(names)
    with refused("INVALID_FIELD"):
        await inventory.hold(other, *names)


@pytest.mark.parametrize(
    ("seats", "ttl_s", "field"),
    [(("A1", "Z9"), 600, "seat_numbers[1]"), (("A1",), 1801, "ttl")],
    ids=["unknown seat", "ttl over the bound"],
)
async def test_a_wrong_request_holds_nothing(
    inventory: InventoryPeople, seats: tuple[str, ...], ttl_s: float, field: str
) -> None:
    """An unknown seat or too long a time is an INVALID_FIELD that names it."""
    event_id = await inventory.event()
    with refused("INVALID_FIELD") as said:
        await inventory.hold(event_id, *seats, ttl_s=ttl_s)
    assert said[0].message.startswith(field)
    assert set((await inventory.seat_statuses(event_id)).values()) == {"AVAILABLE"}


async def test_expiry_is_decided_when_it_is_read(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """A hold ends at its expiry to the microsecond, with nobody having written that down."""
    event_id = await inventory.event()
    (held,) = await inventory.hold(event_id, "A1", ttl_s=60)
    clock.move(59.999999)
    assert await inventory.statuses(held) == ["ACTIVE"]
    assert (await inventory.seat_statuses(event_id))["A1"] == "HELD"
    clock.move(0.000001)
    assert await inventory.statuses(held) == ["EXPIRED"]
    assert (await inventory.seat_statuses(event_id))["A1"] == "AVAILABLE"


async def test_who_comes_after_the_expiry_has_the_seat(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """After an expiry another buyer gets the seat; extending or confirming the old hold fails."""
    event_id = await inventory.event()
    (old,) = await inventory.hold(event_id, "A1", buyer="ann", ttl_s=60)
    clock.move(60)
    (new,) = await inventory.hold(event_id, "A1", buyer="bob")
    with refused("RESERVATION_EXPIRED", reservationIds=str(old)):
        await inventory.buyer("ann").ExtendReservations(build.extend(old))
    with refused("RESERVATION_EXPIRED", reservationIds=str(old)):
        await inventory.service.ConfirmReservations(build.confirm(old))
    assert await inventory.statuses(old, new) == ["EXPIRED", "ACTIVE"]


async def test_a_clock_behind_gives_no_seat_away(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """A seat taken by a replica whose clock is ahead stays taken on one whose clock is behind."""
    event_id = await inventory.event()
    (old,) = await inventory.hold(event_id, "A1", buyer="ann", ttl_s=60)
    clock.move(60)
    (new,) = await inventory.hold(event_id, "A1", buyer="bob")
    clock.move(-30)
    for call in (
        inventory.service.ConfirmReservations(build.confirm(old)),
        inventory.service.ExtendReservations(build.extend(old)),
    ):
        with refused("RESERVATION_EXPIRED", reservationIds=str(old)):
            await call
    await inventory.service.CancelReservations(build.cancel(old))
    assert await inventory.statuses(new) == ["ACTIVE"]
    assert (await inventory.seat_statuses(event_id))["A1"] == "HELD"


@pytest.mark.parametrize("who", ["bob", "nobody"])
async def test_foreign_and_unknown_look_the_same(inventory: InventoryPeople, who: str) -> None:
    """Another user's reservation is NOT_FOUND, as one that does not exist; none is returned."""
    event_id = await inventory.event()
    (mine,) = await inventory.hold(event_id, "A1", buyer="ann")
    (theirs,) = await inventory.hold(event_id, "A2", buyer="bob") if who == "bob" else (7,)
    ann = inventory.buyer("ann")
    for call in (
        ann.GetReservations(build.get(mine, theirs)),
        ann.ExtendReservations(build.extend(mine, theirs, ttl_s=900)),
    ):
        with refused("RESERVATION_NOT_FOUND", reservationIds=str(theirs)):
            await call
    kept = await ann.GetReservations(build.get(mine))
    assert expiries(kept) == [600]


async def test_extending_never_shortens(inventory: InventoryPeople, clock: ManualClock) -> None:
    """An extension moves the expiry to `ttl` from now, and a shorter one changes nothing."""
    event_id = await inventory.event()
    held = await inventory.hold(event_id, "A1", "A2", ttl_s=600)
    clock.move(100)
    ann = inventory.buyer("ann")
    assert expiries(await ann.ExtendReservations(build.extend(*held, ttl_s=900))) == [1000, 1000]
    assert expiries(await ann.ExtendReservations(build.extend(*held, ttl_s=60))) == [1000, 1000]
    clock.move(899)
    assert set((await inventory.seat_statuses(event_id)).values()) == {"HELD", "AVAILABLE"}
    assert await inventory.statuses(*held) == ["ACTIVE", "ACTIVE"]


async def test_a_buyer_cannot_hold_a_seat_for_ever(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """Extensions by the holder end 3,600 s after the reservation; the booking service may go on."""
    event_id = await inventory.event()
    held = await inventory.hold(event_id, "A1", ttl_s=1800)
    ann = inventory.buyer("ann")
    clock.move(1790)
    await ann.ExtendReservations(build.extend(*held, ttl_s=1800))
    clock.move(1000)
    with refused("INVALID_FIELD") as said:
        await ann.ExtendReservations(build.extend(*held, ttl_s=811))
    assert said[0].message.startswith("ttl: must be at most 810 s")
    await ann.ExtendReservations(build.extend(*held, ttl_s=810))
    until = expiries(await inventory.service.ExtendReservations(build.extend(*held, ttl_s=1800)))
    assert until == [timedelta(seconds=1790 + 1000 + 1800).total_seconds()]


async def test_a_service_may_go_an_hour_further(
    inventory: InventoryPeople, clock: ManualClock
) -> None:
    """The booking service extends past `ttl_max`, and past a buyer's bound by 3,600 s, no more."""
    held = await inventory.hold(await inventory.event(), "A1")
    for moved, left in ((0, 7200), (100, 7100)):
        clock.move(moved)
        with refused("INVALID_FIELD") as said:
            await inventory.service.ExtendReservations(build.extend(*held, ttl_s=left + 1))
        assert said[0].message.startswith(f"ttl: must be at most {left} s")
        until = await inventory.service.ExtendReservations(build.extend(*held, ttl_s=left))
        assert expiries(until) == [7200]
    with refused("INVALID_FIELD"):
        await inventory.buyer("ann").ExtendReservations(build.extend(*held, ttl_s=1801))


async def test_a_key_reserves_once(inventory: InventoryPeople, clock: ManualClock) -> None:
    """A repeat with the same key returns the first reservations as they are by now, and says so."""
    event_id = await inventory.event()
    ann, request = inventory.buyer("ann"), build.reserve(event_id, "A2", "A1", ttl_s=60)
    call = ann.ReserveSeats(request, idempotency_key="k")
    assert not await replayed(call)
    first, repeat = await call, ann.ReserveSeats(request, idempotency_key="k")
    assert await replayed(repeat)
    assert await repeat == first
    clock.move(60)
    again = await ann.ReserveSeats(request, idempotency_key="k")
    ids = [[one.reservation_id for one in answer.reservations] for answer in (first, again)]
    assert ids[0] == ids[1]
    assert await inventory.statuses(*ids[1]) == ["EXPIRED", "EXPIRED"]


async def test_a_key_belongs_to_one_request_of_one_user(inventory: InventoryPeople) -> None:
    """A key for another request is refused; the same key of another user is another key."""
    event_id = await inventory.event()
    ann, bob = inventory.buyer("ann"), inventory.buyer("bob")
    await ann.ReserveSeats(build.reserve(event_id, "A1"), idempotency_key="k")
    with refused("IDEMPOTENCY_KEY_REUSED"):
        await ann.ReserveSeats(build.reserve(event_id, "A2"), idempotency_key="k")
    held = await bob.ReserveSeats(build.reserve(event_id, "A2"), idempotency_key="k")
    assert [one.user_id for one in held.reservations] == ["bob"]


async def test_a_refused_call_does_not_use_its_key(inventory: InventoryPeople) -> None:
    """After SEAT_NOT_AVAILABLE the same key and request succeed once the seat is free."""
    event_id = await inventory.event()
    (other,) = await inventory.hold(event_id, "A1", buyer="bob")
    ann, request = inventory.buyer("ann"), build.reserve(event_id, "A1")
    with refused("SEAT_NOT_AVAILABLE"):
        await ann.ReserveSeats(request, idempotency_key="k")
    await inventory.service.CancelReservations(build.cancel(other, booking=""))
    assert (await ann.ReserveSeats(request, idempotency_key="k")).reservations
