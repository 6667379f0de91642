"""What was stored under an older schema is read, and finished, under the newest."""

from sqlalchemy import text
from support.clock import START
from support.databases import Databases
from support.expand_contract import at_revision

from booking_svc.persistence.repository import SqlBookings
from booking_svc.saga.machine import State
from chassis import migrations
from chassis.database import DatabaseTransactions
from inventory_svc.persistence.repository import SqlInventory

OPEN_SAGA = text(
    "INSERT INTO sagas"
    " (booking_id, definition, step, direction, state, tries, refusals, attempt)"
    " VALUES (5001, 'confirm_booking', 'charge', 'FORWARD', 'RUNNING', 2, 0, 1)"
)
CONFIRMED = text(
    "INSERT INTO reservations"
    " (reservation_id, event_id, user_id, seat_id, seat_number, price_minor, currency, status,"
    " created_at, expires_at, booking_reference)"
    " VALUES (101, 9, 'ann', 5, 'A1', 7500, 'USD', 'CONFIRMED', '2026-11-16 10:00:00',"
    " '2026-11-16 10:10:00', 'BK-1')"
)


async def test_a_saga_of_before_the_leases(databases: Databases) -> None:
    """A saga that an older version left open is nobody's, and due at once."""
    database = databases.open(await databases.empty())
    await at_revision(database, "booking_svc.persistence.migrations", "0001")
    await database.write(lambda connection: connection.execute(OPEN_SAGA))
    await migrations.migrate(database, "booking_svc.persistence.migrations")
    transactions = DatabaseTransactions(database, SqlBookings)
    (saga,) = await transactions.read(lambda bookings: bookings.sagas.due(START, 10, []))
    assert (saga.booking_id, saga.state, saga.tries) == (5001, State.RUNNING, 2)
    assert (saga.lease.owner, saga.attempt, saga.revision) == ("", 1, 0)


async def test_a_reservation_of_before_its_times(databases: Databases) -> None:
    """A reservation that an older version confirmed is one still, and nobody knows since when."""
    database = databases.open(await databases.empty())
    await at_revision(database, "inventory_svc.persistence.migrations", "0001")
    await database.write(lambda connection: connection.execute(CONFIRMED))
    await migrations.migrate(database, "inventory_svc.persistence.migrations")
    transactions = DatabaseTransactions(database, SqlInventory)
    (old,) = await transactions.read(lambda inventory: inventory.reservations([101]))
    assert old.is_confirmed_for("BK-1")
    assert (old.confirmed_at, old.ended_at) == (None, None)
    await transactions.write(lambda inventory: inventory.cancel([old], START))
    (ended,) = await transactions.read(lambda inventory: inventory.reservations([101]))
    assert (ended.confirmed_at, ended.ended_at) == (None, START)


async def test_the_old_code_beside_the_new(databases: Databases) -> None:
    """While both run, an older version still stores reservations, under the newer schema."""
    database = await databases.fresh("inventory_svc")
    await database.write(lambda connection: connection.execute(CONFIRMED))
    transactions = DatabaseTransactions(database, SqlInventory)
    (found,) = await transactions.read(lambda inventory: inventory.reservations([101]))
    assert (found.confirmed_at, found.ended_at) == (None, None)
