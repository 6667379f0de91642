"""The port `Log` in SQL. Nothing here commits, and nothing changes an entry."""

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payment_svc.domain.log import Action, LogEntry, Saying
from payment_svc.domain.outcome import Answer
from payment_svc.domain.payment import PaymentStatus
from payment_svc.persistence.tables import payment_log


class LogTable:
    """What was said about payments, on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection

    async def add(self, entry: LogEntry) -> None:
        """Store a new entry."""
        row = {
            "payment_id": entry.payment_id,
            "entry_id": entry.entry_id,
            "happened_at": entry.happened_at,
            "status": entry.status,
            **vars(entry.saying),
        }
        await self._connection.execute(insert(payment_log).values(row))

    async def of(self, payment_id: str, limit: int) -> list[LogEntry]:
        """The last entries of a payment, oldest first."""
        mine = select(payment_log).where(payment_log.c.payment_id == payment_id)
        newest = mine.order_by(payment_log.c.entry_id.desc()).limit(limit)
        found = (await self._connection.execute(newest)).mappings().all()
        return [
            LogEntry(
                entry_id=row["entry_id"],
                payment_id=row["payment_id"],
                happened_at=row["happened_at"],
                status=PaymentStatus(row["status"]),
                saying=Saying(
                    actor=row["actor"],
                    action=Action(row["action"]),
                    answer=Answer(row["answer"]),
                    detail=row["detail"],
                    refund_id=row["refund_id"],
                ),
            )
            for row in reversed(found)
        ]
