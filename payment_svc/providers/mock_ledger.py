"""The mock provider's books, in a database of their own: made at the start, no migrations.

What is taken and given back can be computed from these two tables and the present moment:

- A row of `provider_charges` is taken if and only if its `state` is SUCCEEDED, or PENDING
  with `decline_code` NULL and `settles_at` not after now. (The provider turns such a PENDING
  row to its final state only when it is asked about it.) DECLINED, LOST and VOIDED rows are
  not taken.
- A row of `provider_refunds` is given back, as its `state` SUCCEEDED says.
- `provider_charges.reference` is the payment's id, `provider_refunds.reference` that of the
  refund; a refund belongs to the charge with its `transaction_id`.
"""

from collections.abc import Callable

from sqlalchemy import Column, MetaData, RowMapping, Table, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from chassis.columns import Int64, UtcDateTime, text
from chassis.database import Database, is_duplicate
from payment_svc.domain.outcome import DeclineCode
from payment_svc.providers.mock_books import ChargeEntry, ChargeState, RefundEntry

metadata = MetaData()

provider_charges = Table(
    "provider_charges",
    metadata,
    Column("reference", text(64), primary_key=True),
    Column("amount_minor", Int64, nullable=False),
    Column("currency", text(3), nullable=False),
    Column("state", text(16), nullable=False),
    Column("transaction_id", text(64), nullable=False),
    Column("decline_code", text(32)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("settles_at", UtcDateTime, nullable=False),
)

provider_refunds = Table(
    "provider_refunds",
    metadata,
    Column("reference", text(64), primary_key=True),
    Column("transaction_id", text(64), nullable=False),
    Column("amount_minor", Int64, nullable=False),
    Column("currency", text(3), nullable=False),
    Column("state", text(16), nullable=False),
    Column("refund_id", text(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)


class MockLedger:
    """`Books` in SQL, for all replicas together."""

    def __init__(self, database: Database) -> None:
        """Keep the books here."""
        self._database = database

    async def create(self) -> None:
        """Make the tables that are not there."""
        async with self._database.writer.connect() as connection:
            await _create(connection)
            await connection.commit()

    async def add_charge(self, entry: ChargeEntry) -> tuple[ChargeEntry, bool]:
        """Store a charge, or find the one of this reference; and whether it is new."""

        async def unit(connection: AsyncConnection) -> tuple[ChargeEntry, bool]:
            if await _add(connection, provider_charges, entry):
                return entry, True
            return _charge(await _row(connection, provider_charges, entry.reference)), False

        return await self._database.write(unit)

    async def change_charge(
        self, reference: str, change: Callable[[ChargeEntry], ChargeEntry]
    ) -> ChargeEntry | None:
        """Change a charge, if there is one; nobody else changes it in between."""

        async def unit(connection: AsyncConnection) -> ChargeEntry | None:
            mine = provider_charges.c.reference == reference
            found = select(provider_charges).where(mine).with_for_update()
            row = (await connection.execute(found)).mappings().one_or_none()
            if row is None:
                return None
            before = _charge(row)
            after = change(before)
            if after != before:
                changed = update(provider_charges).where(mine).values(state=after.state)
                await connection.execute(changed)
            return after

        return await self._database.write(unit)

    async def add_refund(self, entry: RefundEntry) -> RefundEntry:
        """Store a refund, or find the one of this reference."""

        async def unit(connection: AsyncConnection) -> RefundEntry:
            if await _add(connection, provider_refunds, entry):
                return entry
            return RefundEntry(**await _row(connection, provider_refunds, entry.reference))

        return await self._database.write(unit)


async def _create(connection: AsyncConnection) -> None:
    there = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in there:
            # Another replica may be making it now.
            await connection.execute(CreateTable(table, if_not_exists=True))


async def _add(connection: AsyncConnection, table: Table, entry: ChargeEntry | RefundEntry) -> bool:
    """Insert an entry; false if there is one of its reference."""
    try:
        await connection.execute(insert(table).values(vars(entry)))
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        return False
    return True


async def _row(connection: AsyncConnection, table: Table, reference: str) -> RowMapping:
    found = select(table).where(table.c.reference == reference)
    return (await connection.execute(found)).mappings().one()


def _charge(row: RowMapping) -> ChargeEntry:
    code = row["decline_code"]
    fields = {
        **row,
        "state": ChargeState(row["state"]),
        "decline_code": DeclineCode(code) if code else None,
    }
    return ChargeEntry(**fields)
