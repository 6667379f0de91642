"""Reading: every row of every table goes by once. Nothing is ever written.

First a snapshot of each database is opened, then they are read: the moments that they show are
milliseconds apart, however long the reading takes.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from auditor.tables import ADDED, UNSHARED, USED, WHETHER, Row, Tables, row_of

# Is shown `database.table.column` and some of its values.
Look = Callable[[str, Sequence[Any]], None]
# A MySQL with several servers, as the services can be told of.
SEVERAL = re.compile(
    r"(?P<who>mysql\+aiomysql://(?:[^@]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>.*)"
)
# A server that hangs takes connections, and never says a word.
CONNECT_TIMEOUT_S = 10.0
# Rows at a time: enough that a step costs nothing, too few to weigh.
BATCH = 2000


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


async def read_all(urls: Urls, look: Look) -> dict[str, Tables]:
    """What the checks use of each database, named as in `Urls`; `look` is shown everything.

    Raises:
        CannotRead: one cannot be reached, or is not what it should be.
    """
    named = {one.name: getattr(urls, one.name) for one in fields(urls)}
    async with AsyncExitStack() as stack:
        opened = [await _open(stack, name, url) for name, url in named.items() if url is not None]
        for snapshot in opened:
            await snapshot.begin()
        # Each value once, however many rows have it.
        shared: dict[Any, Any] = {}
        return {one.name: await one.read(look, shared) for one in opened}


@dataclass(frozen=True)
class _Snapshot:
    """One database, as it is at one moment."""

    name: str
    url: URL
    connection: AsyncConnection

    async def begin(self) -> None:
        """From here on, what is read does not change."""
        with _naming(self.name, self.url):
            for statement in _beginning(self.url):
                await self.connection.exec_driver_sql(statement)

    async def read(self, look: Look, shared: dict[Any, Any]) -> Tables:
        """Read all tables, and keep what is used."""
        used = USED[self.name]
        tables: dict[str, list[Row]] = {table: [] for table in used}
        with _naming(self.name, self.url):
            names = await self.connection.run_sync(_table_names)
            self._demand(table for table in used if table not in names)
            for table in names:
                columns = used.get(table, "").split()
                new = row_of(table, columns)
                async for values in self._values(table, columns, look):
                    if columns:
                        kept = (_plain(name, values[name], shared) for name in columns)
                        tables[table] += map(new, *kept)
        return tables

    async def _values(
        self, table: str, used: Sequence[str], look: Look
    ) -> AsyncIterator[dict[str, Sequence[Any]]]:
        """The values of some rows after the other, by column."""
        # The name comes from the database itself.
        found = await self.connection.stream(text(f"SELECT * FROM {table}"))  # noqa: S608
        names = list(found.keys())
        missing = [name for name in used if name not in names]
        self._demand(one for name in missing if (one := f"{table}.{name}") not in ADDED)
        async for rows in found.partitions(BATCH):
            values = dict(zip(names, zip(*rows, strict=True), strict=True))
            for name in names:
                look(f"{self.name}.{table}.{name}", values[name])
            yield values | dict.fromkeys(missing, (None,) * len(rows))

    def _demand(self, missing: Iterator[str]) -> None:
        if names := ", ".join(missing):
            message = f"{self.url} is not a {self.name} database of this version: no {names}"
            raise CannotRead(message)


async def _open(stack: AsyncExitStack, name: str, url: str) -> _Snapshot:
    """A connection to a database; of several servers, to the first that answers.

    Raises:
        CannotRead: none does; what the last one said.
    """
    *others, last = _each_server(url)
    for one in others:
        with suppress(CannotRead):
            return await _connect(stack, name, one)
    return await _connect(stack, name, last)


def _each_server(url: str) -> list[str]:
    """The same URL with each of the servers that it names, by commas, for itself."""
    parts = SEVERAL.fullmatch(url)
    if parts is None:
        return [url]
    return [f"{parts['who']}{one}{parts['rest']}" for one in parts["hosts"].split(",")]


async def _connect(stack: AsyncExitStack, name: str, url: str) -> _Snapshot:
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        # The text would show the password.
        message = f"the URL of the {name} database is not one that SQLAlchemy understands"
        raise CannotRead(message) from None
    with _naming(name, parsed):
        # A connection that commits by itself, so that the one transaction is ours to begin.
        engine = create_async_engine(
            _read_only(parsed), isolation_level="AUTOCOMMIT", hide_parameters=True
        )
        stack.push_async_callback(engine.dispose)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await stack.enter_async_context(engine.connect())
        except TimeoutError:
            message = f"no answer within {CONNECT_TIMEOUT_S:.0f} s"
            raise TimeoutError(message) from None
        return _Snapshot(name, parsed, connection)


@contextmanager
def _naming(name: str, url: URL) -> Iterator[None]:
    try:
        yield
    # A driver that is missing, a host that is not there, a password that is wrong.
    except (SQLAlchemyError, ImportError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        message = f"cannot read the {name} database at {url}: {cause}"
        raise CannotRead(message) from None


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _read_only(url: URL) -> URL:
    if not _is_sqlite(url):
        return url
    path = Path(url.database or "").absolute()
    # A plain error if it cannot be opened: the driver's comes from a thread of its own.
    path.open("rb").close()
    return url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})


def _beginning(url: URL) -> Sequence[str]:
    if _is_sqlite(url):
        # The moment is that of the first reading.
        return ("BEGIN", "SELECT count(*) FROM sqlite_master")
    return (
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )


def _table_names(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


def _plain(name: str, values: Sequence[Any], shared: dict[Any, Any]) -> Sequence[Any]:
    """Values of a column, as they are on every database."""
    if name in WHETHER:
        return [True if value else None for value in values]
    if name.endswith("_at"):
        return [_moment(value) for value in values]
    return values if name in UNSHARED else list(map(shared.setdefault, values, values))


def _moment(value: Any) -> datetime | None:
    """In UTC; SQLite gives it as text."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment and moment.replace(tzinfo=UTC)
