"""Cancelling a booking: its seats are freed and its payment is given back."""

from booking_svc.domain.booking import Booking, BookingStatus
from booking_svc.domain.errors import BookingNotCancellable, BookingNotFound
from booking_svc.ports import Bookings
from booking_svc.saga import machine
from booking_svc.saga.definition import CANCEL_BOOKING
from booking_svc.saga.machine import Saga
from booking_svc.usecases.sagas import Sagas
from chassis.transactions import Transactions

ALREADY = (BookingStatus.CANCELLING, BookingStatus.CANCELLED)


class CancelBooking:
    """Cancels confirmed bookings."""

    def __init__(self, transactions: Transactions[Bookings], sagas: Sagas) -> None:
        """Work on these."""
        self._transactions = transactions
        self._sagas = sagas

    async def __call__(self, user_id: str, booking_id: int) -> Booking:
        """Cancel a user's booking; a repeat returns it as it is.

        Raises:
            BookingNotFound: it does not exist or is someone else's.
            BookingNotCancellable: it is PENDING or FAILED.
        """
        booking = await self._sagas.begin(self._begin(user_id, booking_id))
        return await self._sagas.wait(booking)

    async def _begin(self, user_id: str, booking_id: int) -> Booking:
        async def unit(bookings: Bookings) -> tuple[Booking, Saga | None]:
            booking = await bookings.lock_booking(booking_id)
            if booking is None or booking.user_id != user_id:
                raise BookingNotFound(booking_id)
            if booking.status in ALREADY:
                return booking, None
            if booking.status is not BookingStatus.CONFIRMED:
                raise BookingNotCancellable(booking_id, booking.status)
            booking, saga = booking.cancelling(), machine.begin(CANCEL_BOOKING, booking_id)
            await bookings.save_booking(booking)
            await bookings.add_saga(saga)
            return booking, saga

        async def landed(bookings: Bookings) -> tuple[Booking, Saga | None] | None:
            # Locked, to wait for a transaction that may be storing it.
            booking = await bookings.lock_booking(booking_id)
            if booking is None or booking.status is not BookingStatus.CANCELLING:
                return None
            # Stored by this call, or by another at the same moment. To run it twice is harmless:
            # the calls carry the same keys, and what has ended is not written again.
            return booking, machine.begin(CANCEL_BOOKING, booking_id)

        booking, saga = await self._transactions.write(unit, landed)
        if saga is not None:
            self._sagas.start(saga, booking)
        return booking
