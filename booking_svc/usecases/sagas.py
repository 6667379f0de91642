"""Running sagas beside the calls that began them: started, waited for, kept, handed back."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from booking_svc import metrics
from booking_svc.domain.booking import Booking
from booking_svc.domain.errors import BookingNotFound
from booking_svc.ports import Bookings
from booking_svc.saga import machine
from booking_svc.saga.definition import Definition
from booking_svc.saga.machine import Lease, Saga
from booking_svc.saga.runner import LeaseLost, Runner
from chassis import context, tracing
from chassis.cards import Method
from chassis.clock import Clock
from chassis.errors import DomainError, Overloaded
from chassis.tasks import Tasks
from chassis.transactions import Transactions

log = structlog.get_logger(__name__)
Result = TypeVar("Result")

# How long a caller without a deadline waits for a saga.
WAIT_MAX_S = 55.0
# Kept back from the caller's time, to answer with the booking as it is.
ANSWER_MARGIN_S = 0.1
TOO_MANY = "too many bookings are in the making here; try again in a moment"
# A lease is renewed this often in its life: two renewals may fail, and the third is in time.
RENEWALS = 4
# Beyond the sagas that begin here, so that those of a dead process go on even when it is busy.
RECOVERY_ROOM = 50


@dataclass
class _Run:
    """A saga that runs here."""

    task: asyncio.Task[Booking | None]
    # As it was last stored.
    booking: Booking


class Sagas:
    """The sagas that run in this process, under leases in its name."""

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        transactions: Transactions[Bookings],
        runner: Runner,
        tasks: Tasks,
        clock: Clock,
        *,
        owner: str,
        lease_s: float,
        running_max: int,
    ) -> None:
        """Run with `runner`, as `tasks` that a stop waits for; `owner` is this process alone."""
        self._transactions = transactions
        self._runner = runner
        self._tasks = tasks
        self._clock = clock
        self._owner = owner
        self.lease_s = lease_s
        self._running_max = running_max
        self._running: dict[int, _Run] = {}
        # Of sagas that are being stored: not started yet, and nobody's to take over.
        self._beginning: set[int] = set()
        self._places = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Keep a place for a saga while it is prepared.

        Raises:
            Overloaded: as many as may run here do.
        """
        if len(self._running) + self._places >= self._running_max:
            raise Overloaded(TOO_MANY)
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    @property
    def room(self) -> int:
        """How many more sagas may be taken over: new ones never take all the room."""
        return max(0, self._running_max + RECOVERY_ROOM - len(self._running))

    @property
    def running(self) -> list[int]:
        """The bookings whose sagas run here, or are about to."""
        return [*self._running, *self._beginning]

    def runs(self, booking_id: int) -> bool:
        """Whether a saga of this booking runs here."""
        return booking_id in self._running

    def lease(self) -> Lease:
        """A lease of this process that begins now."""
        return Lease(self._owner, self._clock.now() + timedelta(seconds=self.lease_s))

    def new(self, definition: Definition, booking_id: int) -> Saga:
        """A saga that has not begun, leased to this process. It is neither stored nor started.

        While the task that makes it goes on, this process does not take it for one that was lost.
        """
        maker = asyncio.current_task()
        if maker is not None:
            self._beginning.add(booking_id)
            maker.add_done_callback(lambda _: self._beginning.discard(booking_id))
        saga = machine.begin(definition, booking_id, self._clock.now(), self.lease())
        origin, parent = context.request_id.get(), tracing.traceparent()
        return replace(saga, request_id=origin, traceparent=parent)

    async def begin(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do what stores a saga and starts it, to its end even when the caller leaves."""
        return await self._tasks.finish(work, "begin")

    def start(self, saga: Saga, booking: Booking, card: Method | None = None) -> None:
        """Run a saga that is stored and leased to this process, whether or not anybody waits."""
        before = self._running.get(booking.booking_id)
        if before is not None:
            # Its lease is over: what it still does would be written by nobody.
            before.task.cancel()
        task = self._tasks.spawn(self._run(saga, booking, card), booking.booking_reference)
        run = self._running[booking.booking_id] = _Run(task, booking)
        metrics.HERE.set(len(self._running))
        task.add_done_callback(lambda _: self._forget(booking.booking_id, run))

    async def wait(self, booking: Booking) -> Booking:
        """The booking when its saga has ended, or as it is when the caller's time is nearly over.

        Does not wait for a saga that runs in another process, or that rests.
        """
        run = self._running.get(booking.booking_id)
        if run is not None:
            wait_s = context.remaining_s(WAIT_MAX_S) - ANSWER_MARGIN_S
            done, _ = await asyncio.wait({run.task}, timeout=max(0.0, wait_s))
            if not done:
                return run.booking
            ended = None if run.task.cancelled() else run.task.result()
            if ended is not None:
                return ended
        present = await self._transactions.read(
            lambda bookings: bookings.booking(booking.booking_id)
        )
        if present is None:
            raise BookingNotFound(booking.booking_id)
        return present

    async def renew(self) -> bool:
        """Keep the leases of what runs here. One batch for a worker; never more to do at once."""
        running = list(self._running)
        if running:
            lease = self.lease()
            await self._transactions.write(lambda bookings: bookings.sagas.renew(running, lease))
        return False

    async def hand_back(self) -> None:
        """Let go of whatever was cut short here, so that another process takes it over at once."""
        now = self._clock.now()
        try:
            await self._transactions.write(
                lambda bookings: bookings.sagas.release(self._owner, now)
            )
        except DomainError as error:
            # Their leases end by themselves, later.
            log.warning("sagas_not_handed_back", cause=error.message)

    async def _run(self, saga: Saga, booking: Booking, card: Method | None) -> Booking | None:
        def stored(present: Booking) -> None:
            run = self._running.get(present.booking_id)
            if run is not None and run.task is asyncio.current_task():
                run.booking = present

        context.request_id.set(saga.request_id)
        with tracing.inside(f"saga {saga.definition}", follows=saga.traceparent):
            tracing.note(request_id=saga.request_id, booking_reference=booking.booking_reference)
            try:
                return await self._runner.run(saga, booking, card, stored)
            except LeaseLost:
                log.warning("saga_lost", attempt=saga.attempt)
                return None

    def _forget(self, booking_id: int, run: _Run) -> None:
        # By then the booking's next saga may have taken the place.
        if self._running.get(booking_id) is run:
            del self._running[booking_id]
            metrics.HERE.set(len(self._running))
