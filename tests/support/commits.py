"""Commits that go wrong: the unit must run again, or nobody knows whether it was stored."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.database import Database
from chassis.errors import CommitUnknown

LOCKED = OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))


class Trouble(StrEnum):
    """What becomes of a commit."""

    # As after a deadlock: it is rolled back, and the unit runs again.
    AGAIN = "runs again"
    # Its answer is lost, after it was stored or before.
    LANDED = "lost and landed"
    LOST = "lost"


in_all_troubles = pytest.mark.parametrize("trouble", list(Trouble))


@contextmanager
def next_commit(database: Database, writing: str, trouble: Trouble) -> Iterator[list[str]]:
    """Within the block, let this happen once to a transaction with a statement that begins so.

    For databases that have one writer at a time. Gives a list that has an entry once it happened.
    """
    engine, plain = database.writer.sync_engine, database._commit
    happened: list[str] = []
    stored: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith(writing):
            stored.append(statement)

    async def commit(connection: AsyncConnection) -> None:
        mine, stored[:] = bool(stored), []
        if happened or not mine:
            await plain(connection)
            return
        happened.append(trouble)
        if trouble is Trouble.LANDED:
            await plain(connection)
        else:
            await connection.rollback()
        if trouble is Trouble.AGAIN:
            raise LOCKED
        raise CommitUnknown

    event.listen(engine, "before_cursor_execute", note)
    database._commit = commit  # type: ignore[method-assign]
    try:
        yield happened
    finally:
        del database._commit
        event.remove(engine, "before_cursor_execute", note)
