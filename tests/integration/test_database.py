"""Units of work: whole or not at all, and run again only when nothing of them can be there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection
from support.databases import Databases, on_mariadb
from support.losing import connected_at_that_moment, refused_at_that_moment

from chassis import database as database_module
from chassis.database import Database
from chassis.errors import CommitUnknown, DependencyUnavailable, Overloaded

Unit = Callable[[AsyncConnection], Awaitable[Any]]


@pytest.fixture
async def database(databases: Databases) -> Database:
    """A database with one table of counters, `a` and `b`, both 0."""
    database = databases.open(await databases.empty())

    async def given(connection: AsyncConnection) -> None:
        await connection.execute(text("CREATE TABLE counters (name VARCHAR(9) PRIMARY KEY, n INT)"))
        await connection.execute(text("INSERT INTO counters VALUES ('a', 0), ('b', 0)"))

    await database.write(given)
    return database


async def add_one(connection: AsyncConnection, name: str) -> None:
    await connection.execute(
        text("UPDATE counters SET n = n + 1 WHERE name = :name"), {"name": name}
    )


async def counters(database: Database) -> dict[str, int]:
    async def unit(connection: AsyncConnection) -> dict[str, int]:
        return dict((await connection.execute(text("SELECT name, n FROM counters"))).all())

    return await database.read(unit)


async def kill(database: Database, connection: AsyncConnection) -> None:
    """Cut a connection on the server, as a restart or a proxy does."""
    number = (await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
    await database.read(lambda other: other.execute(text(f"KILL {number}")))


@on_mariadb
@pytest.mark.parametrize("engine", ["read", "write"])
async def test_nobody_keeps_others_waiting(database: Database, engine: str) -> None:
    """A session waits for a lock no longer than for a unit that works, nor sits on its own ones."""

    async def unit(connection: AsyncConnection) -> tuple[int, int]:
        told = text("SELECT @@innodb_lock_wait_timeout, @@idle_write_transaction_timeout")
        return tuple((await connection.execute(told)).one())

    assert await getattr(database, engine)(unit) == (5, 30)


async def test_an_error_of_the_unit_undoes_it(database: Database) -> None:
    """What a unit did before its error is rolled back, and the error comes out as it is."""

    async def unit(connection: AsyncConnection) -> None:
        await add_one(connection, "a")
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(unit)
    assert await counters(database) == {"a": 0, "b": 0}


@pytest.mark.parametrize("engine", ["read", "write"])
async def test_a_cancelled_unit_leaves_nothing(database: Database, engine: str) -> None:
    """Units cancelled at any moment change nothing and keep no lock, whoever keeps their errors."""
    inside = asyncio.Event()
    errors: list[BaseException] = []

    async def unit(connection: AsyncConnection) -> None:
        if engine == "write":
            await add_one(connection, "a")
        inside.set()
        while True:
            await connection.execute(text("SELECT n FROM counters"))

    for round_ in range(20):
        inside.clear()
        task = asyncio.create_task(getattr(database, engine)(unit))
        await inside.wait()
        await asyncio.sleep(round_ / 5000)
        task.cancel()
        errors += await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(2):
            await database.write(lambda connection: add_one(connection, "b"))
    assert {type(error) for error in errors} == {asyncio.CancelledError}
    assert await counters(database) == {"a": 0, "b": 20}


async def test_concurrent_units_lose_nothing(database: Database) -> None:
    """A hundred units at once that add one each add a hundred."""
    await asyncio.gather(*(database.write(lambda one: add_one(one, "a")) for _ in range(100)))
    assert await counters(database) == {"a": 100, "b": 0}


@on_mariadb
async def test_a_deadlock_is_run_again(database: Database) -> None:
    """Of two units that wait for each other's row the loser runs again, whole, and both count."""
    both_hold_one = asyncio.Barrier(2)
    runs: list[str] = []

    def crossing(first: str, second: str) -> Unit:
        async def unit(connection: AsyncConnection) -> None:
            runs.append(first)
            await add_one(connection, first)
            if runs.count(first) == 1:
                await both_hold_one.wait()
            await add_one(connection, second)

        return unit

    async with asyncio.TaskGroup() as both:
        both.create_task(database.write(crossing("a", "b")))
        both.create_task(database.write(crossing("b", "a")))
    assert len(runs) == 3
    assert await counters(database) == {"a": 2, "b": 2}


@on_mariadb
async def test_a_wait_for_a_lock_that_ends_is_run_again(database: Database) -> None:
    """A lock wait that times out rolls back the whole unit before it runs again."""
    holding, tried = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    async def holder(connection: AsyncConnection) -> None:
        await add_one(connection, "b")
        holding.set()
        await tried.wait()

    async def waiter(connection: AsyncConnection) -> None:
        runs.append("waiter")
        if len(runs) == 2:
            tried.set()
        await connection.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
        await add_one(connection, "a")
        await add_one(connection, "b")

    async with asyncio.TaskGroup() as both:
        both.create_task(database.write(holder))
        await holding.wait()
        both.create_task(database.write(waiter))
    assert len(runs) == 2
    assert await counters(database) == {"a": 1, "b": 2}


@on_mariadb
@pytest.mark.parametrize("engine", ["read", "write"])
async def test_a_connection_lost_in_the_middle_is_run_again(
    database: Database, engine: str
) -> None:
    """A connection that is cut before COMMIT has committed nothing: the unit runs again, once."""
    runs: list[str] = []

    async def unit(connection: AsyncConnection) -> None:
        runs.append("run")
        if engine == "write":
            await add_one(connection, "a")
        if len(runs) == 1:
            await kill(database, connection)
        await connection.execute(text("SELECT n FROM counters"))

    await getattr(database, engine)(unit)
    assert len(runs) == 2
    assert await counters(database) == {"a": int(engine == "write"), "b": 0}


@on_mariadb
async def test_an_idle_connection_that_was_cut_is_not_noticed(database: Database) -> None:
    """A connection that dies in the pool costs a second try and no error."""
    numbers: list[int] = []

    async def unit(connection: AsyncConnection) -> None:
        numbers.append((await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one())

    await database.write(unit)
    await database.read(lambda one: one.execute(text(f"KILL {numbers[0]}")))
    await database.write(unit)
    assert len(set(numbers)) == 2


@on_mariadb
async def test_a_commit_that_is_lost_is_not_run_again(database: Database) -> None:
    """Lost at COMMIT, nobody knows the outcome: the caller is told, and the unit ran once."""
    runs: list[str] = []

    async def unit(connection: AsyncConnection) -> None:
        runs.append("run")
        await add_one(connection, "a")
        await kill(database, connection)

    with pytest.raises(CommitUnknown, match="repeat with the same key"):
        await database.write(unit)
    assert runs == ["run"]
    await database.write(lambda connection: add_one(connection, "b"))
    assert await counters(database) == {"a": 0, "b": 1}


@on_mariadb
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "not stored"])
async def test_a_commit_that_is_lost_is_looked_up(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, stored: bool
) -> None:
    """After a lost COMMIT `landed` is asked until it answers: its result, or CommitUnknown."""
    monkeypatch.setattr(database_module, "LOOK_UP_EVERY_S", 0.001)
    asked: list[str] = []

    async def unit(connection: AsyncConnection) -> int:
        assert asked == []
        await add_one(connection, "a")
        if stored:
            await connection.execute(text("COMMIT"))
        await kill(database, connection)
        return 7

    async def landed(connection: AsyncConnection) -> int | None:
        asked.append("asked")
        if len(asked) == 1:
            raise Overloaded(str(asked))
        count = (await connection.execute(text("SELECT n FROM counters"))).scalars().first()
        return 41 + count if count else None

    if stored:
        assert await database.write(unit, landed) == 42
    else:
        with pytest.raises(CommitUnknown):
            await database.write(unit, landed)
    assert asked == ["asked"] * 2


async def test_a_commit_that_is_known_is_not_looked_up(database: Database) -> None:
    """`landed` is asked neither after a commit nor after an error of the unit."""

    async def landed(_: AsyncConnection) -> None:
        raise AssertionError

    async def fail(_: AsyncConnection) -> None:
        raise LookupError

    await database.write(lambda connection: add_one(connection, "a"), landed)
    with pytest.raises(LookupError):
        await database.write(fail, landed)
    assert await counters(database) == {"a": 1, "b": 0}


@on_mariadb
@pytest.mark.parametrize("engine", ["read", "write"])
@pytest.mark.parametrize("code", [1021, 1040, 1290])
async def test_a_server_in_trouble_is_unavailable(
    database: Database, engine: str, code: int
) -> None:
    """Out of disk, out of connections, read-only: DEPENDENCY_UNAVAILABLE, tried once."""
    runs: list[str] = []

    async def unit(connection: AsyncConnection) -> None:
        runs.append("run")
        await connection.execute(text(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}"))

    with pytest.raises(DependencyUnavailable, match="the database is not available") as caught:
        await getattr(database, engine)(unit)
    assert caught.type is DependencyUnavailable
    assert runs == ["run"]
    await database.write(lambda connection: add_one(connection, "a"))


@on_mariadb
@pytest.mark.parametrize("engine", ["read", "write"])
async def test_a_wrong_statement_is_a_fault(database: Database, engine: str) -> None:
    """A statement that the database does not understand is our fault, and comes out as it is."""
    with pytest.raises(ProgrammingError):
        await getattr(database, engine)(lambda one: one.execute(text("SELECT n FROM nowhere")))


async def test_an_error_does_not_show_what_was_to_be_stored(database: Database) -> None:
    """The parameters of a statement that failed are not in the text of its error."""
    row = {"name": "a", "n": 471147}
    insert = text("INSERT INTO counters VALUES (:name, :n)")
    said: list[str] = []

    async def unit(connection: AsyncConnection) -> None:
        with pytest.raises(IntegrityError) as caught:
            await connection.execute(insert, row)
        said.append(f"{caught.value} {caught.value!r}")

    for engine in (database.read, database.write):
        await engine(unit)
    assert ["INSERT INTO counters" in one for one in said] == [True, True]
    assert "471147" not in str(said)


@on_mariadb
async def test_a_read_is_one_round_trip(database: Database) -> None:
    """Reads leave no transaction behind them, and so send no ROLLBACK."""

    async def rollbacks(connection: AsyncConnection) -> tuple[int, str]:
        number = (await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
        status = await connection.execute(text("SHOW SESSION STATUS LIKE 'Com_rollback'"))
        return number, status.one()[1]

    # Each time on the one connection of the pool, whose own count it is.
    seen = [await database.read(rollbacks) for _ in range(5)]
    assert seen == [(seen[0][0], "0")] * 5


@on_mariadb
async def test_a_database_that_is_not_there(databases: Databases) -> None:
    """A server that cannot be reached is DEPENDENCY_UNAVAILABLE, after a few tries."""
    database = databases.open("mysql+aiomysql://root@127.0.0.1:1/none")
    with pytest.raises(DependencyUnavailable):
        await database.read(lambda connection: connection.execute(text("SELECT 1")))


async def test_a_silent_unit_is_given_up(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer is unavailable after a while, and the next unit runs."""
    database = await databases.fresh("inventory_svc")
    monkeypatch.setattr("chassis.database.UNIT_TIMEOUT_S", 0.05)
    for run in (database.read, database.write):
        with pytest.raises(DependencyUnavailable):
            await run(lambda _: asyncio.sleep(60))
    monkeypatch.undo()
    for run in (database.read, database.write):
        assert await run(lambda one: one.scalar(text("SELECT 1"))) == 1


async def test_a_silent_commit_is_unknown(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When COMMIT gets no answer, nobody claims to know what came of it."""
    database = await databases.fresh("inventory_svc")
    monkeypatch.setattr("chassis.database.COMMIT_TIMEOUT_S", 0.05)
    monkeypatch.setattr(AsyncConnection, "commit", lambda _: asyncio.sleep(60))
    with pytest.raises(CommitUnknown):
        await database.write(lambda one: one.scalar(text("SELECT 1")))


@pytest.mark.parametrize("loses", [refused_at_that_moment, connected_at_that_moment])
@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_unit_whose_cancellation_is_lost(
    databases: Databases, loses: Callable[[], Awaitable[bool]], kind: str
) -> None:
    """A unit of work that is cancelled ends so, whatever loses that on its way."""

    async def unit(_connection: AsyncConnection) -> bool:
        return await loses()

    database = databases.open(await databases.empty())
    run = database.read if kind == "read" else database.write
    task = asyncio.create_task(run(unit))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
