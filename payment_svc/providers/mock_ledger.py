"""The mock provider's books, in a database of their own: made at the start, no migrations.

What is taken and given back can be computed from two tables and the present moment:

- A row of `provider_charges` is taken if and only if its `state` is SUCCEEDED, or PENDING
  with `decline_code` NULL and `settles_at` not after now. DECLINED, LOST and VOIDED rows are
  not taken.
- A row of `provider_refunds` is given back if and only if `decline_code` is NULL and its `state`
  is SUCCEEDED, or PENDING with `settles_at` not after now; or `decline_code` is not NULL, its
  `state` is SUCCEEDED and `settles_at` is after now: it is given back until then.
- `provider_charges.reference` is the payment's id, `provider_refunds.reference` that of the
  refund; a refund belongs to the charge with its `transaction_id`.

(The provider turns a row to its final state only when it is asked about it.) In books of an older
version the columns `scenario` of charges, and `settles_at` and `decline_code` of refunds are
missing. They are added at the start, and are NULL in the rows that were there: no scenario, and
nothing more to come.

`provider_webhooks` holds what is told of both: a row is open while its `due_at` is not NULL.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Table,
    delete,
    insert,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from chassis.columns import Int64, UtcDateTime, text
from chassis.database import Database, is_duplicate
from payment_svc.domain.outcome import DeclineCode
from payment_svc.ports import Return
from payment_svc.providers.mock_books import (
    Account,
    ChargeEntry,
    ChargeState,
    RefundEntry,
    RefundState,
    TellCharge,
    TellRefund,
)
from payment_svc.providers.mock_notices import BODY_LENGTH_MAX, WebhookEntry

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
    Column("scenario", text(64)),
    Index("provider_charges_transaction", "transaction_id"),
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
    Column("settles_at", UtcDateTime),
    Column("decline_code", text(32)),
    Index("provider_refunds_transaction", "transaction_id"),
)

provider_webhooks = Table(
    "provider_webhooks",
    metadata,
    Column("webhook_id", text(64), primary_key=True),
    Column("reference", text(64), nullable=False),
    Column("body", text(BODY_LENGTH_MAX), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("copies_left", Integer, nullable=False),
    Column("delivered_at", UtcDateTime),
    Index("provider_webhooks_due", "due_at"),
    Index("provider_webhooks_reference", "reference"),
)

_charges, _refunds, _webhooks = provider_charges.c, provider_refunds.c, provider_webhooks.c


class MockLedger:
    """`Books` and `WebhookQueue` in SQL, for all replicas together."""

    def __init__(self, database: Database) -> None:
        """Keep the books here."""
        self._database = database

    async def create(self) -> None:
        """Make the tables, columns and indexes that are not there."""
        async with self._database.writer.connect() as connection:
            await _create(connection)
            await connection.commit()

    async def add_charge(self, entry: ChargeEntry, tell: TellCharge) -> tuple[ChargeEntry, bool]:
        """Store a charge, or find the one of this reference; and whether it is new."""

        async def unit(connection: AsyncConnection) -> tuple[ChargeEntry, bool]:
            if await _add(connection, provider_charges, entry):
                await _tell(connection, tell(None, entry))
                return entry, True
            found = select(provider_charges).where(_charges.reference == entry.reference)
            return _charge((await connection.execute(found)).mappings().one()), False

        return await self._database.write(unit)

    async def change_charge(
        self, reference: str, change: Callable[[ChargeEntry], ChargeEntry], tell: TellCharge
    ) -> ChargeEntry | None:
        """Change a charge, if there is one; nobody else changes it in between."""

        async def unit(connection: AsyncConnection) -> ChargeEntry | None:
            before = await _lock_charge(connection, reference)
            if before is None:
                return None
            after = change(before)
            if after != before:
                mine = _charges.reference == reference
                await connection.execute(
                    update(provider_charges).where(mine).values(state=after.state)
                )
                await _tell(connection, tell(before, after))
            if after.state is ChargeState.VOIDED and before.state is not ChargeState.VOIDED:
                untold = (_webhooks.reference == reference) & _webhooks.due_at.is_not(None)
                await connection.execute(delete(provider_webhooks).where(untold))
            return after

        return await self._database.write(unit)

    async def give_back(
        self, order: Return, decide: Callable[[Account], RefundEntry], tell: TellRefund
    ) -> RefundEntry:
        """Store what was decided about a refund; nobody else gives back of its charge meanwhile."""

        async def unit(connection: AsyncConnection) -> RefundEntry:
            account = await _account(connection, order)
            entry = decide(account)
            before = {one.reference: one for one in account.refunds}.get(entry.reference)
            if before is None:
                # Only a refund of a charge that is not here may meet its like: then it runs again.
                await connection.execute(insert(provider_refunds).values(vars(entry)))
                await _tell(connection, tell(entry))
            elif entry != before:
                mine = _refunds.reference == entry.reference
                await connection.execute(
                    update(provider_refunds).where(mine).values(state=entry.state)
                )
            return entry

        return await self._database.write(unit)

    async def webhook(self, webhook_id: str) -> WebhookEntry | None:
        """A webhook, if there is one of this id."""
        found = select(provider_webhooks).where(_webhooks.webhook_id == webhook_id)
        rows = await self._read(found)
        return WebhookEntry(**rows[0]) if rows else None

    async def due_webhooks(self, now: datetime, limit: int) -> list[WebhookEntry]:
        """Those to be tried by now; the longest due first."""
        found = select(provider_webhooks).where(_webhooks.due_at <= now)
        rows = await self._read(found.order_by(_webhooks.due_at, _webhooks.webhook_id).limit(limit))
        return [WebhookEntry(**row) for row in rows]

    async def change_webhook(self, before: WebhookEntry, after: WebhookEntry) -> bool:
        """Store what became of one; false if it is not any more as it was before."""
        same = (_webhooks.webhook_id == before.webhook_id) & (_webhooks.due_at == before.due_at)
        changed = (
            update(provider_webhooks)
            .where(same)
            .values(
                due_at=after.due_at,
                attempts=after.attempts,
                copies_left=after.copies_left,
                delivered_at=after.delivered_at,
            )
        )

        async def unit(connection: AsyncConnection) -> bool:
            return (await connection.execute(changed)).rowcount == 1

        return await self._database.write(unit)

    async def _read(self, found: Any) -> Sequence[RowMapping]:
        async def unit(connection: AsyncConnection) -> Sequence[RowMapping]:
            return (await connection.execute(found)).mappings().all()

        return await self._database.read(unit)


async def _create(connection: AsyncConnection) -> None:
    # First the tables, for the rest is found out by looking at them.
    for find in (_tables_missing, _parts_missing):
        for statement in await connection.run_sync(find):
            try:
                await connection.exec_driver_sql(statement)
            except DBAPIError:
                # Another replica may have made it meanwhile.
                if statement in await connection.run_sync(find):
                    raise


def _tables_missing(connection: Connection) -> list[str]:
    there = inspect(connection).get_table_names()
    missing = [one for one in metadata.sorted_tables if one.name not in there]
    return [str(CreateTable(one).compile(connection)) for one in missing]


def _parts_missing(connection: Connection) -> list[str]:
    """The columns and indexes that the tables do not have, as statements that make them."""
    found, missing = inspect(connection), []
    for table in metadata.sorted_tables:
        columns = {one["name"] for one in found.get_columns(table.name)}
        indexes = {one["name"] for one in found.get_indexes(table.name)}
        for column in table.columns:
            if column.name not in columns:
                told = CreateColumn(column).compile(connection)
                missing.append(f"ALTER TABLE {table.name} ADD COLUMN {told}")
        fresh = [one for one in table.indexes if one.name not in indexes]
        missing += [str(CreateIndex(one).compile(connection)) for one in fresh]
    return missing


async def _add(connection: AsyncConnection, table: Table, entry: ChargeEntry) -> bool:
    """Insert an entry; false if there is one of its reference."""
    try:
        await connection.execute(insert(table).values(vars(entry)))
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        return False
    return True


async def _tell(connection: AsyncConnection, webhooks: Sequence[WebhookEntry]) -> None:
    if webhooks:
        await connection.execute(insert(provider_webhooks), [vars(one) for one in webhooks])


async def _account(connection: AsyncConnection, order: Return) -> Account:
    """The charge of a refund, locked, and all that was given back of it."""
    mine = _charges.transaction_id == order.transaction_id
    found = select(_charges.reference).where(mine, _charges.transaction_id != "")
    reference = (await connection.execute(found)).scalar()
    charge = await _lock_charge(connection, reference) if reference else None
    refunds = select(provider_refunds).where(
        or_(
            _refunds.transaction_id == order.transaction_id,
            _refunds.reference == order.reference,
        )
    )
    rows = (await connection.execute(refunds)).mappings()
    return Account(charge, [_refund(row) for row in rows])


async def _lock_charge(connection: AsyncConnection, reference: str) -> ChargeEntry | None:
    found = select(provider_charges).where(_charges.reference == reference).with_for_update()
    row = (await connection.execute(found)).mappings().one_or_none()
    return None if row is None else _charge(row)


def _charge(row: RowMapping) -> ChargeEntry:
    return ChargeEntry(**{**row, "state": ChargeState(row["state"]), **_code(row)})


def _refund(row: RowMapping) -> RefundEntry:
    return RefundEntry(**{**row, "state": RefundState(row["state"]), **_code(row)})


def _code(row: RowMapping) -> dict[str, DeclineCode | None]:
    code = row["decline_code"]
    return {"decline_code": DeclineCode(code) if code else None}
