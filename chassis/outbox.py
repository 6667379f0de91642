"""The table of events that a service keeps in its own database, and gives numbers to."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    LargeBinary,
    MetaData,
    Select,
    Table,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.columns import Int64, UtcDateTime, text
from chassis.database import is_duplicate
from chassis.events import Event
from chassis.ids import RANDOM_BITS

COUNTER = "outbox"


def outbox_table(metadata: MetaData) -> Table:
    """Define the table. `sequence` stays NULL until the event is committed and numbered."""
    return Table(
        "outbox",
        metadata,
        Column("event_id", Int64, primary_key=True, autoincrement=False),
        Column("sequence", Int64),
        Column("kind", text(32), nullable=False),
        Column("subject", text(64), nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("occurred_at", UtcDateTime, nullable=False),
        Index("ix_outbox_sequence", "sequence", unique=True),
        Index("ix_outbox_subject", "subject"),
    )


def outbox_counter_table(metadata: MetaData) -> Table:
    """Define the table of the last number that was given. Who holds its row gives numbers."""
    return Table(
        "outbox_counter",
        metadata,
        Column("name", text(32), primary_key=True),
        Column("last_sequence", Int64, nullable=False),
    )


class OutboxTable:
    """`Outbox` on a connection."""

    def __init__(self, connection: AsyncConnection, outbox: Table, counter: Table) -> None:
        """Work on this connection; never commits."""
        self._connection = connection
        self._outbox = outbox
        self._counter = counter

    async def add(self, event: Event) -> None:
        """Store an event, without a number yet.

        Its id is moved up where an earlier event of its subject, made by a process whose
        clock is ahead, has a higher one: events of one subject are numbered as they came.
        By its own bits of chance: the id may be another's, and then the next try has others.
        """
        table = self._outbox
        row = {
            "kind": event.kind,
            "subject": event.subject,
            "payload": event.payload,
            "occurred_at": event.occurred_at,
        }
        latest = func.max(table.c.event_id)
        event_id = literal(event.event_id, Int64)
        chance = event.event_id % 2**RANDOM_BITS
        values = select(
            case((latest >= event_id, latest + 1 + chance), else_=event_id),
            *(bindparam(None, value, table.c[name].type) for name, value in row.items()),
        ).where(table.c.sequence.is_(None), table.c.subject == event.subject)
        await self._connection.execute(insert(table).from_select(["event_id", *row], values))

    async def number(self, limit: int) -> int:
        """Give numbers to `limit` events at most, oldest first; how many got one."""
        waiting = (
            select(self._outbox.c.event_id)
            .where(self._outbox.c.sequence.is_(None))
            .order_by(self._outbox.c.event_id)
            .limit(limit)
        )
        # Before the lock, which nobody needs while nothing happens.
        if not await self._ids(waiting):
            return 0
        last = await self._lock_counter()
        # From here on nobody else gives numbers until this transaction is committed, so whoever
        # sees a number sees all smaller ones.
        ids = await self._ids(waiting)
        if ids:
            await self._give(ids, last)
        return len(ids)

    async def after(self, sequence: int, limit: int) -> list[Event]:
        """Events that are numbered above `sequence`, in order."""
        table = self._outbox
        found = select(table).where(table.c.sequence > sequence)
        rows = await self._connection.execute(found.order_by(table.c.sequence).limit(limit))
        return [Event(**row) for row in rows.mappings()]

    async def newest(self) -> int:
        """The last number that was given; 0: none yet."""
        found = select(self._counter.c.last_sequence).where(self._counter.c.name == COUNTER)
        return (await self._connection.execute(found)).scalar_one_or_none() or 0

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete the first events, as long as they are older than `before`, `limit` at most."""
        table = self._outbox
        oldest = select(table.c.sequence, table.c.occurred_at).where(table.c.sequence > 0)
        found = await self._connection.execute(oldest.order_by(table.c.sequence).limit(limit))
        old = list(takewhile(lambda row: row.occurred_at < before, found.all()))
        if old:
            last = old[-1].sequence
            await self._connection.execute(delete(table).where(table.c.sequence <= last))
        return len(old)

    async def rewrite(self, subjects: Sequence[str], change: Callable[[bytes], bytes]) -> int:
        """Change what the events of some subjects say, but not their places; how many."""
        table = self._outbox
        found = select(table.c.event_id, table.c.payload).where(table.c.subject.in_(subjects))
        changed = 0
        for event_id, payload in (await self._connection.execute(found)).all():
            other = change(payload)
            if other != payload:
                one = update(table).where(table.c.event_id == event_id).values(payload=other)
                await self._connection.execute(one)
                changed += 1
        return changed

    async def _ids(self, waiting: Select[Any]) -> list[int]:
        return list((await self._connection.execute(waiting)).scalars())

    async def _lock_counter(self) -> int:
        """Take the counter's row, and make it if this is the first time; the last number."""
        counter = self._counter
        lock = select(counter.c.last_sequence).where(counter.c.name == COUNTER).with_for_update()
        last: int | None = (await self._connection.execute(lock)).scalar_one_or_none()
        if last is not None:
            return last
        try:
            first = insert(counter).values(name=COUNTER, last_sequence=0)
            await self._connection.execute(first)
        except IntegrityError as error:
            if not is_duplicate(error):
                raise
            return int((await self._connection.execute(lock)).scalar_one())
        return 0

    async def _give(self, ids: list[int], last: int) -> None:
        outbox, counter = self._outbox, self._counter
        numbers = {event_id: last + place for place, event_id in enumerate(ids, start=1)}
        await self._connection.execute(
            update(outbox)
            .where(outbox.c.event_id.in_(ids))
            .values(sequence=case(numbers, value=outbox.c.event_id))
        )
        mine = counter.c.name == COUNTER
        moved = update(counter).where(mine).values(last_sequence=last + len(ids))
        await self._connection.execute(moved)
