"""The inventory's rules: every move of a reservation, and what time does to it and its seat."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import pytest
from support.clock import START

from chassis.transitions import IllegalTransition, Transition
from inventory_svc.domain.errors import ReservationExpired, ReservationNotActive
from inventory_svc.domain.event import Seat, SeatStatus
from inventory_svc.domain.reservation import (
    TRANSITIONS,
    Reservation,
    ReservationStatus,
    require_active,
    require_retakeable,
)

UNTIL = START + timedelta(seconds=60)
BEFORE = UNTIL - timedelta(microseconds=1)
# All that is allowed, written down a second time on purpose.
ALLOWED = {
    ("extend", "ACTIVE"): "ACTIVE",
    ("confirm", "ACTIVE"): "CONFIRMED",
    ("retake", "ACTIVE"): "CONFIRMED",
    ("retake", "EXPIRED"): "CONFIRMED",
    ("cancel", "ACTIVE"): "CANCELLED",
    ("cancel", "CONFIRMED"): "CANCELLED",
    ("cancel", "EXPIRED"): "CANCELLED",
    ("expire", "ACTIVE"): "EXPIRED",
}


def reservation(status: str = "ACTIVE", **changes: object) -> Reservation:
    made = Reservation(1, 9, "ann", 5, "A1", 7500, "USD", ReservationStatus(status), START, UNTIL)
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("transition", "state"),
    list(product(TRANSITIONS, ReservationStatus)),
    ids=lambda value: getattr(value, "name", value),
)
def test_every_transition_from_every_state(
    transition: Transition[ReservationStatus], state: ReservationStatus
) -> None:
    """A move that is in the table leads where the table says; every other is refused."""
    target = ALLOWED.get((transition.name, state))
    assert (state in transition.sources) is (target is not None)
    if target is not None:
        assert transition.apply(state) == target
    else:
        with pytest.raises(IllegalTransition, match=f"cannot {transition.name} from {state}"):
            transition.apply(state)


def test_every_named_move_is_tried() -> None:
    """The table above names every transition of the reservation."""
    assert {one.name for one in TRANSITIONS} == {name for name, _ in ALLOWED}


@pytest.mark.parametrize("stored", ReservationStatus)
def test_time_ends_active_reservations_only(stored: ReservationStatus) -> None:
    """An ACTIVE reservation is EXPIRED from its expiry on; time changes no other."""
    one = reservation(stored)
    assert one.status_at(BEFORE) is stored
    expected = "EXPIRED" if stored is ReservationStatus.ACTIVE else stored
    assert one.status_at(UNTIL) == expected


@pytest.mark.parametrize(
    ("held_until", "booked", "now", "status"),
    [
        (None, False, START, "AVAILABLE"),
        (UNTIL, False, BEFORE, "HELD"),
        (UNTIL, False, UNTIL, "AVAILABLE"),
        (UNTIL, True, BEFORE, "BOOKED"),
        (UNTIL, True, UNTIL, "BOOKED"),
    ],
)
def test_a_seat_is_held_until_its_hold_is_over(
    held_until: datetime | None, *, booked: bool, now: datetime, status: str
) -> None:
    """A hold that is over holds nothing; a booked seat stays booked."""
    seat = Seat(5, 9, "A1", 7500, 1, held_until, booked)
    assert seat.status_at(now) is SeatStatus(status)


@pytest.mark.parametrize("seconds", [-30, 0, 30])
def test_an_extension_never_shortens(seconds: float) -> None:
    """The expiry after an extension is the later of the two."""
    until = UNTIL + timedelta(seconds=seconds)
    assert reservation().extended(until).expires_at == max(UNTIL, until)


@pytest.mark.parametrize(
    ("states", "refusal", "named"),
    [
        (["ACTIVE", "ACTIVE"], None, ""),
        (["ACTIVE", "CONFIRMED"], ReservationNotActive, "2"),
        (["CANCELLED", "EXPIRED"], ReservationNotActive, "1"),
        (["EXPIRED", "EXPIRED"], ReservationExpired, "1,2"),
    ],
)
def test_all_must_be_active(states: list[str], refusal: type[Exception] | None, named: str) -> None:
    """One reservation that does not hold its seat refuses all, and is named."""
    held = [reservation(state, reservation_id=n) for n, state in enumerate(states, 1)]
    if refusal is None:
        require_active(held, BEFORE)
        return
    with pytest.raises(refusal) as caught:
        require_active(held, BEFORE)
    assert caught.value.metadata == {"reservationIds": named}


@pytest.mark.parametrize("status", ReservationStatus)
def test_what_may_be_retaken(status: ReservationStatus) -> None:
    """Only what time could have ended may be retaken: not what is cancelled or confirmed."""
    held = [reservation("ACTIVE"), reservation(status, reservation_id=2)]
    if status in ("ACTIVE", "EXPIRED"):
        require_retakeable(held)
        assert held[1].retaken("BK-1", UNTIL).is_confirmed_for("BK-1")
        return
    with pytest.raises(ReservationNotActive) as caught:
        require_retakeable(held)
    assert caught.value.metadata == {"reservationIds": "2"}


def test_when_a_reservation_changed() -> None:
    """Each change says when it was, and what took its seat back has not ended."""
    later = UNTIL + timedelta(seconds=1)
    assert reservation().confirmed("BK-1", START).confirmed_at == START
    expired = reservation().expired(UNTIL)
    assert (expired.confirmed_at, expired.ended_at) == (None, UNTIL)
    retaken = expired.retaken("BK-1", later)
    assert (retaken.confirmed_at, retaken.ended_at) == (later, None)
    cancelled = reservation().confirmed("BK-1", START).cancelled(later)
    assert (cancelled.confirmed_at, cancelled.ended_at) == (START, later)
