"""The sagas of one process over fakes: what is stored is noted, and tests end what runs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from booking_svc.domain.booking import Booking
from booking_svc.saga.definition import CONFIRM_BOOKING
from booking_svc.saga.machine import Lease, Saga
from booking_svc.usecases.sagas import Sagas
from chassis.cards import Card
from chassis.errors import Overloaded
from chassis.tasks import Tasks
from support.clock import ManualClock
from support.sagas import a_booking

LEASE_S = 30.0


@dataclass
class Shelf:
    """`Transactions`, repository and saga store in one: some bookings, and notes of leases."""

    kept: dict[int, Booking] = field(default_factory=dict)
    reads: int = 0
    renewed: list[tuple[list[int], Lease]] = field(default_factory=list)
    released: list[tuple[str, object]] = field(default_factory=list)
    # What is due, of which bookings it was asked not to be, and what was asked for.
    waiting: list[Saga] = field(default_factory=list)
    left_out: list[list[int]] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)

    @property
    def sagas(self) -> "Shelf":
        return self

    async def read(self, unit: Callable[[Any], Awaitable[Any]]) -> Any:
        self.reads += 1
        return await unit(self)

    async def write(self, unit: Callable[[Any], Awaitable[Any]]) -> Any:
        return await unit(self)

    async def booking(self, booking_id: int) -> Booking | None:
        return self.kept.get(booking_id)

    async def renew(self, booking_ids: list[int], lease: Lease) -> None:
        self.renewed.append((booking_ids, lease))

    async def release(self, owner: str, now: object) -> None:
        self.released.append((owner, now))

    async def due(self, now: datetime, limit: int, running: Sequence[int]) -> list[Saga]:
        self.left_out.append(list(running))
        due = [one for one in self.waiting if one.lease.until <= now]
        return [one for one in due if one.booking_id not in running][:limit]

    async def take_over(self, saga: Saga, lease: Lease, _now: datetime) -> Saga | None:
        self.wanted.append(saga.booking_id)
        self.waiting.remove(saga)
        return replace(saga, lease=lease, attempt=saga.attempt + 1)


class HeldRunner:
    """A runner whose sagas end when the test says so: with a booking, or an error."""

    def __init__(self) -> None:
        self.cards: list[Card | None] = []
        self.began: list[int] = []
        self.cut: list[int] = []
        # For each saga, what comes next: a booking that is stored, or its end.
        self._next: list[asyncio.Queue[tuple[Booking | Exception, bool]]] = []

    async def run(
        self, saga: Saga, booking: Booking, card: Card | None, stored: Callable[[Booking], None]
    ) -> Booking:
        self.cards.append(card)
        self.began.append(booking.booking_id)
        coming: asyncio.Queue[tuple[Booking | Exception, bool]] = asyncio.Queue()
        self._next.append(coming)
        try:
            while True:
                outcome, is_end = await coming.get()
                if isinstance(outcome, Exception):
                    raise outcome
                if is_end:
                    return outcome
                stored(outcome)
        except asyncio.CancelledError:
            self.cut.append(saga.attempt)
            raise

    async def store(self, booking: Booking) -> None:
        """A step of the saga that began last is stored, and the saga goes on."""
        await asyncio.sleep(0)
        self._next[-1].put_nowait((booking, False))
        for _ in range(3):
            await asyncio.sleep(0)

    async def end(self, outcome: Booking | Exception, which: int = -1) -> None:
        await asyncio.sleep(0)
        self._next[which].put_nowait((outcome, True))


class Office:
    """The sagas of one process over fakes."""

    def __init__(self, running_max: int = 2) -> None:
        self.clock, self.shelf, self.runner = ManualClock(), Shelf(), HeldRunner()
        self.tasks = Tasks()
        self.sagas = Sagas(
            self.shelf,
            self.runner,
            self.tasks,
            self.clock,
            owner="us",
            lease_s=LEASE_S,
            running_max=running_max,
        )

    def start(self, booking_id: int = 5001, card: Card | None = None) -> Booking:
        booking = self.shelf.kept[booking_id] = a_booking(booking_id=booking_id)
        self.sagas.start(self.sagas.new(CONFIRM_BOOKING, booking_id), booking, card)
        return booking

    def is_full(self) -> bool:
        """Whether no place is left."""
        try:
            with self.sagas.place():
                return False
        except Overloaded:
            return True
