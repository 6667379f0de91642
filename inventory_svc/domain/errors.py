"""The refusals of the inventory."""

from collections.abc import Iterable

from chassis.errors import DomainError, Kind, joined


class EventNotFound(DomainError):
    """No event has this id."""

    kind = Kind.NOT_FOUND
    reason = "EVENT_NOT_FOUND"

    def __init__(self, event_id: int) -> None:
        """Name the event."""
        super().__init__(f"there is no event {event_id}", {"eventId": event_id})


class SeatNotAvailable(DomainError):
    """A seat is held or booked."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SEAT_NOT_AVAILABLE"

    def __init__(self, seat_numbers: Iterable[str]) -> None:
        """Name the seats."""
        numbers = list(seat_numbers)
        names = joined(numbers)
        super().__init__(f"not available: {names}", {"seatNumbers": names})
        self.count = len(numbers)


class _ReservationError(DomainError):
    """Says the same about one or more reservations, and names them."""

    text: str

    def __init__(self, reservation_ids: Iterable[int]) -> None:
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
    text = "the reservation has expired; reserve the seat again"


class ReservationNotActive(_ReservationError):
    """A reservation was cancelled, or is confirmed for another booking."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RESERVATION_NOT_ACTIVE"
    text = "the reservation is not active"


class UserHasOpenBookings(DomainError):
    """Something of a user who is to be erased is not over."""

    kind = Kind.FAILED_PRECONDITION
    reason = "USER_HAS_OPEN_BOOKINGS"

    def __init__(self, open_ones: Iterable[int]) -> None:
        """Name the reservations."""
        names = joined(open_ones)
        super().__init__(
            f"these reservations of the user are not over: {names}", {"reservations": names}
        )
