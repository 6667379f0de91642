"""Schema migrations (Alembic), run by the program that owns the schema.

They are of two phases, each a line of its own. `pre` adds, and is run before the new programs
start: the old ones work on what it leaves. `post` removes and tightens, and is run when the last
old program is gone. A revision of the post line ends with `_post`.
"""

import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from chassis import hosts
from chassis.database import Database

log = structlog.get_logger(__name__)

# Two replicas that migrate at once: one waits this long for the other.
LOCK_WAIT_S = 60
POST_SUFFIX = "_post"
LOCKED = f"another process has been migrating for {LOCK_WAIT_S} s: look at it, then try again"


class SchemaError(Exception):
    """The schema is not the one that this program needs; the text says what to do."""


class Phase(StrEnum):
    """When a migration is run."""

    # Before the new programs: adds.
    PRE = "pre"
    # When no old program runs any more: removes.
    POST = "post"


EVERYTHING = (Phase.PRE, Phase.POST)


@dataclass(frozen=True)
class Pending:
    """A migration that the database has not had."""

    revision: str
    phase: Phase
    summary: str


def phase_of(revision: str) -> Phase:
    """The phase that a revision is of: this also tells it of one that is not known here."""
    return Phase.POST if revision.endswith(POST_SUFFIX) else Phase.PRE


async def migrate(
    database: Database, package: str, phases: Sequence[Phase] = EVERYTHING
) -> list[str]:
    """Bring the schema to the newest revisions of these phases; the revisions that were run.

    Raises:
        SchemaError: another process has been migrating for too long; or `post` was asked for
            alone, and `pre` is not done.
    """
    async with _alone_on_all(database), database.writer.connect() as connection:
        done = await connection.run_sync(_upgrade, package, phases, database.is_sqlite)
        await connection.commit()
        return done


async def pending(database: Database, package: str) -> list[Pending]:
    """The migrations that the database has not had, in their order. Changes nothing."""
    scripts = ScriptDirectory.from_config(_config(package))
    return [
        Pending(one.revision, phase_of(one.revision), one.doc)
        for one in _missing(scripts, await _heads(database))
    ]


async def require_current(database: Database, package: str, program: str) -> None:
    """Make sure that this program can work on the schema.

    One that is newer by `pre` migrations is let pass: during a deployment the old program runs
    on the schema that they leave, and may be started again on it. So is one that waits for `post`.

    Raises:
        SchemaError: it is older, or something was removed that this program may use; says what
            to do.
    """
    found = await _heads(database)
    scripts = ScriptDirectory.from_config(_config(package))
    strange = _strangers(scripts, found)
    removed = [one for one in strange if phase_of(one) is Phase.POST]
    if removed:
        message = (
            f"the schema is at {removed[0]}, which this program does not know: what it uses may"
            " have been removed. Start the version that was there last, or a newer one"
        )
        raise SchemaError(message)
    if strange:
        log.warning("schema_is_newer", found=strange, wanted=_newest(scripts, Phase.PRE))
        return
    missing = _missing(scripts, found)
    if any(phase_of(one.revision) is Phase.PRE for one in missing):
        at = ", ".join(found) or "nothing"
        message = (
            f"the schema is at {at} and must be at {_newest(scripts, Phase.PRE)}:"
            f" run 'python -m {program} migrate'"
        )
        raise SchemaError(message)
    if missing:
        log.info("post_migrations_wait", revisions=[one.revision for one in missing])


def run_env(metadata: MetaData) -> None:
    """What each service's `migrations/env.py` calls: migrate over the connection that is given."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def _upgrade(
    connection: Connection,
    package: str,
    phases: Sequence[Phase],
    is_sqlite: bool,  # noqa: FBT001
) -> list[str]:
    if not is_sqlite:
        _lock(connection)
    try:
        done = _run(connection, package, phases)
        # Before the lock is given back: who waits for it must find the revision written down.
        connection.commit()
    finally:
        if not is_sqlite:
            connection.execute(text("SELECT RELEASE_LOCK('holdfast_migrate')"))
    return done


@asynccontextmanager
async def _alone_on_all(database: Database) -> AsyncIterator[None]:
    """Where several servers have the database, keep off whoever migrates through another one.

    A server knows only the locks that it gave itself. So one is taken on each that answers, in
    one order: two processes that see a majority of them meet at one. (`_lock` is another
    lock: what one connection has, another of the same process would wait for.)
    """
    if database.hosts is None:
        yield
        return
    url = database.writer.url
    options = {"user": url.username, "password": url.password or "", "db": url.database}
    async with database.hosts.each(**options) as connections:
        for connection in connections:
            lock = f"SELECT GET_LOCK('holdfast_migrate_all', {LOCK_WAIT_S})"
            if await hosts.ask(connection, lock) != [(1,)]:
                raise SchemaError(LOCKED)
        # With its connection each lock is given back.
        yield


def _run(connection: Connection, package: str, phases: Sequence[Phase]) -> list[str]:
    config = _config(package)
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    found = MigrationContext.configure(connection).get_current_heads()
    strange = _strangers(scripts, found)
    if strange:
        log.warning("schema_is_newer", found=strange)
        return []
    missing = [one.revision for one in _missing(scripts, found)]
    if Phase.PRE not in phases and any(phase_of(one) is Phase.PRE for one in missing):
        message = (
            f"{missing[0]} comes first, which is run before the new programs start: run 'migrate',"
            " and 'migrate --phase post' when no old program runs any more"
        )
        raise SchemaError(message)
    for phase in phases:
        if any(phase_of(one) is phase for one in missing):
            command.upgrade(config, _newest(scripts, phase))
    return [one for one in missing if phase_of(one) in phases]


def _missing(scripts: ScriptDirectory, found: Sequence[str]) -> list[Script]:
    """What is not at or below the revisions that were found: `pre` first, each in its order."""
    if _strangers(scripts, found):
        return []
    lines = [_line(scripts, phase) for phase in EVERYTHING]
    missing: list[Script] = []
    for line in lines:
        there = [number for number, one in enumerate(line) if one.revision in found]
        missing += line[there[0] + 1 :] if there else line
    return missing


def _line(scripts: ScriptDirectory, phase: Phase) -> list[Script]:
    """The revisions of a phase, oldest first."""
    known = scripts.walk_revisions()
    return [one for one in known if phase_of(one.revision) is phase][::-1]


def _newest(scripts: ScriptDirectory, phase: Phase) -> str:
    return _line(scripts, phase)[-1].revision


def _strangers(scripts: ScriptDirectory, found: Sequence[str]) -> list[str]:
    """Those of the revisions that only a newer program knows."""
    known = {script.revision for script in scripts.walk_revisions()}
    return sorted(set(found) - known)


async def _heads(database: Database) -> Sequence[str]:
    """The last revision that the database has had, of each phase."""
    async with database.reader.connect() as connection:
        return await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_heads()
        )


def _lock(connection: Connection) -> None:
    taken = connection.scalar(
        text("SELECT GET_LOCK('holdfast_migrate', :wait)"), {"wait": LOCK_WAIT_S}
    )
    if taken != 1:
        raise SchemaError(LOCKED)


def _config(package: str) -> Config:
    config = Config()
    importlib.import_module(package)
    config.set_main_option("script_location", str(files(package)))
    return config
