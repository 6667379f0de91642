"""The orchestrator's own database fails at the worst moment: no booking is lost or stuck."""

from collections.abc import Callable
from typing import Any

import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from sqlalchemy import event
from support import bookings
from support.bookings import Answered, Stack, confirm_request
from support.client import refused
from support.databases import on_mariadb

from chassis.database import Database

stack = bookings.stack
LOST, READ_ONLY = 2013, 1290
in_both_cases = pytest.mark.parametrize(
    "landed", [True, False], ids=["it landed", "it did not land"]
)


@pytest.fixture(autouse=True)
def _no_wait_before_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.database.LOOK_UP_EVERY_S", 0.01)


@pytest.fixture
def lose_commit(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[int]]:
    """Lose the connection at the next COMMIT that stores a booking, after it or before it.

    Gives a list that has an entry once it was lost.
    """
    engine = stack.databases["booking_svc"].writer.sync_engine
    dialect = engine.dialect
    commit, roll_back = dialect.do_commit, dialect.do_rollback
    lost: list[int] = []
    # What works in the background commits too.
    storing: set[int] = set()

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith(("INSERT INTO bookings ", "UPDATE bookings ")):
            storing.add(id(connection.connection))

    def lose(landed: bool) -> list[int]:  # noqa: FBT001
        storing.clear()

        def once(connection: Any) -> None:
            if id(connection) not in storing:
                commit(connection)
                return
            monkeypatch.setattr(dialect, "do_commit", commit)
            (commit if landed else roll_back)(connection)
            lost.append(LOST)
            raise dialect.loaded_dbapi.OperationalError(LOST, "Lost connection during query")

        monkeypatch.setattr(dialect, "do_commit", once)
        return lost

    return lose


def refuse_writes(database: Database, begin: str, times: int) -> list[str]:
    """Refuse the next writes that begin so as a server does that is read-only.

    Gives a list of what was refused.
    """
    engine = database.writer.sync_engine
    refused_writes: list[str] = []

    @event.listens_for(engine, "do_execute")
    def refuse(_cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith(begin) and len(refused_writes) < times:
            refused_writes.append(statement)
            text = "The MariaDB server is running with the --read-only option"
            raise engine.dialect.loaded_dbapi.OperationalError(READ_ONLY, text)

    return refused_writes


@in_both_cases
async def test_a_commit_of_confirm_that_is_lost(
    stack: Stack,
    lose_commit: Callable[[bool], list[int]],
    landed: bool,  # noqa: FBT001
) -> None:
    """A booking whose COMMIT was lost is made if it landed; if not, its key is free."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    lost = lose_commit(landed)
    answered = await ann.asks(confirm_request(held))
    assert lost
    if not landed:
        assert unavailable(answered)
        assert not (await ann.mine()).bookings
        assert stack.provider.charges_asked == 0
        answered = await ann.asks(confirm_request(held))
    assert answered.booking.status == pb.Booking.CONFIRMED
    assert not answered.replayed
    again = await ann.asks(confirm_request(held))
    assert (again.booking, again.replayed) == (answered.booking, True)
    assert stack.provider.charges_asked == 1


@in_both_cases
async def test_a_commit_of_cancel_that_is_lost(
    stack: Stack,
    lose_commit: Callable[[bool], list[int]],
    landed: bool,  # noqa: FBT001
) -> None:
    """A cancellation whose COMMIT was lost is done if it landed; if not, a repeat does it."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"))
    lost = lose_commit(landed)
    if not landed:
        with refused("DEPENDENCY_UNAVAILABLE"):
            await ann.cancel(booking.booking_id)
        assert await ann.get(booking.booking_id) == booking
    assert (await ann.cancel(booking.booking_id)).status == pb.Booking.CANCELLED
    assert lost
    assert list(stack.provider.returned.values()) == [7500]


@in_both_cases
async def test_a_commit_of_the_journal_that_is_lost(
    stack: Stack,
    lose_commit: Callable[[bool], list[int]],
    landed: bool,  # noqa: FBT001
) -> None:
    """What a step came to is stored again after a lost COMMIT, and nobody is asked again."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.hold()
    pending = await ann.asks(confirm_request(held), timeout_s=2.0)
    lost = lose_commit(landed)
    stack.provider.release()
    await ann.sees(pending.booking.booking_id, "CONFIRMED")
    assert lost
    assert stack.provider.charges_asked == 1


@on_mariadb
async def test_a_database_that_is_read_only_for_a_while(stack: Stack) -> None:
    """A booking that is under way waits until its database takes writes, and is CONFIRMED."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    refusals = refuse_writes(stack.databases["booking_svc"], "UPDATE sagas", times=5)
    answered = await ann.asks(confirm_request(held))
    assert answered.booking.status == pb.Booking.CONFIRMED
    assert len(refusals) == 5
    assert stack.provider.charges_asked == 1


@on_mariadb
async def test_a_database_that_is_read_only_before_a_booking(stack: Stack) -> None:
    """Nothing begins on a database that takes no writes: UNAVAILABLE, and the key stays free."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    refusals = refuse_writes(stack.databases["booking_svc"], "INSERT INTO sagas", times=1)
    assert unavailable(await ann.asks(confirm_request(held)))
    assert len(refusals) == 1
    assert (await ann.confirm(held)).status == pb.Booking.CONFIRMED
    assert stack.provider.charges_asked == 1


def unavailable(answered: Answered) -> bool:
    return (answered.code.name, answered.reason) == ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE")
