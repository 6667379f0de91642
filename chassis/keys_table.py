"""The table of idempotency keys that every service has in its own database."""

from sqlalchemy import Column, MetaData, Table, insert, select
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
