"""Reading: every row of every table, as plain dictionaries. Nothing is ever written.

Each database is read as it was at one moment; the moments differ by a little. So look at a
system at rest: stopped, killed, or with nothing to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]

# Without these it is not the database that it is said to be.
REQUIRED = {
    "booking": (
        "bookings", "booking_seats", "reservation_claims", "sagas", "saga_steps",
        "outbox", "outbox_counter", "idempotency_keys",
    ),
    "payment": (
        "payments", "refunds", "booking_fences", "outbox", "outbox_counter", "idempotency_keys",
    ),
    "inventory": ("events", "seats", "reservations", "idempotency_keys"),
    "provider": ("provider_charges", "provider_refunds"),
}  # fmt: skip


class CannotRead(Exception):
    """A database or a journal cannot be read; the text says which, and why."""


@dataclass(frozen=True)
class Urls:
    """Where the databases are: SQLAlchemy's async URLs, as the services use."""

    booking: str
    payment: str
    inventory: str
    # None: the provider is not asked.
    provider: str | None = None


async def read_tables(name: str, url: str) -> Tables:
    """All tables of a database, named as in `Urls`.

    Raises:
        CannotRead: it cannot be reached, or is not what it should be.
    """
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        # The text would show the password.
        message = f"the URL of the {name} database is not one that SQLAlchemy understands"
        raise CannotRead(message) from None
    try:
        tables = await _read(parsed)
    # A driver that is missing, a host that is not there, a password that is wrong.
    except (SQLAlchemyError, ImportError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        message = f"cannot read the {name} database at {parsed}: {cause}"
        raise CannotRead(message) from None
    missing = [table for table in REQUIRED[name] if table not in tables]
    if missing:
        message = f"{parsed} is not a {name} database of this version: no {', '.join(missing)}"
        raise CannotRead(message)
    return tables


async def _read(url: URL) -> Tables:
    is_sqlite = url.get_backend_name() == "sqlite"
    # A connection that commits by itself, so that the one transaction is ours to begin.
    engine = create_async_engine(
        _read_only(url) if is_sqlite else url, isolation_level="AUTOCOMMIT", hide_parameters=True
    )
    # One snapshot, which is read-only for the server too.
    snapshot = "BEGIN" if is_sqlite else "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
    try:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(snapshot)
            names = await connection.run_sync(_table_names)
            tables = {name: await _rows(connection, name) for name in names}
            await connection.exec_driver_sql("ROLLBACK")
            return tables
    finally:
        await engine.dispose()


def _read_only(url: URL) -> URL:
    path = Path(url.database or "").absolute()
    # A plain error if it cannot be opened: the driver's comes from a thread of its own.
    path.open("rb").close()
    return url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})


def _table_names(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


async def _rows(connection: AsyncConnection, table: str) -> list[Row]:
    # The name comes from the database itself.
    found = await connection.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608
    return [plain(row) for row in found.mappings()]


def plain(row: Mapping[Any, Any]) -> Row:
    """A row as it is on every database: moments are in UTC, and SQLite gives them as text."""
    return {name: _plain(name, value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, str) and name.endswith(("_at", "_until")):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
