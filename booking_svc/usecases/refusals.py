"""Turning what another service refused into our own refusal, before anything is stored."""

from typing import TypeVar

from booking_svc.domain.errors import (
    ReservationExpired,
    ReservationNotActive,
    ReservationNotFound,
)
from booking_svc.domain.outcome import Done, Refused, Unknown
from chassis.errors import DependencyUnavailable

Value = TypeVar("Value")

RESERVATION_ERRORS = {
    error.reason: error for error in (ReservationNotFound, ReservationExpired, ReservationNotActive)
}


def require_done(outcome: Done[Value] | Refused | Unknown) -> Value:
    """What came of a call to the inventory.

    Raises:
        ReservationNotFound, ReservationExpired, ReservationNotActive: it refused for that.
        DependencyUnavailable: it gave no answer, or one that makes no sense here.
    """
    if isinstance(outcome, Done):
        return outcome.value
    if isinstance(outcome, Refused) and outcome.reason in RESERVATION_ERRORS:
        names = outcome.metadata.get("reservationIds", "")
        raise RESERVATION_ERRORS[outcome.reason](names.split(","))
    message = "the inventory cannot be reached; try again with the same idempotency key"
    raise DependencyUnavailable(message)
