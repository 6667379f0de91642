"""The schema that migrations make is the schema that the code uses, in every service."""

import asyncio
import importlib

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.databases import Databases, url_of
from support.source import SERVICES

from chassis import migrations
from chassis.database import Database


def differences(connection: object, metadata: MetaData) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return compare_metadata(context, metadata)


async def migrated(databases: Databases, service: str) -> Database:
    """A database that all migrations have been run on, here and now."""
    database = databases.open(await databases.empty())
    await migrations.migrate(database, f"{service}.persistence.migrations")
    return database


async def contents(database: Database) -> dict[str, object]:
    """All that a database consists of: how each table and index is made, and the rows."""
    of_sqlite = "SELECT name FROM sqlite_master WHERE type = 'table'"
    names = of_sqlite if database.is_sqlite else "SHOW TABLES"
    async with database.reader.connect() as connection:

        async def rows(statement: str) -> list[tuple[object, ...]]:
            return [tuple(one) for one in await connection.execute(text(statement))]

        tables = [str(name) for (name,) in await rows(names)]
        found: dict[str, object] = {name: await rows(f"SELECT * FROM {name}") for name in tables}  # noqa: S608
        if database.is_sqlite:
            made = await rows("SELECT name, sql FROM sqlite_master ORDER BY name")
        else:
            made = [row for name in tables for row in await rows(f"SHOW CREATE TABLE {name}")]
        return found | {"": made}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_the_migrated_schema_is_that_of_the_tables(
    databases: Databases, service: str
) -> None:
    """After all migrations, nothing differs from `persistence/tables.py`."""
    database = await migrated(databases, service)
    metadata = importlib.import_module(f"{service}.persistence.tables").metadata
    async with database.reader.connect() as connection:
        assert await connection.run_sync(differences, metadata) == []


async def test_tests_begin_with_what_migrations_make(databases: Databases, service: str) -> None:
    """The copy of a schema that each test gets is the one that migrations make."""
    made = await contents(await migrated(databases, service))
    assert made["alembic_version"]
    for _ in range(2):
        assert await contents(await databases.fresh(service)) == made


async def test_migrating_is_safe_to_repeat_and_to_do_at_once(
    databases: Databases, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three replicas that start at once on an empty database all find the schema that they need."""
    commit = AsyncConnection.commit

    async def slow_commit(connection: AsyncConnection) -> None:
        await asyncio.sleep(0.05)
        await commit(connection)

    monkeypatch.setattr(AsyncConnection, "commit", slow_commit)
    package = f"{service}.persistence.migrations"
    url = await databases.empty()
    first: Database = databases.open(url)
    if databases.kind == "sqlite":
        await migrations.migrate(first, package)
        await migrations.migrate(first, package)
    else:
        replicas = [first, databases.open(url), databases.open(url)]
        await asyncio.gather(*(migrations.migrate(one, package) for one in replicas))
    await migrations.require_current(first, package, service)


async def test_a_schema_that_is_behind_is_said_so(databases: Databases, service: str) -> None:
    """A program that finds an old schema names the command that brings it up to date."""
    package = f"{service}.persistence.migrations"
    empty = databases.open(await databases.empty())
    with pytest.raises(migrations.SchemaError, match=f"python -m {service} migrate"):
        await migrations.require_current(empty, package, service)


async def test_a_schema_that_is_ahead_is_let_pass(databases: Databases, service: str) -> None:
    """A program that starts again while a newer one is rolled out runs on the newer schema."""
    package = f"{service}.persistence.migrations"
    database = databases.open(url_of(await databases.fresh(service)))
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await database.write(lambda one: one.execute(newer))
    await migrations.require_current(database, package, service)
    await migrations.migrate(database, package)
    read = text("SELECT version_num FROM alembic_version")
    found = await database.read(lambda one: one.scalar(read))
    assert found == "9999"
