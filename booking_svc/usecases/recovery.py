"""Recovery: sagas whose lease is over are taken over and go on from their last stored step.

A lease is over when its process died or hangs, or when the saga rests and its time has
come. The next owner raises the saga's attempt, and every write carries the attempt: the
owner before it writes nothing more, should it wake up.
"""

import asyncio
from datetime import datetime, timedelta

import structlog

from booking_svc import metrics
from booking_svc.domain.booking import Booking
from booking_svc.ports import Bookings
from booking_svc.saga.machine import Saga
from booking_svc.usecases.sagas import Sagas
from chassis.clock import Clock
from chassis.errors import DependencyUnavailable, DomainError
from chassis.transactions import Transactions

log = structlog.get_logger(__name__)

BATCH = 50
AT_ONCE = 4


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
        self._patient_until: datetime | None = None

    async def run_once(self) -> bool:
        """Take over one batch; true if there may be more at once."""
        limit = min(BATCH, self._sagas.room)
        due = await self._due(limit) if limit else []
        several = asyncio.Semaphore(AT_ONCE)

        async def one(saga: Saga) -> None:
            async with several:
                await self._one(saga)

        await asyncio.gather(*(one(saga) for saga in due))
        # A round in vain, as on a database that takes no writes, is not repeated at once.
        return len(due) == limit and any(self._sagas.runs(saga.booking_id) for saga in due)

    async def _due(self, limit: int) -> list[Saga]:
        now, running = self._clock.now(), self._sagas.running
        try:
            due = await self._transactions.read(
                lambda bookings: bookings.sagas.due(now, limit, running)
            )
        except DependencyUnavailable:
            # Nobody could renew a lease either: they get the time for it when it is back.
            self._patient_until = self._clock.now() + timedelta(seconds=self._sagas.lease_s)
            raise
        too_early = self._patient_until is not None and now < self._patient_until
        return [] if too_early else due

    async def _one(self, saga: Saga) -> None:
        """Take over one saga; what goes wrong with it is not in the way of the others."""
        if self._stopping.is_set():
            return
        try:
            await self._sagas.begin(self._take_over(saga))
        except DomainError as error:
            log.warning("saga_not_taken_over", booking_id=saga.booking_id, cause=error.message)

    async def _take_over(self, saga: Saga) -> None:
        """Start a saga here, unless another process was faster."""
        lease, now = self._sagas.lease(), self._clock.now()

        async def unit(bookings: Bookings) -> tuple[Saga, Booking] | None:
            taken = await bookings.sagas.take_over(saga, lease, now)
            booking = await bookings.booking(saga.booking_id) if taken else None
            return (taken, booking) if taken and booking else None

        taken = await self._transactions.write(unit)
        if taken is not None:
            metrics.RECOVERIES.labels(saga.definition).inc()
            self._sagas.start(*taken)
