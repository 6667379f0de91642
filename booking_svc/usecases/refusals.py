"""What is refused before anything is stored: for another service's refusal, or a newer saga."""

from typing import TypeVar

from booking_svc.domain.errors import (
    ReservationExpired,
    ReservationNotActive,
    ReservationNotFound,
)
from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.saga import machine
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


def require_known(definition: str) -> None:
    """Go on only with sagas that are known here: what another does, this program cannot undo.

    Raises:
        DependencyUnavailable: it is not; another replica may know it.
    """
    if not machine.knows(definition):
        message = f"this replica does not know the saga {definition!r}: ask again, for a newer one"
        raise DependencyUnavailable(message)
