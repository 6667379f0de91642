"""Storing payments, and telling others what changes."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TypeVar

from chassis.bell import Bell
from chassis.clock import Clock
from chassis.events import Event
from chassis.ids import Ids
from chassis.transactions import Transactions
from payment_svc import metrics
from payment_svc.domain.log import LogEntry, Saying
from payment_svc.domain.payment import Payment, PaymentStatus, Refund
from payment_svc.ports import Encode, Ledger

CHANGED = "PAYMENT_CHANGED"
DETAIL_LENGTH_MAX = 255

Result = TypeVar("Result")


@dataclass
class _Unit:
    """What the unit of work that a task is writing has done so far."""

    # Whether it has told an event.
    told: bool = False
    # What it has settled.
    settled: list[Payment | Refund] = field(default_factory=list)


_unit: ContextVar[_Unit] = ContextVar("unit")


def _afresh(
    unit: Callable[[Ledger], Awaitable[Result]],
) -> Callable[[Ledger], Awaitable[Result]]:
    """The same unit. It may run again: what it did before that did not happen."""

    @wraps(unit)
    async def run(ledger: Ledger) -> Result:
        _unit.set(_Unit())
        return await unit(ledger)

    return run


class Records:
    """The one way to store payments: with what was said, and an event for each change.

    All of it is in the same transaction.
    """

    def __init__(
        self,
        transactions: Transactions[Ledger],
        clock: Clock,
        ids: Ids,
        encode: Encode,
        stored: Bell,
    ) -> None:
        """Work on these; `stored` is rung after each commit that stored an event."""
        self._transactions = transactions
        self._encode = encode
        self._stored = stored
        self.clock = clock
        self.ids = ids

    async def read(self, unit: Callable[[Ledger], Awaitable[Result]]) -> Result:
        """Run a unit that changes nothing."""
        return await self._transactions.read(unit)

    async def write(self, unit: Callable[[Ledger], Awaitable[Result]]) -> Result:
        """Run a unit as one transaction, and count what it has settled.

        Where the answer to its COMMIT is lost, that is not counted, though it may be stored.
        """
        unit = _afresh(unit)
        result = await self._transactions.write(unit)
        done = _unit.get()
        if done.told:
            self._stored.ring()
        for one in done.settled:
            metrics.settled(one, self.clock.now())
        return result

    async def add(self, ledger: Ledger, payment: Payment, saying: Saying) -> None:
        """Store a new payment. That it is asked for is no news; what becomes of it is."""
        await ledger.add_payment(payment)
        await self.note(ledger, payment, saying)
        if payment.status is not PaymentStatus.PENDING:
            _unit.get().settled.append(payment)
            await self._tell(ledger, payment)

    async def save(self, ledger: Ledger, before: Payment, after: Payment) -> None:
        """Store what has changed about a payment that this unit has locked."""
        if after == before:
            return
        await ledger.save_payment(after)
        if before.status is PaymentStatus.PENDING and after.status is not before.status:
            _unit.get().settled.append(after)
        moved = (after.status, after.returned_minor) != (before.status, before.returned_minor)
        if moved or after.refunded_minor < before.refunded_minor:
            await self._tell(ledger, after)

    async def save_refund(self, ledger: Ledger, before: Refund, after: Refund) -> None:
        """Store what has changed about a refund of a payment that this unit has locked."""
        if after == before:
            return
        await ledger.save_refund(after)
        if after.status is not before.status:
            _unit.get().settled.append(after)

    async def note(self, ledger: Ledger, payment: Payment, *sayings: Saying) -> None:
        """Add what was said about a payment to its log; `payment` is as it is after that."""
        for saying in sayings:
            entry = LogEntry(
                entry_id=self.ids.number(),
                payment_id=payment.payment_id,
                happened_at=self.clock.now(),
                status=payment.status,
                saying=replace(saying, detail=saying.detail[:DETAIL_LENGTH_MAX]),
            )
            await ledger.log.add(entry)

    async def _tell(self, ledger: Ledger, payment: Payment) -> None:
        event = Event(
            event_id=self.ids.number(),
            kind=CHANGED,
            subject=payment.payment_id,
            payload=self._encode(payment),
            occurred_at=self.clock.now(),
        )
        await ledger.outbox.add(event)
        _unit.get().told = True
