"""The table of idempotency keys that every service has in its own database."""

from datetime import datetime

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    MetaData,
    Table,
    delete,
    false,
    insert,
    select,
    tuple_,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.columns import UtcDateTime, text
from chassis.database import is_duplicate
from chassis.idempotency import Claim


def keys_table(metadata: MetaData) -> Table:
    """Define the table. (owner, idempotency_key) is unique: that is the guard."""
    return Table(
        "idempotency_keys",
        metadata,
        Column("owner", text(128), primary_key=True),
        Column("idempotency_key", text(255), primary_key=True),
        Column("fingerprint", text(64), nullable=False),
        Column("subject", text(1024), nullable=False),
        Column("created_at", UtcDateTime, nullable=False),
        Index("ix_idempotency_keys_created", "created_at"),
    )


class KeysTable:
    """`Keys` on a connection."""

    def __init__(self, connection: AsyncConnection, table: Table) -> None:
        """Work on this connection; never commits."""
        self._connection = connection
        self._table = table

    async def claim(self, claim: Claim) -> Claim | None:
        """Claim a key; if it is taken, change nothing and return the first claim.

        Inserts first and reads on conflict: to lock a row that is not there and insert
        it then deadlocks on MySQL.
        """
        row = {
            "owner": claim.owner,
            "idempotency_key": claim.key,
            "fingerprint": claim.fingerprint,
            "subject": claim.subject,
            "created_at": claim.created_at,
        }
        try:
            await self._connection.execute(insert(self._table).values(row))
        except IntegrityError as error:
            if not is_duplicate(error):
                raise
            return await self.find(claim.owner, claim.key)
        return None

    async def find(self, owner: str, key: str, *, settled: bool = False) -> Claim | None:
        """The claim of a key, if there is one.

        With `settled`, waits for a transaction that may be storing it.
        """
        found = select(self._table).where(
            self._table.c.owner == owner, self._table.c.idempotency_key == key
        )
        if settled:
            found = found.with_for_update(read=True)
        row = (await self._connection.execute(found)).mappings().one_or_none()
        if row is None:
            return None
        return Claim(owner, key, row["fingerprint"], row["subject"], row["created_at"])

    async def purge(
        self, before: datetime, limit: int, in_use: ColumnElement[bool] | None = None
    ) -> int:
        """Delete keys older than `before` that are not `in_use`, `limit` at most; how many."""
        keys = self._table.c
        old = select(keys.owner, keys.idempotency_key).where(
            keys.created_at < before, ~(false() if in_use is None else in_use)
        )
        rows = await self._connection.execute(old.order_by(keys.created_at).limit(limit))
        found = [tuple(row) for row in rows]
        if found:
            one_of_these = tuple_(keys.owner, keys.idempotency_key).in_(found)
            await self._connection.execute(delete(self._table).where(one_of_these))
        return len(found)
