"""One database behind one door: reads in autocommit, writes as whole units, retried.

What the servers do, found by running them:

- 1213 (deadlock) and 1205 (lock wait) are normal. 1205 rolls back only the statement,
  so every failure is followed by ROLLBACK and the unit runs again whole.
- On Galera 1213 comes at COMMIT: another node was first. A node that has lost its cluster
  refuses everything with 1047. What it says of a COMMIT then, or 1180, is no answer: the others
  may have it.
- A connection lost before COMMIT has committed nothing: the unit runs again. Lost at
  COMMIT, the outcome is unknown: nothing is run again, the caller asks later.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from chassis import addresses, hosts, metrics, tracing
from chassis.errors import CommitUnknown, DependencyUnavailable, DomainError, Overloaded
from chassis.hosts import Hosts
from chassis.tasks import heeding_cancellation

log = structlog.get_logger(__name__)

Repository = TypeVar("Repository")
Result = TypeVar("Result")

# Of 40 buyers of one seat each may lose to another several times in a row.
ATTEMPTS_MAX = 12
BACKOFF_BASE_S = 0.005
BACKOFF_MAX_S = 0.5
POOL_SIZE = 10
POOL_WAIT_S = 5.0
SQLITE_BUSY_TIMEOUT_MS = 5000
# A connection may fall silent without being closed. Ten times what 100,000 seats take.
UNIT_TIMEOUT_S = 40.0
COMMIT_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5
LOOK_UP_EVERY_S = 1.0
# A client that froze in the middle of a transaction must not keep its rows locked for hours, nor
# others waiting for them longer than for a unit that works. The second is MariaDB's alone.
SESSION = (
    "SET SESSION innodb_lock_wait_timeout = 5"
    " /*M!100300 , SESSION idle_write_transaction_timeout = 30 */"
)
UNAVAILABLE = "the database is not available"
# What a database does to a unit; any other refusal is the unit's own.
OURS = (CommitUnknown, DependencyUnavailable, Overloaded)

MYSQL_RUN_AGAIN = {1020, 1205, 1213}
MYSQL_LOST = {1047, 1053, 1927, 2002, 2003, 2006, 2013, 2014, 2055}
MYSQL_FAILED_AT_COMMIT = 1180
MYSQL_DUPLICATE = 1062
# A CHECK constraint, on MySQL and on MariaDB: the driver files it with the server's own trouble.
MYSQL_CHECK_FAILED = {3819, 4025}


class Database:
    """The engines of one database: one that commits each statement, one for units of work."""

    def __init__(self, url: str, name: str = "main") -> None:
        """Prepare for a database by its SQLAlchemy URL; connects when first used.

        The URL may name several servers, see `chassis.hosts`. `name` is what the metrics of a
        program that has several databases call it.
        """
        self._name = name
        url, several = addresses.of_database(url)
        self.hosts = Hosts(several) if several else None
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.reader = self._engine(url, "AUTOCOMMIT", POOL_SIZE)
        self._watch("reader", self.reader, POOL_SIZE)
        # Of its own, so that a busy pool is not taken for a dead database.
        self._probe = self._engine(url, "AUTOCOMMIT", 1)
        # SQLite has one writer at a time: to wait for it in the pool is fair, and costs no polling.
        if self.is_sqlite:
            self.writer = self._engine(url, None, 1)
        else:
            self.writer = self._engine(url, "READ COMMITTED", POOL_SIZE)
        self._watch("writer", self.writer, 1 if self.is_sqlite else POOL_SIZE)

    async def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            DBAPIError, OSError: it does not give one.
        """
        try:
            await self._ping_once()
        except DBAPIError as error:
            # The server that was asked is gone; of several, another one may answer.
            if self.hosts is None or not error.connection_invalidated:
                raise
            await self._ping_once()

    async def _ping_once(self) -> None:
        async with self._probe.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        for engine in (self.reader, self.writer, self._probe):
            await engine.dispose()

    async def read(self, unit: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Run a unit that changes nothing, each statement on its own.

        Raises:
            DependencyUnavailable: the database cannot be reached.
        """
        with self._measured("read"):
            return await self._again_if_asked(lambda: self._read_once(unit), "read")

    async def write(
        self,
        unit: Callable[[AsyncConnection], Awaitable[Result]],
        landed: Callable[[AsyncConnection], Awaitable[Result | None]] | None = None,
    ) -> Result:
        """Run a unit as one transaction, again and whole if the database asks for that.

        When the connection is lost at COMMIT, `landed` is asked, for as long as it takes, what
        came of the unit; none means that it was not stored.

        Raises:
            DependencyUnavailable: the database cannot be reached.
            CommitUnknown: it is not known whether the commit went through, or `landed` says no.
            Overloaded: no connection came free in time. Nothing was done.
        """
        try:
            with self._measured("write"):
                return await self._again_if_asked(lambda: self._write_once(unit), "write")
        except CommitUnknown:
            found = await self._look_up(landed) if landed is not None else None
            if found is None:
                raise
            return found

    async def _look_up(
        self, landed: Callable[[AsyncConnection], Awaitable[Result | None]]
    ) -> Result | None:
        while True:
            # Not at once: the server may still be busy with the commit.
            await asyncio.sleep(LOOK_UP_EVERY_S)
            with suppress(DependencyUnavailable, Overloaded):
                return await self.read(landed)

    @contextmanager
    def _measured(self, kind: str) -> Iterator[None]:
        began, outcome = time.perf_counter(), "cancelled"
        try:
            with tracing.part(f"database {kind}"):
                yield
            outcome = "ok"
        except DomainError as error:
            outcome = "failed" if isinstance(error, OURS) else "refused"
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            duration_s = time.perf_counter() - began
            metrics.UNITS.labels(self._name, kind, outcome).observe(duration_s)

    async def _again_if_asked(self, once: Callable[[], Awaitable[Result]], kind: str) -> Result:
        for attempt in range(ATTEMPTS_MAX):
            try:
                with heeding_cancellation():
                    return await once()
            except TimeoutError:
                log.exception("database_unavailable")
                break
            except PoolTimeout:
                message = "the server is busy; try again in a moment"
                raise Overloaded(message) from None
            except DBAPIError as error:
                if not _run_again(error):
                    raise _unavailable(error) or error from None
                log.debug("unit_runs_again", attempt=attempt, cause=str(error.orig))
                metrics.RERUNS.labels(self._name, kind).inc()
            await asyncio.sleep(random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2**attempt)))
        raise DependencyUnavailable(UNAVAILABLE)

    async def _read_once(self, unit: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        async with self.reader.connect() as connection:
            try:
                async with asyncio.timeout(UNIT_TIMEOUT_S):
                    return await unit(connection)
            except (TimeoutError, asyncio.CancelledError):
                # Half of an answer may still be on its way: this connection is of no use.
                await connection.invalidate()
                raise

    async def _write_once(self, unit: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        async with self.writer.connect() as connection:
            try:
                async with asyncio.timeout(UNIT_TIMEOUT_S):
                    result = await unit(connection)
            except (TimeoutError, asyncio.CancelledError):
                # In the middle of a statement: nobody knows where this connection stands.
                await connection.invalidate()
                raise
            except Exception:
                await _roll_back(connection)
                raise
            await self._commit(connection)
            return result

    async def _commit(self, connection: AsyncConnection) -> None:
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await connection.commit()
        except TimeoutError:
            log.warning("commit_outcome_unknown", cause="no answer")
            await connection.invalidate()
            raise CommitUnknown from None
        except DBAPIError as error:
            if error.connection_invalidated or _code(error) in MYSQL_LOST | {
                MYSQL_FAILED_AT_COMMIT
            }:
                log.warning("commit_outcome_unknown", cause=str(error.orig))
                await connection.invalidate()
                raise CommitUnknown from None
            await _roll_back(connection)
            raise
        except BaseException:
            await connection.invalidate()
            raise

    def _watch(self, name: str, engine: AsyncEngine, most: int) -> None:
        pool: Any = engine.pool
        # It makes its queue when it is first asked, and a scrape asks in another thread.
        pool.checkedin()
        metrics.watch_pool(self._name, name, most, pool.checkedout, pool.checkedin)

    def _engine(self, url: str, isolation_level: Any, pool_size: int) -> AsyncEngine:
        options: dict[str, Any] = {}
        if not self.is_sqlite:
            options["connect_args"] = {
                "connect_timeout": CONNECT_TIMEOUT_S,
                "init_command": SESSION,
            }
        if self.hosts is not None:
            options["connect_args"]["async_creator_fn"] = self.hosts.connect
            options["pool_recycle"] = hosts.CONNECTION_LIFE_S
        if isolation_level is not None:
            options["isolation_level"] = isolation_level
        if isolation_level == "AUTOCOMMIT":
            # There is nothing to roll back: one round trip less.
            options["skip_autocommit_rollback"] = True
        engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            # Every unit ends itself; a reset would be one round trip more.
            pool_reset_on_return=None,
            # A statement that failed is logged; what it was to store is not.
            hide_parameters=True,
            **options,
        )
        if self.hosts is not None:
            self.hosts.watch(engine.sync_engine)
        if self.is_sqlite:
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            if isolation_level is None:
                event.listen(engine.sync_engine, "begin", _begin_immediate)
                event.listen(engine.sync_engine, "invalidate", _release_lock)
        return engine


class DatabaseTransactions(Generic[Repository]):
    """`Transactions` over a database: gives each unit a repository on its own connection."""

    def __init__(
        self, database: Database, repository: Callable[[AsyncConnection], Repository]
    ) -> None:
        """Make repositories with `repository`."""
        self._database = database
        self._repository = repository

    async def read(self, unit: Callable[[Repository], Awaitable[Result]]) -> Result:
        """Run a unit that changes nothing."""
        return await self._database.read(self._on_connection(unit))

    async def write(
        self,
        unit: Callable[[Repository], Awaitable[Result]],
        landed: Callable[[Repository], Awaitable[Result | None]] | None = None,
    ) -> Result:
        """Run a unit as one transaction."""
        return await self._database.write(
            self._on_connection(unit),
            None if landed is None else self._on_connection(landed),
        )

    def _on_connection(
        self, unit: Callable[[Repository], Awaitable[Result]]
    ) -> Callable[[AsyncConnection], Awaitable[Result]]:
        return lambda connection: unit(self._repository(connection))


def is_duplicate(error: IntegrityError) -> bool:
    """Whether an insert failed because of a unique key, and not for another constraint."""
    return _code(error) == MYSQL_DUPLICATE or "UNIQUE constraint failed" in str(error.orig)


def _code(error: DBAPIError) -> int | None:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _run_again(error: DBAPIError) -> bool:
    # A unit handles the conflicts that it expects. What is left is an id that another process
    # drew too: the unit draws again.
    if isinstance(error, IntegrityError):
        return is_duplicate(error)
    if "database is locked" in str(error.orig):
        return True
    return error.connection_invalidated or _code(error) in MYSQL_RUN_AGAIN | MYSQL_LOST


def _unavailable(error: DBAPIError) -> DependencyUnavailable | None:
    """Read-only, out of connections, out of disk: the server's trouble and not the unit's."""
    ours = _code(error) in MYSQL_CHECK_FAILED or str(error.orig).startswith("no such ")
    if ours or not isinstance(error, OperationalError):
        return None
    log.error("database_unavailable", cause=str(error.orig))
    return DependencyUnavailable(UNAVAILABLE)


async def _roll_back(connection: AsyncConnection) -> None:
    try:
        await connection.rollback()
    except DBAPIError:
        await connection.invalidate()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by its own rules; they are begun and ended by units.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL: what was acknowledged is there after a power cut, at the price of one sync a commit.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    # A transaction that begins by reading cannot become a writer once another has written.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _release_lock(connection: Any, _record: object, _error: object) -> None:
    # SQLite closes a connection only when nobody refers to its statements any more, and the
    # traceback of a cancellation does: until then the lock would stay with a unit that is gone.
    with suppress(Exception, asyncio.CancelledError):
        connection.rollback()
