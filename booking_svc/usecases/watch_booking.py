"""Watching a booking until it is settled."""

from collections.abc import AsyncIterator

from booking_svc.domain.booking import Booking
from booking_svc.usecases.changes import Changes
from booking_svc.usecases.read_bookings import ReadBookings
from chassis import tracing

# For what other replicas write: they ring no bell here.
POLL_S = 0.5


class WatchBooking:
    """Follows bookings."""

    def __init__(self, read: ReadBookings, changes: Changes) -> None:
        """Read with `read`, sooner when `changes` says so."""
        self._read = read
        self._changes = changes

    async def __call__(self, user_id: str, booking_id: int) -> AsyncIterator[Booking]:
        """A user's booking as it is, then at each change, until it is settled.

        Raises:
            BookingNotFound: it does not exist or is someone else's.
        """
        bell = self._changes.of(booking_id)
        last: Booking | None = None
        while True:
            heard = bell.rings
            with tracing.apart():
                booking = await self._read.one(user_id, booking_id)
            if booking != last:
                yield booking
            if booking.is_settled:
                return
            last = booking
            await bell.wait(POLL_S, heard)
