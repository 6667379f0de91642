"""The port `Ledger` in SQL. Nothing here commits: the unit of work does."""

from typing import Any

from sqlalchemy import RowMapping, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.cards import CardSummary
from chassis.keys_table import KeysTable
from payment_svc.domain.outcome import DeclineCode
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from payment_svc.persistence.tables import idempotency_keys, payments, refunds


class SqlLedger:
    """Payments and refunds on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection
        self.keys = KeysTable(connection, idempotency_keys)

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
                status=payment.status,
                refunded_minor=payment.refunded_minor,
                returned_minor=payment.returned_minor,
                transaction_id=payment.transaction_id,
                decline_code=payment.decline_code,
                processed_at=payment.processed_at,
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

    async def add_refund(self, refund: Refund) -> None:
        """Store a new refund."""
        await self._connection.execute(insert(refunds).values(vars(refund)))

    async def refund(self, refund_id: str) -> Refund | None:
        """A refund, if there is one of this id."""
        found = select(refunds).where(refunds.c.refund_id == refund_id)
        row = (await self._connection.execute(found)).mappings().one_or_none()
        return None if row is None else Refund(**{**row, "status": RefundStatus(row["status"])})

    async def save_refund(self, refund: Refund) -> None:
        """Store what has changed about a refund."""
        await self._connection.execute(
            update(refunds)
            .where(refunds.c.refund_id == refund.refund_id)
            .values(
                leased_until=refund.leased_until,
                status=refund.status,
                finished_at=refund.finished_at,
            )
        )

    async def _payment(self, found: Select[Any]) -> Payment | None:
        row = (await self._connection.execute(found)).mappings().one_or_none()
        return None if row is None else _payment(row)


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
    return Payment(
        **{**fields, "status": PaymentStatus(row["status"])},
        method=method,
        decline_code=DeclineCode(code) if code else None,
    )
