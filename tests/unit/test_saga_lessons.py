"""What a booking learns from each outcome of its saga, and from the saga's end."""

from dataclasses import replace
from itertools import product

import pytest
from support.clock import START
from support.sagas import OURS, a_booking

from booking_svc.domain.booking import Booking
from booking_svc.domain.outcome import Done, GivenUp, Pending, Refused, Unknown
from booking_svc.saga.lessons import learn
from booking_svc.saga.machine import Outcome, Saga, State

RUNS = Saga(5001, "confirm_booking", "charge", START, OURS)
OUTCOMES: tuple[Outcome, ...] = (
    Done("REFUNDED"),
    Refused("NO", "no", {"paymentId": "pay_1", "errorCode": "CARD_DECLINED"}),
    Unknown("timeout"),
    Pending("pay_1"),
    GivenUp("too late"),
)
DONE = OUTCOMES[0]
ACTIONS = ("take_payment", "confirm_seats", "give_back_payment", "release_seats")
BOOKING = a_booking()
# Whatever else happens teaches nothing.
LESSONS = {
    ("take_payment", Done): BOOKING.paid("REFUNDED"),
    ("take_payment", Refused): BOOKING.declined("pay_1", "CARD_DECLINED", "no"),
    ("take_payment", Pending): BOOKING.awaiting("pay_1"),
    ("take_payment", GivenUp): BOOKING.given_up(),
    ("confirm_seats", Refused): BOOKING.without_seats(),
    ("give_back_payment", Done): BOOKING.given_back("REFUNDED"),
}


@pytest.mark.parametrize(("action", "outcome"), list(product(ACTIONS, OUTCOMES)), ids=str)
def test_what_an_outcome_teaches(action: str, outcome: Outcome) -> None:
    """Six outcomes change the booking, each in its own way, and all others leave it as it is."""
    expected = LESSONS.get((action, type(outcome)), BOOKING)
    assert learn(BOOKING, action, outcome, RUNS, START) == expected


@pytest.mark.parametrize(
    ("name", "state", "before", "after"),
    [
        ("confirm_booking", State.SUCCEEDED, "PENDING", "CONFIRMED"),
        ("confirm_booking", State.UNDONE, "PENDING", "FAILED"),
        ("confirm_booking", State.NEEDS_ATTENTION, "PENDING", "PENDING"),
        ("confirm_booking", State.SUPERSEDED, "PENDING", "PENDING"),
        ("cancel_booking", State.RUNNING, "CANCELLING", "CANCELLING"),
        ("cancel_booking", State.SUCCEEDED, "CANCELLING", "CANCELLED"),
        ("cancel_booking", State.NEEDS_ATTENTION, "CANCELLING", "CANCELLING"),
    ],
)
def test_how_a_saga_ends_a_booking(name: str, state: State, before: str, after: str) -> None:
    """The end of its saga settles a booking; a saga that is parked or superseded does not."""
    saga = replace(RUNS, definition=name, state=state)
    assert learn(a_booking(status=before), "release_seats", DONE, saga, START).status == after


def test_the_last_outcome_and_the_end_are_learned_together() -> None:
    """A booking that ends with an outcome keeps what both of them taught."""
    saga = replace(RUNS, definition="cancel_booking", state=State.SUCCEEDED)
    cancelling: Booking = a_booking().paid("pay_1").cancelling()
    booking = learn(cancelling, "give_back_payment", DONE, saga, START)
    assert (booking.status, booking.payment_status) == ("CANCELLED", "REFUNDED")
    assert booking.cancelled_at == START
