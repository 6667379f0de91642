"""The port `Webhooks` in SQL. Nothing here commits: the unit of work does."""

from datetime import datetime

from sqlalchemy import RowMapping, delete, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import is_duplicate
from payment_svc.domain.outcome import Answer, DeclineCode, Notice, answer_of, detail_of, outcome_of
from payment_svc.domain.webhook import Webhook
from payment_svc.persistence.tables import webhook_events


class WebhooksTable:
    """The events that providers have told, on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection

    async def add(self, webhook: Webhook) -> bool:
        """Store an event; false if it is there already."""
        notice = webhook.notice
        row = {
            "provider": webhook.provider,
            "event_id": notice.event_id,
            "reference": notice.reference,
            "answer": answer_of(notice.outcome),
            "detail": detail_of(notice.outcome),
            "received_at": webhook.received_at,
            "next_try_at": webhook.next_try_at,
            "tries": webhook.tries,
        }
        try:
            await self._connection.execute(insert(webhook_events).values(row))
        except IntegrityError as error:
            if not is_duplicate(error):
                raise
            return False
        return True

    async def due(self, now: datetime, limit: int) -> list[Webhook]:
        """Events to be tried again by now; the longest due first."""
        found = select(webhook_events).where(webhook_events.c.next_try_at <= now, _KNOWN)
        rows = await self._connection.execute(
            found.order_by(webhook_events.c.next_try_at).limit(limit)
        )
        return [_webhook(row) for row in rows.mappings()]

    async def save(self, before: Webhook, after: Webhook) -> bool:
        """Store what came of a try; false if another has tried it meanwhile."""
        saved = await self._connection.execute(
            update(webhook_events)
            .where(
                webhook_events.c.provider == before.provider,
                webhook_events.c.event_id == before.notice.event_id,
                webhook_events.c.tries == before.tries,
            )
            .values(next_try_at=after.next_try_at, tries=after.tries)
        )
        return bool(saved.rowcount)

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete events from before a moment that are not tried again, `limit` at most."""
        table = webhook_events.c
        over = select(table.provider, table.event_id).where(
            table.received_at < before, table.next_try_at.is_(None)
        )
        rows = await self._connection.execute(over.order_by(table.received_at).limit(limit))
        found = [tuple(row) for row in rows]
        if found:
            of_these = tuple_(table.provider, table.event_id).in_(found)
            await self._connection.execute(delete(webhook_events).where(of_these))
        return len(found)


# One row of a newer version, during a deployment, must not stop all the others.
_KNOWN = webhook_events.c.answer.in_(list(Answer)) & or_(
    webhook_events.c.answer != Answer.DECLINED,
    webhook_events.c.detail.in_(list(DeclineCode)),
)


def _webhook(row: RowMapping) -> Webhook:
    outcome = outcome_of(Answer(row["answer"]), row["detail"])
    return Webhook(
        provider=row["provider"],
        notice=Notice(row["event_id"], row["reference"], outcome),
        received_at=row["received_at"],
        next_try_at=row["next_try_at"],
        tries=row["tries"],
    )
