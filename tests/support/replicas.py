"""Payment adapters over one database that run step by step, and are killed at any seam."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from chassis.bell import Bell
from chassis.clock import Clock
from chassis.database import Database, DatabaseTransactions
from chassis.errors import DomainError
from chassis.ids import Ids
from chassis.tasks import Tasks
from chassis.transactions import Transactions
from payment_svc import translate
from payment_svc.domain.limits import Limits
from payment_svc.persistence.repository import SqlLedger
from payment_svc.ports import Ledger, Provider
from payment_svc.usecases.asking import Asking
from payment_svc.usecases.cancel_payment import CancelPayment
from payment_svc.usecases.process_payment import ProcessPayment
from payment_svc.usecases.read_payments import ReadPayments
from payment_svc.usecases.reconciler import Reconciler
from payment_svc.usecases.records import Records
from payment_svc.usecases.refund_payment import RefundPayment
from payment_svc.usecases.settling import Settling
from payment_svc.usecases.webhooks import Webhooks

TIMEOUT_S = 25.0
# What goes on without the database goes on for no more turns of the loop than that.
TURNS = 30

Result = TypeVar("Result")


class Traffic:
    """The units of work of all replicas, one after another, so that a run can be repeated."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def unit(self) -> Any:
        self._count += 1
        self._idle.clear()
        try:
            async with self._turn:
                yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def rest(self) -> None:
        """Wait until nothing goes on any more but what is held or cut off."""
        quiet = 0
        while quiet < TURNS:
            await self._idle.wait()
            await asyncio.sleep(0)
            quiet = 0 if self._count else quiet + 1


class CutTransactions:
    """`Transactions` in front of which, or behind which, a process may end."""

    def __init__(self, inner: Transactions[Ledger], traffic: Traffic) -> None:
        self._inner = inner
        self._traffic = traffic
        # Before each write is a seam, and after it; how many of them are passed before the end.
        self.seams_left: int | None = None
        self.is_cut = False
        self.writes = 0

    async def read(self, unit: Callable[[Ledger], Awaitable[Result]]) -> Result:
        async with self._traffic.unit():
            return await self._inner.read(unit)

    async def write(
        self,
        unit: Callable[[Ledger], Awaitable[Result]],
        landed: Callable[[Ledger], Awaitable[Result | None]] | None = None,
    ) -> Result:
        await self._seam()
        async with self._traffic.unit():
            result = await self._inner.write(unit, landed)
        self.writes += 1
        await self._seam()
        return result

    async def _seam(self) -> None:
        if self.seams_left == 0:
            self.is_cut = True
        if self.is_cut:
            await asyncio.Event().wait()
        if self.seams_left is not None:
            self.seams_left -= 1


@dataclass
class Flight:
    """A call that was begun, and may have ended."""

    task: asyncio.Task[Any]

    @property
    def result(self) -> Any:
        """What it returned, or the refusal; none: it has not ended. Any other error is ours."""
        if not self.task.done() or self.task.cancelled():
            return None
        error = self.task.exception()
        if error is not None and not isinstance(error, DomainError):
            raise error
        return error or self.task.result()


@dataclass
class Replica:
    """One process of the payment adapter."""

    transactions: CutTransactions
    tasks: Tasks
    process: ProcessPayment
    refund: RefundPayment
    cancel: CancelPayment
    read: ReadPayments
    reconciler: Reconciler
    webhooks: Webhooks
    flights: list[Flight] = field(default_factory=list)

    def begin(self, work: Coroutine[Any, Any, Any]) -> Flight:
        flight = Flight(asyncio.get_running_loop().create_task(work))
        self.flights.append(flight)
        return flight

    async def kill(self) -> None:
        """End, wherever it stands; nothing of it is stored any more."""
        self.transactions.is_cut = True
        running = [one.task for one in self.flights if not one.task.done()]
        for task in running:
            task.cancel()
        await self.tasks.drain(0)
        await asyncio.gather(*running, return_exceptions=True)


def start(
    database: Database, clock: Clock, provider: Provider, traffic: Traffic, seed: int
) -> Replica:
    """A replica that draws the same numbers whenever it has the same seed."""
    tasks = Tasks()
    transactions = CutTransactions(DatabaseTransactions(database, SqlLedger), traffic)
    asking = Asking(provider, TIMEOUT_S, clock, Random(seed))
    ids = Ids(clock, Random(seed))
    settling = Settling(Records(transactions, clock, ids, translate.encode, Bell()), asking)
    reconciler = Reconciler(settling)
    return Replica(
        transactions,
        tasks,
        ProcessPayment(settling, tasks, Limits()),
        RefundPayment(settling, tasks),
        CancelPayment(settling, tasks),
        ReadPayments(transactions, reconciler, tasks),
        reconciler,
        Webhooks(settling, tasks),
    )
