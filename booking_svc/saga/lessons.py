"""What a booking learns from each outcome of its saga, and from the saga's end. Pure."""

from datetime import datetime

from booking_svc.domain.booking import Booking
from booking_svc.domain.outcome import Done, GivenUp, Pending, Refused
from booking_svc.saga.definition import CANCEL_BOOKING, CONFIRM_BOOKING, family_of
from booking_svc.saga.machine import Outcome, Saga, State

ENDINGS = {
    (family_of(CONFIRM_BOOKING.name), State.SUCCEEDED): Booking.confirmed,
    (family_of(CONFIRM_BOOKING.name), State.UNDONE): Booking.failed,
    (family_of(CANCEL_BOOKING.name), State.SUCCEEDED): Booking.cancelled,
}


def learn(booking: Booking, action: str, outcome: Outcome, after: Saga, now: datetime) -> Booking:
    """The booking after an action of its saga came to this."""
    booking = _from_outcome(booking, action, outcome)
    end = ENDINGS.get((family_of(after.definition), after.state))
    return end(booking, now) if end else booking


def _from_outcome(booking: Booking, action: str, outcome: Outcome) -> Booking:
    match action, outcome:
        case "take_payment", _:
            return _from_charge(booking, outcome)
        case "confirm_seats", Refused():
            return booking.without_seats()
        case "give_back_payment", Done(value):
            return booking.given_back(str(value))
    return booking


def _from_charge(booking: Booking, outcome: Outcome) -> Booking:
    match outcome:
        case Done(payment_id):
            return booking.paid(str(payment_id))
        case Pending(payment_id):
            return booking.awaiting(payment_id)
        case Refused(_, message, metadata):
            payment_id, code = metadata.get("paymentId", ""), metadata.get("errorCode", "")
            return booking.declined(payment_id, code, message)
        case GivenUp():
            return booking.given_up()
    return booking
