"""What was stored under an older schema is read, and finished, under the newest."""

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from support.clock import START
from support.databases import Databases
from support.source import ROOT

from booking_svc.persistence.repository import SqlBookings
from booking_svc.saga.machine import State
from chassis import migrations
from chassis.database import Database, DatabaseTransactions

OPEN_SAGA = text(
    "INSERT INTO sagas"
    " (booking_id, definition, step, direction, state, tries, refusals, attempt)"
    " VALUES (5001, 'confirm_booking', 'charge', 'FORWARD', 'RUNNING', 2, 0, 1)"
)


async def at_revision(database: Database, service: str, revision: str) -> None:
    """Bring an empty database to an older schema of a service."""
    settings = Config()
    settings.set_main_option("script_location", str(ROOT / service / "persistence/migrations"))
    scripts = ScriptDirectory.from_config(settings)

    def upgrade(connection: Connection) -> None:
        context = EnvironmentContext(
            settings,
            scripts,
            fn=lambda now, _: scripts._upgrade_revs(revision, now),
            destination_rev=revision,
        )
        with context:
            context.configure(connection=connection)
            context.run_migrations()

    await database.write(lambda connection: connection.run_sync(upgrade))


async def test_a_saga_of_before_the_leases(databases: Databases) -> None:
    """A saga that an older version left open is nobody's, and due at once."""
    database = databases.open(await databases.empty())
    await at_revision(database, "booking_svc", "0001")
    await database.write(lambda connection: connection.execute(OPEN_SAGA))
    await migrations.migrate(database, "booking_svc.persistence.migrations")
    transactions = DatabaseTransactions(database, SqlBookings)
    (saga,) = await transactions.read(lambda bookings: bookings.sagas.due(START, 10, []))
    assert (saga.booking_id, saga.state, saga.tries) == (5001, State.RUNNING, 2)
    assert (saga.lease.owner, saga.attempt, saga.revision) == ("", 1, 0)
