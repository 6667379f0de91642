"""Recovery: sagas whose lease is over are taken over and go on from their last stored step.

A lease is over when its process died or hangs, or when the saga rests and its time has
come. The next owner raises the saga's attempt, and every write carries the attempt: the
owner before it writes nothing more, should it wake up.
"""

import asyncio

from booking_svc.domain.booking import Booking
from booking_svc.ports import Bookings
from booking_svc.saga.machine import Saga
from booking_svc.usecases.sagas import Sagas
from chassis.clock import Clock
from chassis.transactions import Transactions

BATCH = 50


class Recovery:
    """Takes over sagas that nobody runs."""

    def __init__(
        self,
        transactions: Transactions[Bookings],
        sagas: Sagas,
        clock: Clock,
        stopping: asyncio.Event,
    ) -> None:
        """Run what is taken over as `sagas`, as many as there is room for, until `stopping`."""
        self._transactions = transactions
        self._sagas = sagas
        self._clock = clock
        self._stopping = stopping

    async def run_once(self) -> bool:
        """Take over one batch; true if there may be more at once."""
        limit = min(BATCH, self._sagas.room)
        if not limit or self._stopping.is_set():
            return False
        now = self._clock.now()
        due = await self._transactions.read(lambda bookings: bookings.sagas.due(now, limit))
        # One that runs here was not renewed in time: it will be, and has its card.
        lost = [saga for saga in due if not self._sagas.runs(saga.booking_id)]
        for saga in lost:
            await self._sagas.begin(self._take_over(saga))
        return len(lost) == limit

    async def _take_over(self, saga: Saga) -> None:
        """Start a saga here, unless another process was faster."""
        lease, now = self._sagas.lease(), self._clock.now()

        async def unit(bookings: Bookings) -> tuple[Saga, Booking] | None:
            taken = await bookings.sagas.take_over(saga, lease, now)
            booking = await bookings.booking(saga.booking_id) if taken else None
            return (taken, booking) if taken and booking else None

        taken = await self._transactions.write(unit)
        if taken is not None:
            self._sagas.start(*taken)
