"""Fresh databases with the schema of a service, on SQLite and on MariaDB, gone afterwards."""

import os
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from chassis.database import Database
from support import mariadb, schemas

SQLITE, MARIADB = "sqlite", "mariadb"
KINDS = (SQLITE, MARIADB)
SQLITE_FILE = "sqlite+aiosqlite:///"
on_mariadb = pytest.mark.parametrize("database_kind", [MARIADB], indirect=True)


class Databases:
    """Makes databases of one kind; everything that it opened is closed when its block ends."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._folder = folder
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def fresh(self, service: str) -> Database:
        """A new database at the newest schema of a service, such as `inventory_svc`."""
        url = await self.empty()
        if self.kind == SQLITE:
            made = await schemas.file_of(service)
            Path(url.removeprefix(SQLITE_FILE)).write_bytes(made)  # noqa: ASYNC240 - soon done
        else:
            await schemas.copy_tables(service, url)
        return self.open(url)

    def open(self, url: str) -> Database:
        """One more door to a database, as another replica has."""
        database = Database(url)
        self._stack.push_async_callback(database.close)
        return database

    async def empty(self) -> str:
        """The URL of a new database without any tables."""
        name = f"holdfast_test_{uuid.uuid4().hex}"
        if self.kind == SQLITE:
            return f"{SQLITE_FILE}{self._folder / name}.db"
        await schemas.on_server(_server_url(), f"CREATE DATABASE {name}")
        self._stack.push_async_callback(schemas.on_server, _server_url(), f"DROP DATABASE {name}")
        return f"{_server_url()}/{name}"


def url_of(database: Database) -> str:
    """The URL that a database was opened with."""
    return database.writer.url.render_as_string(hide_password=False)


def require(kind: str) -> str:
    """Go on only if there is a server of this kind; in CI its absence is a failure."""
    if kind == MARIADB and not os.environ.get(mariadb.VARIABLE):
        if os.environ.get("CI") == "true":
            pytest.fail("CI must test on MariaDB, and there is no server")
        pytest.skip("no MariaDB")
    return kind


def _server_url() -> str:
    return os.environ[mariadb.VARIABLE].rstrip("/")
