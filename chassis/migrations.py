"""Schema migrations (Alembic), run by the program that owns the schema."""

import importlib
from importlib.resources import files

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from chassis.database import Database

log = structlog.get_logger(__name__)

# Two replicas that migrate at once: one waits this long for the other.
LOCK_WAIT_S = 60


class SchemaError(Exception):
    """The schema is not the one that this program needs; the text says what to do."""


async def migrate(database: Database, package: str) -> None:
    """Bring the schema to the newest revision of the migrations in a package.

    Raises:
        SchemaError: another process has been migrating for too long.
    """
    async with database.writer.connect() as connection:
        await connection.run_sync(_upgrade, package, database.is_sqlite)
        await connection.commit()


async def require_current(database: Database, package: str, program: str) -> None:
    """Make sure that the schema is not older than this program.

    A newer one is let pass: during a deployment the old program runs on the schema that the
    new one's `pre` migrations leave, and may be started again on it.

    Raises:
        SchemaError: it is older; says which command to run.
    """
    async with database.reader.connect() as connection:
        found = await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_revision()
        )
    scripts = ScriptDirectory.from_config(_config(package))
    wanted = scripts.get_current_head()
    if found == wanted:
        return
    if found is not None and not _knows(scripts, found):
        log.warning("schema_is_newer", found=found, wanted=wanted)
        return
    message = (
        f"the schema is at {found or 'nothing'} and must be at {wanted}:"
        f" run 'python -m {program} migrate'"
    )
    raise SchemaError(message)


def run_env(metadata: MetaData) -> None:
    """What each service's `migrations/env.py` calls: migrate over the connection that is given."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def _upgrade(connection: Connection, package: str, is_sqlite: bool) -> None:  # noqa: FBT001
    if not is_sqlite:
        _lock(connection)
    config = _config(package)
    config.attributes["connection"] = connection
    found = MigrationContext.configure(connection).get_current_revision()
    try:
        if found is None or _knows(ScriptDirectory.from_config(config), found):
            command.upgrade(config, "head")
        else:
            log.warning("schema_is_newer", found=found)
        # Before the lock is given back: who waits for it must find the revision written down.
        connection.commit()
    finally:
        if not is_sqlite:
            connection.execute(text("SELECT RELEASE_LOCK('holdfast_migrate')"))


def _knows(scripts: ScriptDirectory, revision: str) -> bool:
    return revision in {script.revision for script in scripts.walk_revisions()}


def _lock(connection: Connection) -> None:
    taken = connection.scalar(
        text("SELECT GET_LOCK('holdfast_migrate', :wait)"), {"wait": LOCK_WAIT_S}
    )
    if taken != 1:
        message = (
            f"another process has been migrating for {LOCK_WAIT_S} s: look at it, then try again"
        )
        raise SchemaError(message)


def _config(package: str) -> Config:
    config = Config()
    importlib.import_module(package)
    config.set_main_option("script_location", str(files(package)))
    return config
