"""The journal writes saga, booking, timeline and event together: all of it once, or nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs
from support.clock import START, ManualClock
from support.databases import Databases
from support.sagas import OURS, a_booking

from booking_svc.domain.booking import Booking
from booking_svc.persistence.repository import SqlBookings
from booking_svc.persistence.tables import outbox
from booking_svc.saga import machine
from booking_svc.saga.definition import CANCEL_BOOKING, CONFIRM_BOOKING
from booking_svc.saga.machine import Saga, State
from booking_svc.saga.runner import LeaseLost, StepRecord, Verdict
from booking_svc.usecases.journal import BookingJournal
from chassis.database import Database, DatabaseTransactions
from chassis.errors import CommitUnknown, DependencyUnavailable, DomainError, Overloaded
from chassis.ids import Ids

PAID = a_booking().paid("pay_1")
CONFIRMED = PAID.confirmed(START)
CANCELLED = CONFIRMED.cancelling().cancelled(START)
FAILED = a_booking().declined("pay_1", "CARD_DECLINED", "no").failed(START)
SAGA = machine.begin(CONFIRM_BOOKING, 5001, START, OURS)
STEP = StepRecord("charge", "take_payment", 1, Verdict.DONE, "", START, 0.25)


class Stored(NamedTuple):
    """All that a record may have changed."""

    saga: Saga | None
    booking: Booking | None
    timeline: list[StepRecord]
    # Kind, subject and payload.
    events: list[tuple[str, str, bytes]]


def encode(booking: Booking) -> bytes:
    return f"{booking.status} {booking.payment_status}".encode()


class Desk:
    """A journal, the database under it, and what it told of."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.transactions = DatabaseTransactions(database, SqlBookings)
        self.changed: list[Booking] = []
        self.journal = BookingJournal(
            self.transactions, encode, clock, Ids(clock), self.changed.append
        )

    async def begin(self, saga: Saga = SAGA, booking: Booking | None = None) -> None:
        async def unit(bookings: SqlBookings) -> None:
            await bookings.add_booking(booking or a_booking())
            await bookings.sagas.add(saga)

        await self.transactions.write(unit)

    async def record(self, saga: Saga, booking: Booking = PAID, step: StepRecord = STEP) -> Booking:
        return await self.journal.record(saga, booking, step)

    async def stored(self, name: str = CONFIRM_BOOKING.name) -> Stored:
        async def unit(bookings: SqlBookings) -> Stored:
            return Stored(
                await bookings.sagas.find(5001, name),
                await bookings.booking(5001),
                await bookings.sagas.steps(5001, name, 100),
                [],
            )

        async def events(connection: AsyncConnection) -> list[tuple[str, str, bytes]]:
            kept = select(outbox.c.kind, outbox.c.subject, outbox.c.payload)
            return [tuple(row) for row in await connection.execute(kept)]

        stored = await self.transactions.read(unit)
        return stored._replace(events=await self.database.read(events))


def moved(revision: int = 1, **changes: Any) -> Saga:
    return replace(SAGA, revision=revision, **changes)


@pytest.fixture
async def desk(databases: Databases, clock: ManualClock) -> Desk:
    return Desk(await databases.fresh("booking_svc"), clock)


async def test_a_record_is_stored_whole(desk: Desk) -> None:
    """What came of an action is stored as saga, booking and timeline, and told."""
    await desk.begin()
    after = moved(step="confirm")
    assert await desk.record(after) == PAID
    assert await desk.stored() == Stored(after, PAID, [STEP], [])
    assert desk.changed == [PAID]


async def test_to_record_twice_is_to_record_once(desk: Desk) -> None:
    """A repeat of the very same record is recognised, and stores nothing twice."""
    await desk.begin()
    after = moved(state=State.SUCCEEDED, step="confirm")
    first = await desk.record(after, CONFIRMED)
    stored = await desk.stored()
    assert await desk.record(after, CONFIRMED) == first
    assert await desk.stored() == stored
    assert (len(stored.timeline), len(stored.events)) == (1, 1)


@pytest.mark.parametrize(
    ("present", "late"),
    [
        (SAGA, moved(attempt=2)),
        (replace(SAGA, attempt=2), moved()),
        (replace(SAGA, attempt=2, revision=1), moved()),
        (moved(2), moved(1)),
        (moved(1), moved(3)),
        (replace(SAGA, attempt=2, state=State.SUPERSEDED), moved()),
        (replace(SAGA, state=State.SUCCEEDED), moved()),
    ],
    ids=["ahead", "taken", "taken and moved", "older", "skips", "superseded", "ended"],
)
async def test_a_lost_lease_stores_nothing(desk: Desk, present: Saga, late: Saga) -> None:
    """Who does not hold the saga, at the point where it stands, stores and tells nothing."""
    await desk.begin(present)
    with pytest.raises(LeaseLost):
        await desk.record(late, CONFIRMED)
    assert await desk.stored() == Stored(present, a_booking(), [], [])
    assert desk.changed == []


@pytest.mark.parametrize(
    ("state", "booking"),
    [(State.SUCCEEDED, CONFIRMED), (State.UNDONE, FAILED), (State.SUCCEEDED, CANCELLED)],
    ids=["confirmed", "failed", "cancelled"],
)
async def test_the_end_is_an_event(desk: Desk, state: State, booking: Booking) -> None:
    """The end of a saga tells one event, of the booking as it then is."""
    cancels = booking is CANCELLED
    definition = CANCEL_BOOKING if cancels else CONFIRM_BOOKING
    before = machine.begin(definition, 5001, START, OURS)
    await desk.begin(before, PAID)
    await desk.record(replace(before, revision=1, tries=1), PAID)
    assert (await desk.stored()).events == []
    stored = await desk.record(replace(before, revision=2, state=state), booking)
    expected = (booking.status, booking.booking_reference, encode(booking))
    assert (await desk.stored(definition.name)).events == [expected]
    assert (await desk.stored()).booking == stored


async def test_a_parked_saga_is_no_event(desk: Desk) -> None:
    """What waits for an operator has not ended: nothing is told of it."""
    await desk.begin()
    await desk.record(moved(state=State.NEEDS_ATTENTION))
    assert (await desk.stored()).events == []


@pytest.mark.parametrize(
    ("booking", "answer"),
    [
        (PAID, None),
        (FAILED, None),
        (CONFIRMED, b"CONFIRMED SUCCESS"),
        (CANCELLED, b"CANCELLED SUCCESS"),
        (CONFIRMED.cancelling(), None),
        (replace(CANCELLED, answer=b"the first"), b"the first"),
    ],
    ids=["pending", "failed", "confirmed", "cancelled", "cancelling", "answered"],
)
async def test_an_answer_is_kept_for_ever(
    desk: Desk, booking: Booking, answer: bytes | None
) -> None:
    """A booking that is confirmed, or cancelled before that, keeps its answer; no other does."""
    await desk.begin()
    stored = await desk.record(moved(), booking)
    assert stored == replace(booking, answer=answer) == (await desk.stored()).booking
    assert desk.changed == [stored]


async def test_that_it_still_waits_is_news_once(desk: Desk) -> None:
    """Of waits in a row the timeline shows the first, and then what they came to."""
    await desk.begin()
    waits = [replace(STEP, verdict=Verdict.PENDING, detail=f"{number}") for number in range(3)]
    for number, wait in enumerate(waits, start=1):
        await desk.record(moved(number, waits=number), step=wait)
    await desk.record(moved(4))
    assert (await desk.stored()).timeline == [waits[0], STEP]


@pytest.mark.parametrize("landed", [True, False])
async def test_a_commit_without_an_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, landed: bool
) -> None:
    """When the database is lost at COMMIT, the same record again leaves everything once."""
    commit: Callable[..., Awaitable[None]] = Database._commit

    async def lost(database: Database, connection: AsyncConnection) -> None:
        await (commit(database, connection) if landed else connection.rollback())
        raise CommitUnknown

    await desk.begin()
    after = moved(state=State.SUCCEEDED, step="confirm")
    with monkeypatch.context() as broken:
        broken.setattr(Database, "_commit", lost)
        with pytest.raises(CommitUnknown):
            await desk.record(after, CONFIRMED)
    assert desk.changed == []
    assert len((await desk.stored()).events) == landed
    booking = await desk.record(after, CONFIRMED)
    expected = (booking.status, booking.booking_reference, encode(booking))
    assert await desk.stored() == Stored(after, booking, [STEP], [expected])
    assert desk.changed == [booking]


async def test_what_is_handed_back_is_due(desk: Desk, clock: ManualClock) -> None:
    """A saga that the runner hands back is nobody's from now on, if it was still ours."""
    await desk.begin(moved())
    await desk.journal.hand_back(moved(attempt=2))
    assert (await desk.stored()).saga == moved()
    clock.move(1)
    await desk.journal.hand_back(moved())
    lease = machine.Lease("", clock.now())
    assert (await desk.stored()).saga == moved(lease=lease)


@pytest.mark.parametrize(
    "error", [DependencyUnavailable("away"), CommitUnknown(), Overloaded("busy")], ids=repr
)
async def test_a_hand_back_that_fails(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: DomainError
) -> None:
    """A saga that cannot be handed back stays leased, and the runner goes on without an error."""

    async def away(*_: object) -> None:
        raise error

    await desk.begin(moved())
    with monkeypatch.context() as broken, capture_logs() as lines:
        broken.setattr(Database, "write", away)
        await desk.journal.hand_back(moved())
    assert [one["event"] for one in lines] == ["saga_not_handed_back"]
    assert (await desk.stored()).saga == moved()
