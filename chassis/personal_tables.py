"""What tables have of persons: whose each row is, said once a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, delete, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.privacy import Erasure, Place, Record


@dataclass(frozen=True)
class Owned:
    """A table, and which of its rows belong to a person."""

    table: Table
    belongs_to: Callable[[str], ColumnElement[bool]]
    # Others that do. Asked for apart: of two conditions joined by OR, no index would help.
    also: Callable[[str], ColumnElement[bool]] | None = None

    def parts(self, user_id: str) -> list[ColumnElement[bool]]:
        """What its rows of a person fulfil, one of these."""
        mine = self.belongs_to(user_id)
        return [mine] if self.also is None else [mine, self.also(user_id) & ~mine]


class PersonalTables:
    """The reading half of `PersonalData`, on a connection."""

    def __init__(self, connection: AsyncConnection, owned: Sequence[Owned]) -> None:
        """Read these tables."""
        self._connection = connection
        self._owned = {one.table.name: one for one in owned}

    @property
    def kinds(self) -> Sequence[str]:
        """The tables in which there may be something."""
        return tuple(self._owned)

    async def records(
        self, kind: str, user_id: str, after: Place | None, limit: int
    ) -> list[Record]:
        """What a table has of a person, in order, from a place on."""
        owned = self._owned[kind]
        key = list(owned.table.primary_key)
        parts = owned.parts(user_id)
        found: list[Record] = []
        for part in parts:
            rows = select(owned.table).where(part)
            if after is not None:
                last = [literal(value, one.type) for one, value in zip(key, after, strict=True)]
                rows = rows.where(tuple_(*key) > tuple_(*last))
            page = await self._connection.execute(rows.order_by(*key).limit(limit))
            found += [
                Record(kind, tuple(row[column.name] for column in key), dict(row))
                for row in page.mappings()
            ]
        if len(parts) > 1:
            found.sort(key=lambda record: record.place)
        return found[:limit]

    async def count(self, user_id: str) -> dict[str, int]:
        """How many rows each table has of a person; those without any are left out."""
        counts = {}
        for kind, owned in self._owned.items():
            counted = select(func.count()).select_from(owned.table)
            parts = [counted.where(part) for part in owned.parts(user_id)]
            number = sum([await self._connection.scalar(part) or 0 for part in parts])
            if number:
                counts[kind] = number
        return counts


async def delete_keys(
    connection: AsyncConnection, table: Table, erasure: Erasure, limit: int
) -> dict[str, int]:
    """Delete a person's idempotency keys, `limit` at most."""
    key = table.c.idempotency_key
    mine = select(key).where(table.c.owner == erasure.user_id, table.c.created_at < erasure.before)
    found = list((await connection.execute(mine.order_by(key).limit(limit))).scalars())
    if not found:
        return {}
    of_these = (table.c.owner == erasure.user_id) & key.in_(found)
    done = await connection.execute(delete(table).where(of_these))
    # Another may have been faster: then there was something to do all the same.
    return {table.name: max(1, done.rowcount)}
