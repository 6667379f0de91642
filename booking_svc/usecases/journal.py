"""Writing down how sagas go: saga, booking, timeline and event in one transaction."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from booking_svc import metrics
from booking_svc.domain.booking import Booking, BookingStatus
from booking_svc.ports import Bookings, Encode
from booking_svc.saga.machine import Saga, State
from booking_svc.saga.runner import LeaseLost, StepRecord, Verdict
from chassis.clock import Clock
from chassis.errors import DomainError
from chassis.events import Event
from chassis.ids import Ids
from chassis.transactions import Transactions

log = structlog.get_logger(__name__)

# A booking in one of these states answers ConfirmBooking the same for ever.
ANSWERED = (BookingStatus.CONFIRMED, BookingStatus.CANCELLED)
ENDED = (State.SUCCEEDED, State.UNDONE)


class BookingJournal:
    """The runner's journal, behind the fence."""

    def __init__(
        self,
        transactions: Transactions[Bookings],
        encode: Encode,
        clock: Clock,
        ids: Ids,
        changed: Callable[[Booking], None],
    ) -> None:
        """Write here; `encode` makes answers and events, `changed` is told of each booking."""
        self._transactions = transactions
        self._encode = encode
        self._clock = clock
        self._ids = ids
        self._changed = changed

    async def record(self, saga: Saga, booking: Booking, step: StepRecord) -> Booking:
        """Store all of it, or find that an earlier try of this very write did."""
        booking = self.answered(booking)

        async def unit(bookings: Bookings) -> None:
            if await bookings.sagas.save(saga):
                await self.write(bookings, saga, booking, step)
                return
            stored = await bookings.sagas.find(saga.booking_id, saga.definition)
            fence = (saga.attempt, saga.revision)
            if stored is None or (stored.attempt, stored.revision) != fence:
                raise LeaseLost

        await self._transactions.write(unit)
        self.tell(saga, booking)
        return booking

    async def write(
        self, bookings: Bookings, saga: Saga, booking: Booking, step: StepRecord
    ) -> None:
        """Store what goes with a saga that is stored: booking, timeline, and event at its end."""
        await bookings.save_booking(booking)
        # That it still waits is news once.
        if step.verdict is not Verdict.PENDING or saga.waits == 1:
            await bookings.sagas.add_step(self._ids.number(), saga, step)
        if saga.state in ENDED:
            await bookings.outbox.add(self._event(booking))

    def answered(self, booking: Booking) -> Booking:
        """The booking, with the answer that is kept from now on if its state is one for ever."""
        if booking.status in ANSWERED and booking.answer is None:
            return replace(booking, answer=self._encode(booking))
        return booking

    def tell(self, saga: Saga, booking: Booking) -> None:
        """Tell who waits in this process that a booking was stored; count it if it is settled."""
        self._changed(booking)
        if saga.state in ENDED:
            metrics.settled(booking, self._clock.now())

    async def hand_back(self, saga: Saga) -> None:
        """Let go of a saga, so that another process may take it over at once."""
        now = self._clock.now()
        try:
            await self._transactions.write(lambda bookings: bookings.sagas.hand_back(saga, now))
        except DomainError as error:
            # Its lease ends by itself, later.
            log.warning("saga_not_handed_back", booking_id=saga.booking_id, cause=error.message)

    def _event(self, booking: Booking) -> Event:
        return Event(
            event_id=self._ids.number(),
            kind=booking.status,
            subject=booking.booking_reference,
            payload=self._encode(booking),
            occurred_at=self._clock.now(),
        )
