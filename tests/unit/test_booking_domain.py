"""What a booking may do: its transitions, its checks of reservations, its reference."""

from datetime import timedelta

import pytest
from support.clock import START
from support.sagas import a_booking

from booking_svc.domain import booking as domain
from booking_svc.domain.booking import TRANSITIONS, Booking, BookingStatus, new_reference
from booking_svc.domain.reservation import Reservation, require_bookable
from chassis.errors import DomainError
from chassis.transitions import IllegalTransition, Transition

LEGAL = {
    ("confirm", "PENDING"): "CONFIRMED",
    ("fail", "PENDING"): "FAILED",
    ("begin to cancel", "PENDING"): "CANCELLING",
    ("begin to cancel", "CONFIRMED"): "CANCELLING",
    ("cancel", "CANCELLING"): "CANCELLED",
}
MOVES = {
    "confirm": lambda booking: booking.confirmed(START),
    "fail": lambda booking: booking.failed(START),
    "begin to cancel": Booking.cancelling,
    "cancel": lambda booking: booking.cancelled(START),
}


@pytest.mark.parametrize("move", TRANSITIONS, ids=lambda move: move.name)
@pytest.mark.parametrize("status", BookingStatus, ids=str)
def test_every_move_from_every_state(
    move: Transition[BookingStatus], status: BookingStatus
) -> None:
    """Five moves are allowed, one of them from two states; all others are refused."""
    booking = a_booking(status=status)
    if (move.name, status) in LEGAL:
        assert MOVES[move.name](booking).status == LEGAL[move.name, status]
    else:
        with pytest.raises(IllegalTransition, match=f"cannot {move.name} from {status}"):
            MOVES[move.name](booking)


def test_only_the_dead_hold_nothing() -> None:
    """FAILED and CANCELLED bookings hold nothing; any other may hold seats or money."""
    dead = {status for status in BookingStatus if a_booking(status=status).holds_nothing}
    assert dead == {"FAILED", "CANCELLED"}


def test_what_is_settled() -> None:
    """A booking is settled when nothing more happens to it by itself."""
    settled = {status for status in BookingStatus if a_booking(status=status).is_settled}
    assert settled == {"CONFIRMED", "FAILED", "CANCELLED"}


def test_what_can_be_cancelled() -> None:
    """A booking can be cancelled when it is confirmed, or pending and not failing already."""
    open_to_it = {status for status in BookingStatus if a_booking(status=status).is_cancellable}
    assert open_to_it == {"PENDING", "CONFIRMED"}
    for failing in (a_booking().given_up(), a_booking().without_seats()):
        assert not failing.is_cancellable
    assert not a_booking().declined("pay_1", "CARD_DECLINED", "no").is_cancellable


def test_a_booking_learns_the_id_of_an_open_payment() -> None:
    """A payment that is not decided yet is known by its id, and nothing else changes."""
    assert a_booking().awaiting("pay_1") == a_booking(payment_id="pay_1")


def test_a_booking_without_time_for_its_payment() -> None:
    """A payment that is given up fails the booking for good, with the payment as the reason."""
    refusal = a_booking().awaiting("pay_1").given_up().refusal()
    assert refusal.reason == "PAYMENT_FAILED"
    assert "in time" in str(refusal)
    assert refusal.metadata == {"paymentId": "pay_1", "bookingReference": "BK-2026-BCDFGHJKLM"}


@pytest.mark.parametrize("state", ["REFUNDED", "CANCELLED", "FAILED"])
def test_where_money_that_was_given_back_stands(state: str) -> None:
    """A booking whose payment is undone says how; a state that nobody knows is an error."""
    assert a_booking().given_back(state).payment_status == state
    with pytest.raises(ValueError, match="LOST"):
        a_booking().given_back("LOST")


def test_a_long_decline_is_cut_to_what_can_be_stored() -> None:
    """A provider that has more to say than the column keeps is cut short."""
    refusal = a_booking().declined("pay_1", "CARD_DECLINED", "no" * 500).refusal()
    assert len(str(refusal)) == domain.MESSAGE_LENGTH_MAX


def test_a_booking_that_has_not_failed_refuses_nothing() -> None:
    """There is no refusal to answer for a booking without a failure."""
    with pytest.raises(LookupError):
        a_booking().refusal()


def test_references_cannot_be_misread_or_guessed() -> None:
    """A reference has its year and ten of 25 letters and digits that look like no other."""
    assert not set(domain.REFERENCE_LETTERS) & set("01OIAEUY")
    assert len(set(domain.REFERENCE_LETTERS)) == len(domain.REFERENCE_LETTERS) == 25
    made = [new_reference(2026) for _ in range(1000)]
    assert len(set(made)) == len(made)
    for reference in made:
        prefix, year, rest = reference.split("-")
        assert (prefix, year, len(rest)) == ("BK", "2026", 10)
    # Every letter at every place: none is derived from time or order.
    assert all(
        {reference[-place] for reference in made} == set(domain.REFERENCE_LETTERS)
        for place in range(1, 11)
    )


def held(**changes: object) -> Reservation:
    given = {
        "reservation_id": 1001,
        "event_id": 987,
        "user_id": "ann",
        "seat_number": "A1",
        "price_minor": 7500,
        "currency": "USD",
        "status": "ACTIVE",
        "expires_at": START + timedelta(seconds=1),
    }
    return Reservation(**{**given, **changes})


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"user_id": "bob"}, "RESERVATION_NOT_FOUND"),
        ({"user_id": "bob", "status": "EXPIRED"}, "RESERVATION_NOT_FOUND"),
        ({"status": "EXPIRED"}, "RESERVATION_EXPIRED"),
        ({"expires_at": START}, "RESERVATION_EXPIRED"),
        ({"status": "CANCELLED"}, "RESERVATION_NOT_ACTIVE"),
        ({"status": "CONFIRMED", "expires_at": START}, "RESERVATION_NOT_ACTIVE"),
        ({"event_id": 988}, "RESERVATIONS_MIXED"),
    ],
    ids=str,
)
def test_what_cannot_be_booked(wrong: dict[str, object], reason: str) -> None:
    """One reservation that is wrong refuses all; someone else's is never told apart from none."""
    reservations = [held(), held(reservation_id=1002, **wrong)]
    with pytest.raises(DomainError) as refusal:
        require_bookable(reservations, "ann", START)
    assert refusal.value.reason == reason
    assert "1002" in refusal.value.metadata["reservationIds"]


def test_what_can_be_booked() -> None:
    """Active holds of one user on one event can be booked to their last microsecond."""
    require_bookable([held(), held(reservation_id=1002)], "ann", START)
