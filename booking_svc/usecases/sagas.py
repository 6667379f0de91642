"""Running sagas beside the calls that began them, and writing down how they go."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from booking_svc.domain.booking import Booking, BookingStatus
from booking_svc.domain.errors import BookingNotFound
from booking_svc.ports import Bookings, Encode
from booking_svc.saga.machine import Saga
from booking_svc.saga.runner import LeaseLost, Runner
from chassis import context
from chassis.cards import Card
from chassis.tasks import Tasks
from chassis.transactions import Transactions

Result = TypeVar("Result")

# How long a caller without a deadline waits for a saga.
WAIT_MAX_S = 55.0
# Kept back from the caller's time, to answer with the booking as it is.
ANSWER_MARGIN_S = 0.1


class BookingJournal:
    """The runner's journal: saga and booking in one transaction, behind the fence."""

    def __init__(self, transactions: Transactions[Bookings], encode: Encode) -> None:
        """Write here; `encode` makes the answer that is kept."""
        self._transactions = transactions
        self._encode = encode

    async def record(self, saga: Saga, booking: Booking) -> Booking:
        """Store both; a booking that was just confirmed gets its answer."""
        if booking.status is BookingStatus.CONFIRMED and booking.answer is None:
            booking = replace(booking, answer=self._encode(booking))

        async def unit(bookings: Bookings) -> None:
            if not await bookings.save_saga(saga):
                raise LeaseLost
            await bookings.save_booking(booking)

        await self._transactions.write(unit)
        return booking


class Sagas:
    """The sagas that run in this process."""

    def __init__(self, transactions: Transactions[Bookings], runner: Runner, tasks: Tasks) -> None:
        """Run with `runner`, as `tasks` that a stop waits for."""
        self._transactions = transactions
        self._runner = runner
        self._tasks = tasks
        self._running: dict[int, asyncio.Task[Booking]] = {}

    async def begin(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do what stores a saga and starts it, to its end even when the caller leaves.

        A saga that is stored and not started would wait for a recovery.
        """
        return await self._tasks.finish(work, "begin")

    def start(self, saga: Saga, booking: Booking, card: Card | None = None) -> None:
        """Run a saga that is stored, whether or not anybody waits for it."""
        task = self._tasks.spawn(self._runner.run(saga, booking, card), booking.booking_reference)
        self._running[booking.booking_id] = task
        task.add_done_callback(lambda _: self._forget(booking.booking_id, task))

    async def wait(self, booking: Booking) -> Booking:
        """The booking when its saga has ended, or as it is when the caller's time is nearly over.

        Does not wait for a saga that runs in another process.
        """
        task = self._running.get(booking.booking_id)
        if task is not None:
            wait_s = context.remaining_s(WAIT_MAX_S) - ANSWER_MARGIN_S
            done, _ = await asyncio.wait({task}, timeout=max(0.0, wait_s))
            if done and not isinstance(task.exception(), LeaseLost):
                return task.result()
        present = await self._transactions.read(
            lambda bookings: bookings.booking(booking.booking_id)
        )
        if present is None:
            raise BookingNotFound(booking.booking_id)
        return present

    def _forget(self, booking_id: int, task: asyncio.Task[Booking]) -> None:
        # By then the booking's next saga may have taken the place.
        if self._running.get(booking_id) is task:
            del self._running[booking_id]
