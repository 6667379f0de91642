"""Schemas of services: made once in a process by their migrations, and copied for each test."""

import asyncio
import tempfile
import threading
import uuid
from pathlib import Path

import aiomysql
from sqlalchemy import make_url

from chassis import migrations
from chassis.database import Database

# By service. What migrations make of nothing is the same each time.
_files: dict[str, bytes] = {}
_statements: dict[str, list[str]] = {}
# Alembic migrates one database of a process at a time.
_making = threading.Lock()


async def file_of(service: str) -> bytes:
    """A SQLite database at the newest schema of a service, such as `inventory_svc`."""
    if service not in _files:
        await asyncio.to_thread(_make_file, service)
    return _files[service]


async def copy_tables(service: str, url: str) -> None:
    """Bring an empty database of a server to the newest schema of a service."""
    if service not in _statements:
        await asyncio.to_thread(_make_tables, service, url)
    await on_server(url, *_statements[service])


async def on_server(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Have a server do these, in one round trip; gives the rows of the first."""
    at = make_url(url)
    connection = await aiomysql.connect(
        host=at.host,
        port=at.port or 3306,
        user=at.username,
        password=at.password or "",
        db=at.database or None,
        autocommit=True,
    )
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(";".join(statements))
            rows = list(await cursor.fetchall())
            while await cursor.nextset():
                pass
            return rows
    finally:
        connection.close()


def _make_file(service: str) -> None:
    with _making, tempfile.TemporaryDirectory(prefix="holdfast-schema-") as folder:
        if service not in _files:
            made = Path(folder) / "made.db"
            asyncio.run(_migrate(f"sqlite+aiosqlite:///{made}", service))
            _files[service] = made.read_bytes()


def _make_tables(service: str, url: str) -> None:
    with _making:
        if service not in _statements:
            _statements[service] = asyncio.run(_statements_of(service, url))


async def _statements_of(service: str, url: str) -> list[str]:
    """What makes the tables of a service, and the revisions that they are at."""
    name = f"holdfast_test_schema_{uuid.uuid4().hex}"
    await on_server(url, f"CREATE DATABASE {name}")
    url = make_url(url).set(database=name).render_as_string(hide_password=False)
    try:
        await _migrate(url, service)
        made = ["SET foreign_key_checks = 0"]
        for (table,) in await on_server(url, "SHOW TABLES"):
            ((_, statement),) = await on_server(url, f"SHOW CREATE TABLE {table}")
            made.append(str(statement))
        revisions = await on_server(url, "SELECT version_num FROM alembic_version")
        made += [f"INSERT INTO alembic_version VALUES ('{one}')" for (one,) in revisions]  # noqa: S608
        return made
    finally:
        await on_server(url, f"DROP DATABASE {name}")


async def _migrate(url: str, service: str) -> None:
    database = Database(url)
    try:
        await migrations.migrate(database, f"{service}.persistence.migrations")
    finally:
        await database.close()
