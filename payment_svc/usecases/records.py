"""Storing payments, and telling others what changes."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import TypeVar

from chassis.bell import Bell
from chassis.clock import Clock
from chassis.events import Event
from chassis.ids import Ids
from chassis.transactions import Transactions
from payment_svc.domain.log import LogEntry, Saying
from payment_svc.domain.payment import Payment, PaymentStatus
from payment_svc.ports import Encode, Ledger

CHANGED = "PAYMENT_CHANGED"
DETAIL_LENGTH_MAX = 255

Result = TypeVar("Result")

# Whether the unit of work that this task is writing has told an event.
_told: ContextVar[bool] = ContextVar("told", default=False)


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
        """Run a unit as one transaction."""
        _told.set(False)
        result = await self._transactions.write(unit)
        if _told.get():
            self._stored.ring()
        return result

    async def add(self, ledger: Ledger, payment: Payment, saying: Saying) -> None:
        """Store a new payment. That it is asked for is no news; what becomes of it is."""
        await ledger.add_payment(payment)
        await self.note(ledger, payment, saying)
        if payment.status is not PaymentStatus.PENDING:
            await self._tell(ledger, payment)

    async def save(self, ledger: Ledger, before: Payment, after: Payment) -> None:
        """Store what has changed about a payment that this unit has locked."""
        if after == before:
            return
        await ledger.save_payment(after)
        moved = (after.status, after.returned_minor) != (before.status, before.returned_minor)
        if moved or after.refunded_minor < before.refunded_minor:
            await self._tell(ledger, after)

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
        _told.set(True)
