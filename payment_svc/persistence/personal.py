"""The port `PersonalData` in SQL: what payments have of persons. Nothing here commits."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.outbox import OutboxTable
from chassis.personal_tables import Owned, PersonalTables, delete_keys
from chassis.privacy import Erasure
from payment_svc.domain.errors import UserHasOpenBookings
from payment_svc.domain.log import Action
from payment_svc.domain.outcome import Answer
from payment_svc.domain.payment import PaymentStatus, RefundStatus
from payment_svc.persistence.tables import (
    booking_fences,
    idempotency_keys,
    outbox,
    outbox_counter,
    payment_log,
    payments,
    refunds,
)

# As many as an answer names.
NAMED_MAX = 20


def _ids(user_id: str) -> Select[tuple[str]]:
    return select(payments.c.payment_id).where(payments.c.user_id == user_id)


def _references(user_id: str) -> Select[tuple[str]]:
    return select(payments.c.booking_reference).where(payments.c.user_id == user_id)


OWNED = (
    Owned(payments, lambda user: payments.c.user_id == user),
    Owned(refunds, lambda user: refunds.c.payment_id.in_(_ids(user))),
    Owned(booking_fences, lambda user: booking_fences.c.booking_reference.in_(_references(user))),
    Owned(
        payment_log,
        lambda user: payment_log.c.payment_id.in_(_ids(user)),
        lambda user: payment_log.c.actor == user,
    ),
    Owned(outbox, lambda user: outbox.c.subject.in_(_ids(user))),
    Owned(idempotency_keys, lambda user: idempotency_keys.c.owner == user),
)
_REFUND_IS_OPEN = or_(refunds.c.status == RefundStatus.PENDING, refunds.c.next_ask_at.is_not(None))
_IS_OPEN = or_(
    payments.c.status == PaymentStatus.PENDING,
    payments.c.next_ask_at.is_not(None),
    exists().where(refunds.c.payment_id == payments.c.payment_id, _REFUND_IS_OPEN),
)


class SqlPersonalData(PersonalTables):
    """What there is of persons, on one connection."""

    # Keys after payments: by then the fences say that their payers were erased.
    parts = ("payments", "keys", "acts")

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        super().__init__(connection, OWNED)

    async def require_over(self, erasure: Erasure) -> None:
        """Refuse while the provider is still to be asked about a payment or refund.

        Raises:
            UserHasOpenBookings: it is; names the payments.
        """
        await self._refuse(select(payments.c.payment_id).where(_mine(erasure), _IS_OPEN))

    async def erase(self, part: str, erasure: Erasure, limit: int) -> dict[str, int]:
        """Erase so many things of a part at most; rows by table.

        Raises:
            UserHasOpenBookings: a refund was begun meanwhile.
        """
        match part:
            case "payments":
                return await self._payments(erasure, limit)
            case "keys":
                return await delete_keys(self._connection, idempotency_keys, erasure, limit)
            case _:
                return await self._acts(erasure, limit)

    async def _payments(self, erasure: Erasure, limit: int) -> dict[str, int]:
        table = payments.c
        mine = select(table.payment_id, table.booking_reference).where(_mine(erasure))
        ordered = mine.order_by(table.payment_id).limit(limit).with_for_update()
        found = (await self._connection.execute(ordered)).all()
        if not found:
            return {}
        ids, references = [row[0] for row in found], [row[1] for row in found]
        await self._refuse(select(table.payment_id).where(table.payment_id.in_(ids), _IS_OPEN))
        blank = {
            "user_id": erasure.replacement,
            "method_brand": "",
            "method_last_four": "",
        }
        await self._connection.execute(
            update(payments).where(table.payment_id.in_(ids)).values(blank)
        )
        return await self._what_belongs_to(ids, references, erasure) | {"payments": len(ids)}

    async def _what_belongs_to(
        self, ids: Sequence[str], references: Sequence[str], erasure: Erasure
    ) -> dict[str, int]:
        given = update(refunds).where(refunds.c.payment_id.in_(ids)).values(reason="")
        fenced = (
            update(booking_fences)
            .where(booking_fences.c.booking_reference.in_(references))
            .values(erased_at=erasure.now, reason="")
        )
        told = OutboxTable(self._connection, outbox, outbox_counter)
        return {
            "refunds": (await self._connection.execute(given)).rowcount,
            "booking_fences": (await self._connection.execute(fenced)).rowcount,
            "payment_log": await self._texts(ids),
            "outbox": await told.rewrite(
                ids, lambda payload: erasure.rewrite(payload, erasure.replacement)
            ),
        }

    async def _texts(self, ids: Sequence[str]) -> int:
        """Take out of the log what people wrote, and what a provider said that is no word of ours.

        That is the reason of a refund, behind its amount, and that of a cancellation.
        """
        log = payment_log.c
        asked = and_(log.answer == Answer.ASKED, log.action.in_((Action.REFUND, Action.CANCEL)))
        found = select(log.payment_id, log.entry_id, log.action, log.detail).where(
            log.payment_id.in_(ids), log.detail != "", or_(asked, log.answer == Answer.UNKNOWN)
        )
        rows = (await self._connection.execute(found)).all()
        for payment_id, entry_id, action, detail in rows:
            amount = detail.partition(", ")[0] if action == Action.REFUND else ""
            one = and_(log.payment_id == payment_id, log.entry_id == entry_id)
            await self._connection.execute(update(payment_log).where(one).values(detail=amount))
        return len(rows)

    async def _acts(self, erasure: Erasure, limit: int) -> dict[str, int]:
        """What the person asked of payments, their own or others': somebody asked."""
        key = tuple_(payment_log.c.payment_id, payment_log.c.entry_id)
        mine = select(payment_log.c.payment_id, payment_log.c.entry_id).where(
            payment_log.c.actor == erasure.user_id
        )
        found = [tuple(row) for row in await self._connection.execute(mine.limit(limit))]
        if not found:
            return {}
        named = update(payment_log).where(key.in_(found)).values(actor=erasure.replacement)
        await self._connection.execute(named)
        return {"payment_log": len(found)}

    async def _refuse(self, found: Select[tuple[str]]) -> None:
        ids = (await self._connection.execute(found.limit(NAMED_MAX))).scalars().all()
        if ids:
            raise UserHasOpenBookings(map(str, ids))


def _mine(erasure: Erasure) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = payments.c.user_id == erasure.user_id
    return mine & (payments.c.created_at < erasure.before)
