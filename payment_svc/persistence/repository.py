"""The port `Ledger` in SQL. Nothing here commits: the unit of work does."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    Table,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.cards import CardSummary
from chassis.database import is_duplicate
from chassis.keys_table import KeysTable
from chassis.outbox import OutboxTable
from payment_svc.domain.outcome import Answer, DeclineCode
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from payment_svc.persistence.log import LogTable
from payment_svc.persistence.personal import SqlPersonalData
from payment_svc.persistence.tables import (
    booking_fences,
    idempotency_keys,
    outbox,
    outbox_counter,
    payments,
    refunds,
)
from payment_svc.persistence.webhooks import WebhooksTable
from payment_svc.ports import Counted, Lease


class SqlLedger:
    """Payments and refunds on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection
        self.keys = KeysTable(connection, idempotency_keys)
        self.outbox = OutboxTable(connection, outbox, outbox_counter)
        self.personal = SqlPersonalData(connection)
        self.log = LogTable(connection)
        self.webhooks = WebhooksTable(connection)

    async def purge_keys(self, before: datetime, limit: int) -> int:
        """Delete keys older than `before`, `limit` at most, and say how many."""
        of = idempotency_keys.c.subject
        # What a key names: a payment, a refund, or a booking that was called off.
        is_open = or_(
            exists().where(payments.c.payment_id == of, _is_open(payments)),
            exists().where(payments.c.booking_reference == of, _is_open(payments)),
            exists().where(refunds.c.refund_id == of, _is_open(refunds)),
        )
        return await self.keys.purge(before, limit, is_open)

    async def census(self) -> tuple[Counted, Counted]:
        """The payments, and the refunds, about which providers are still to be asked."""
        return await self._counted(payments), await self._counted(refunds)

    async def may_charge(self, booking_reference: str) -> bool:
        """Whether a booking was not called off, nor its payer erased, before this unit ends."""
        # Most bookings have one payment: the row is not there yet.
        if await self._add_fence(booking_reference, None, ""):
            return True
        fence = booking_fences.c
        found = select(func.coalesce(fence.called_off_at, fence.erased_at)).where(
            fence.booking_reference == booking_reference
        )
        # Shared, as the failed insert has it already: two that both asked for more would deadlock.
        found = found.with_for_update(read=True)
        return (await self._connection.execute(found)).scalar_one() is None

    async def is_called_off(self, booking_reference: str) -> bool:
        """Whether a booking was called off. Somebody may do so at the same moment."""
        found = select(booking_fences.c.called_off_at).where(
            booking_fences.c.booking_reference == booking_reference
        )
        return (await self._connection.execute(found)).scalar() is not None

    async def call_off(self, booking_reference: str, reason: str, now: datetime) -> None:
        """Call a booking off for ever, after the units that are storing a payment for it."""
        called_off = (
            update(booking_fences)
            .where(booking_fences.c.booking_reference == booking_reference)
            .values(called_off_at=func.coalesce(booking_fences.c.called_off_at, now), reason=reason)
        )
        if (await self._connection.execute(called_off)).rowcount:
            return
        if not await self._add_fence(booking_reference, now, reason):
            await self._connection.execute(called_off)

    async def add_payment(self, payment: Payment) -> None:
        """Store a new payment."""
        await self._connection.execute(insert(payments).values(_row(payment)))

    async def payment(self, payment_id: str) -> Payment | None:
        """A payment, if there is one of this id."""
        return await self._payment(select(payments).where(payments.c.payment_id == payment_id))

    async def lock_payment(self, payment_id: str) -> Payment | None:
        """The same, and nobody else changes it or its refunds before this unit ends."""
        found = select(payments).where(payments.c.payment_id == payment_id)
        return await self._payment(found.with_for_update())

    async def save_payment(self, payment: Payment) -> None:
        """Store what has changed about a payment."""
        await self._connection.execute(
            update(payments)
            .where(payments.c.payment_id == payment.payment_id)
            .values(
                leased_until=payment.leased_until,
                next_ask_at=payment.next_ask_at,
                asks=payment.asks,
                status=payment.status,
                refunded_minor=payment.refunded_minor,
                returned_minor=payment.returned_minor,
                transaction_id=payment.transaction_id,
                decline_code=payment.decline_code,
                processed_at=payment.processed_at,
                last_answer=payment.last_answer,
                called_off=payment.called_off,
            )
        )

    async def payments_before(
        self, payment_id: str | None, booking_reference: str, limit: int
    ) -> list[Payment]:
        """Payments older than one, newest first; of one booking only unless that is empty."""
        found = select(payments).order_by(payments.c.payment_id.desc()).limit(limit)
        if payment_id is not None:
            found = found.where(payments.c.payment_id < payment_id)
        if booking_reference:
            found = found.where(payments.c.booking_reference == booking_reference)
        return [_payment(row) for row in (await self._connection.execute(found)).mappings()]

    async def payments_of(self, booking_reference: str) -> list[Payment]:
        """All payments of a booking, oldest first."""
        mine = select(payments).where(payments.c.booking_reference == booking_reference)
        found = await self._connection.execute(mine.order_by(payments.c.payment_id))
        return [_payment(row) for row in found.mappings()]

    async def due_payments(self, now: datetime, limit: int) -> list[Payment]:
        """Payments whose provider is to be asked by now, and nobody does; the longest due first."""
        found = await self._connection.execute(_due(payments, PaymentStatus, now, limit))
        return [_payment(row) for row in found.mappings()]

    async def lease_payment(self, payment_id: str, lease: Lease) -> bool:
        """Take an open payment for oneself; false if another has, or it is not due."""
        return await self._lease(payments, payment_id, lease)

    async def add_refund(self, refund: Refund) -> None:
        """Store a new refund."""
        await self._connection.execute(insert(refunds).values(vars(refund)))

    async def refund(self, refund_id: str) -> Refund | None:
        """A refund, if there is one of this id."""
        found = select(refunds).where(refunds.c.refund_id == refund_id)
        row = (await self._connection.execute(found)).mappings().one_or_none()
        return None if row is None else _refund(row)

    async def save_refund(self, refund: Refund) -> None:
        """Store what has changed about a refund."""
        await self._connection.execute(
            update(refunds)
            .where(refunds.c.refund_id == refund.refund_id)
            .values(
                leased_until=refund.leased_until,
                next_ask_at=refund.next_ask_at,
                asks=refund.asks,
                status=refund.status,
                finished_at=refund.finished_at,
                last_answer=refund.last_answer,
            )
        )

    async def refunds_of(self, payment_id: str) -> list[Refund]:
        """All refunds of a payment, oldest first."""
        mine = select(refunds).where(refunds.c.payment_id == payment_id)
        found = await self._connection.execute(mine.order_by(refunds.c.refund_id))
        return [_refund(row) for row in found.mappings()]

    async def due_refunds(self, now: datetime, limit: int) -> list[Refund]:
        """Refunds whose provider is to be asked by now, and nobody does; the longest due first."""
        found = await self._connection.execute(_due(refunds, RefundStatus, now, limit))
        return [_refund(row) for row in found.mappings()]

    async def lease_refund(self, refund_id: str, lease: Lease) -> bool:
        """Take an open refund for oneself; false if another has, or it is not due."""
        # Of who had it and gave no word, nobody knows more than that.
        said = func.coalesce(refunds.c.last_answer, Answer.UNKNOWN)
        return await self._lease(refunds, refund_id, lease, last_answer=said)

    async def _counted(self, table: Table) -> Counted:
        found = select(func.count(), func.min(table.c.created_at))
        row = (await self._connection.execute(found.where(table.c.next_ask_at.is_not(None)))).one()
        return Counted(row[0], row[1])

    async def _lease(self, table: Table, key: str, lease: Lease, **more: Any) -> bool:
        (primary,) = table.primary_key
        taken = await self._connection.execute(
            update(table)
            .where(
                primary == key,
                table.c.next_ask_at <= lease.due_by,
                table.c.leased_until <= lease.free_since,
            )
            .values(leased_until=lease.until, **more)
        )
        return bool(taken.rowcount)

    async def _add_fence(
        self, booking_reference: str, called_off_at: datetime | None, reason: str
    ) -> bool:
        """Make the row of a booking; false if it is there."""
        row = {
            "booking_reference": booking_reference,
            "called_off_at": called_off_at,
            "reason": reason,
        }
        try:
            await self._connection.execute(insert(booking_fences).values(row))
        except IntegrityError as error:
            if not is_duplicate(error):
                raise
            return False
        return True

    async def _payment(self, found: Select[Any]) -> Payment | None:
        row = (await self._connection.execute(found)).mappings().one_or_none()
        return None if row is None else _payment(row)


def _due(table: Table, known: Iterable[str], now: datetime, limit: int) -> Select[Any]:
    due = select(table).where(
        table.c.next_ask_at <= now,
        table.c.leased_until <= now,
        # One row of a newer version, during a deployment, must not stop all the others.
        table.c.status.in_(list(known)),
    )
    return due.order_by(table.c.next_ask_at).limit(limit)


def _is_open(table: Table) -> ColumnElement[bool]:
    return or_(table.c.status == "PENDING", table.c.next_ask_at.is_not(None))


def _row(payment: Payment) -> dict[str, Any]:
    row = dict(vars(payment))
    method: CardSummary = row.pop("method")
    row.update(
        method_type=method.type, method_brand=method.brand, method_last_four=method.last_four
    )
    return row


def _payment(row: RowMapping) -> Payment:
    fields = dict(row)
    method = CardSummary(
        fields.pop("method_type"), fields.pop("method_brand"), fields.pop("method_last_four")
    )
    code = fields.pop("decline_code")
    known = {"status": PaymentStatus(row["status"]), "last_answer": _answer(row)}
    return Payment(
        **{**fields, **known},
        method=method,
        decline_code=DeclineCode(code) if code else None,
    )


def _refund(row: RowMapping) -> Refund:
    return Refund(**{**row, "status": RefundStatus(row["status"]), "last_answer": _answer(row)})


def _answer(row: RowMapping) -> Answer | None:
    return Answer(row["last_answer"]) if row["last_answer"] else None
