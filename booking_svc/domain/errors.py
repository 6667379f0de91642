"""The refusals of the orchestrator."""

from collections.abc import Iterable
from enum import StrEnum

from chassis.errors import DomainError, Kind, joined


class BookingNotFound(DomainError):
    """No booking has this id, or it belongs to someone else."""

    kind = Kind.NOT_FOUND
    reason = "BOOKING_NOT_FOUND"

    def __init__(self, booking_id: int) -> None:
        """Name the booking."""
        super().__init__(f"there is no booking {booking_id}", {"bookingId": booking_id})


class BookingNotCancellable(DomainError):
    """The booking is in a state from which there is nothing to cancel."""

    kind = Kind.FAILED_PRECONDITION
    reason = "BOOKING_NOT_CANCELLABLE"

    def __init__(self, booking_id: int, status: StrEnum) -> None:
        """Name the booking and its state."""
        super().__init__(
            f"booking {booking_id} is {status}: it has failed or is failing, nothing stays taken",
            {"bookingId": booking_id, "status": status},
        )


class _ReservationError(DomainError):
    """Says the same about one or more reservations, and names them."""

    text: str

    def __init__(self, reservation_ids: Iterable[int | str]) -> None:
        """Name the reservations."""
        names = joined(reservation_ids)
        super().__init__(f"{self.text}: {names}", {"reservationIds": names})


class ReservationNotFound(_ReservationError):
    """A reservation does not exist, or belongs to someone else."""

    kind = Kind.NOT_FOUND
    reason = "RESERVATION_NOT_FOUND"
    text = "there is no such reservation"


class ReservationExpired(_ReservationError):
    """The time of a reservation is over."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RESERVATION_EXPIRED"
    text = "the reservation has expired, or ends too soon; reserve the seat again"


class ReservationNotActive(_ReservationError):
    """A reservation was cancelled, or belongs to another booking."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RESERVATION_NOT_ACTIVE"
    text = "the reservation is not active, or is being booked"


class ReservationsMixed(_ReservationError):
    """The reservations are for several events."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RESERVATIONS_MIXED"
    text = "a booking is for one event; these reservations are for several"


class PaymentFailed(DomainError):
    """The payment was declined. The reservations are released."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PAYMENT_FAILED"


class SeatsLost(DomainError):
    """The payment went through and the seats were gone. The money is given back."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SEATS_LOST"


class SagaNotFound(DomainError):
    """The booking has no saga of this name, or there is no such booking."""

    kind = Kind.NOT_FOUND
    reason = "SAGA_NOT_FOUND"

    def __init__(self, booking_id: int, name: str) -> None:
        """Name the booking and the saga."""
        facts = {"bookingId": booking_id, "name": name}
        super().__init__(f"booking {booking_id} has no saga {name!r}", facts)


class SagaNotParked(DomainError):
    """There is nothing to retry or resolve: the saga goes on by itself, or has ended."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SAGA_NOT_PARKED"

    def __init__(self, booking_id: int, name: str, state: StrEnum) -> None:
        """Name the saga and its state."""
        super().__init__(
            f"saga {name} of booking {booking_id} is {state}, and not parked",
            {"bookingId": booking_id, "name": name, "state": state},
        )


class UserHasOpenBookings(DomainError):
    """Something of a user who is to be erased is not over."""

    kind = Kind.FAILED_PRECONDITION
    reason = "USER_HAS_OPEN_BOOKINGS"

    def __init__(self, open_ones: Iterable[str]) -> None:
        """Name the bookings."""
        names = joined(open_ones)
        super().__init__(f"these bookings of the user are not over: {names}", {"bookings": names})
