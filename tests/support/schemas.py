"""Schemas of services: made once in a process by their migrations, and copied for each test."""

import tempfile
from pathlib import Path

import aiomysql
from sqlalchemy import make_url

from chassis import migrations
from chassis.database import Database

# By service. What migrations make of nothing is the same each time.
_files: dict[str, bytes] = {}
_statements: dict[str, list[str]] = {}


async def file_of(service: str) -> bytes:
    """A SQLite database at the newest schema of a service, such as `inventory_svc`."""
    if service not in _files:
        with tempfile.TemporaryDirectory(prefix="holdfast-schema-") as folder:
            made = Path(folder) / "made.db"
            await _migrate(f"sqlite+aiosqlite:///{made}", service)
            _files[service] = made.read_bytes()
    return _files[service]


async def copy_tables(service: str, url: str) -> None:
    """Bring an empty database of a server to the newest schema of a service."""
    if service in _statements:
        await on_server(url, *_statements[service])
        return
    await _migrate(url, service)
    _statements[service] = await _tables_of(url)


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


async def _migrate(url: str, service: str) -> None:
    database = Database(url)
    try:
        await migrations.migrate(database, f"{service}.persistence.migrations")
    finally:
        await database.close()


async def _tables_of(url: str) -> list[str]:
    """What makes the tables of a database again, and the revisions that they are at."""
    made = ["SET foreign_key_checks = 0"]
    for (name,) in await on_server(url, "SHOW TABLES"):
        ((_, statement),) = await on_server(url, f"SHOW CREATE TABLE {name}")
        made.append(str(statement))
    revisions = await on_server(url, "SELECT version_num FROM alembic_version")
    made += [f"INSERT INTO alembic_version VALUES ('{one}')" for (one,) in revisions]  # noqa: S608
    return made
