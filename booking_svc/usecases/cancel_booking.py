"""Cancelling a booking: its seats are freed and its payment is given back.

A booking that is PENDING is called off in the middle: its saga is superseded, so that it
writes nothing more, and whatever it still sends is refused by the other services, for they
remember that the booking was called off.
"""

from contextlib import nullcontext

from booking_svc import metrics
from booking_svc.domain.booking import Booking, BookingStatus
from booking_svc.domain.errors import BookingNotCancellable, BookingNotFound
from booking_svc.ports import Bookings
from booking_svc.saga.definition import CANCEL_BOOKING, CONFIRM_BOOKING, family_of
from booking_svc.saga.machine import Saga
from booking_svc.usecases.refusals import require_known
from booking_svc.usecases.sagas import Sagas
from chassis import tracing
from chassis.transactions import Transactions

ALREADY = (BookingStatus.CANCELLING, BookingStatus.CANCELLED)


class CancelBooking:
    """Cancels bookings."""

    def __init__(self, transactions: Transactions[Bookings], sagas: Sagas) -> None:
        """Work on these."""
        self._transactions = transactions
        self._sagas = sagas

    async def __call__(self, user_id: str, booking_id: int) -> Booking:
        """Cancel a user's booking; a repeat returns it as it is.

        Raises:
            BookingNotFound: it does not exist or is someone else's.
            BookingNotCancellable: it has failed or is failing.
            Overloaded: too many sagas run here; nothing is stored.
            DependencyUnavailable: a newer replica has made it, in a way that is not known here;
                nothing is stored.
        """
        # One that runs here makes room for its cancellation.
        with nullcontext() if self._sagas.runs(booking_id) else self._sagas.place():
            booking = await self._sagas.begin(self._begin(user_id, booking_id))
        # Also when its caller leaves before there is an answer.
        tracing.note(booking_reference=booking.booking_reference)
        return await self._sagas.wait(booking)

    async def _begin(self, user_id: str, booking_id: int) -> Booking:
        new = self._sagas.new(CANCEL_BOOKING, booking_id)
        called_off: list[bool] = []

        async def unit(bookings: Bookings) -> tuple[Booking, Saga | None]:
            booking = await bookings.booking(booking_id)
            if booking is None or booking.user_id != user_id:
                raise BookingNotFound(booking_id)
            for name in await bookings.sagas.definitions(booking_id):
                require_known(name)
            # Saga before booking, as whoever records its progress.
            await bookings.sagas.supersede(booking_id, family_of(CONFIRM_BOOKING.name))
            booking = await bookings.lock_booking(booking_id) or booking
            if booking.status in ALREADY:
                return booking, None
            if not booking.is_cancellable:
                raise BookingNotCancellable(booking_id, booking.status)
            called_off[:] = [booking.status is BookingStatus.PENDING]
            booking = booking.cancelling()
            await bookings.save_booking(booking)
            await bookings.sagas.add(new)
            return booking, new

        async def landed(bookings: Bookings) -> tuple[Booking, Saga | None] | None:
            # Locked, to wait for a transaction that may be storing it.
            booking = await bookings.lock_booking(booking_id)
            stored = await bookings.sagas.find(booking_id, CANCEL_BOOKING.name)
            if booking is None or stored is None:
                return None
            return booking, new if stored.lease == new.lease else None

        booking, saga = await self._transactions.write(unit, landed)
        if saga is not None:
            self._sagas.start(saga, booking)
            if any(called_off):
                metrics.ROLLBACKS.labels(metrics.CANCELLED).inc()
        return booking
