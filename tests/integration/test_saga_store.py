"""`SqlSagas` keeps where sagas stand, and the fence around them: one owner writes, no other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from support.clock import START
from support.databases import Databases, on_mariadb, url_of
from support.sagas import a_booking

from booking_svc.persistence.repository import SqlBookings
from booking_svc.persistence.sagas import RENEW_MAX, SqlSagas
from booking_svc.saga.machine import Direction, Lease, Saga, State
from booking_svc.saga.runner import StepRecord, Verdict
from chassis.database import Database, DatabaseTransactions

Result = TypeVar("Result")
CONFIRM, CANCEL = "confirm_booking", "cancel_booking"
ENDS = [state for state in State if state is not State.RUNNING]
ROUNDS, RACERS = 15, 6
WAIT_S = 20


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def saga(booking_id: int = 5001, lease: Lease | None = None, **changes: object) -> Saga:
    new = Saga(booking_id, CONFIRM, "charge", START, lease or Lease("us", at(30)))
    return replace(new, **changes)


class Replica:
    """One replica's door to the stored sagas."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.transactions = DatabaseTransactions(database, SqlBookings)

    async def __call__(self, unit: Callable[[SqlSagas], Awaitable[Result]]) -> Result:
        return await self.transactions.write(lambda bookings: unit(bookings.sagas))

    async def add(self, *new: Saga) -> None:
        for one in new:
            await self(lambda sagas, one=one: sagas.add(one))

    async def save(self, moved: Saga) -> bool:
        return await self(lambda sagas: sagas.save(moved))

    async def found(self, booking_id: int = 5001, definition: str = CONFIRM) -> Saga | None:
        return await self(lambda sagas: sagas.find(booking_id, definition))

    async def due(self, seconds: float, limit: int = 10, running: Sequence[int] = ()) -> list[int]:
        found = await self(lambda sagas: sagas.due(at(seconds), limit, running))
        return [one.booking_id for one in found]

    async def take_over(self, taken: Saga, lease: Lease, seconds: float) -> Saga | None:
        return await self(lambda sagas: sagas.take_over(taken, lease, at(seconds)))


@pytest.fixture
async def store(databases: Databases) -> Replica:
    return Replica(await databases.fresh("booking_svc"))


async def test_a_saga_comes_back_as_it_was_stored(store: Replica) -> None:
    """All that is known of a saga is stored and read back, and nothing of another one changes."""
    other, same_booking = saga(5002), saga(definition=CANCEL, step="release")
    await store.add(saga(), other, same_booking)
    moved = saga(
        lease=Lease("", START + timedelta(microseconds=1)),
        step="hold",
        began_at=START + timedelta(microseconds=2),
        direction=Direction.BACKWARD,
        state=State.NEEDS_ATTENTION,
        tries=3,
        refusals=2,
        waits=4,
        last_error="✗" * 200,
        revision=1,
    )
    assert await store.save(moved)
    assert await store.found() == moved
    assert await store.found(5002) == other
    assert await store.found(definition=CANCEL) == same_booking
    assert await store.found(5003) is None


async def test_a_repeated_write_is_refused(store: Replica) -> None:
    """The same write twice, one that comes late, and one that skips another are not stored."""
    await store.add(saga())
    first, second = saga(revision=1, tries=1), saga(revision=2, tries=2)
    assert await store.save(first)
    assert not await store.save(first)
    assert not await store.save(saga(revision=3, tries=3))
    assert await store.save(second)
    assert not await store.save(first)
    assert await store.found() == second


@pytest.mark.parametrize("attempt", [1, 3])
async def test_another_attempt_writes_nothing(store: Replica, attempt: int) -> None:
    """A write with an attempt that is over, or was never given, changes nothing."""
    await store.add(saga(attempt=2))
    assert not await store.save(saga(attempt=attempt, revision=1))
    assert await store.found() == saga(attempt=2)


@pytest.mark.parametrize("state", ENDS)
async def test_what_does_not_run_is_not_written(store: Replica, state: State) -> None:
    """A saga that has ended, is parked or superseded is not moved by whoever ran it."""
    await store.add(saga(state=state))
    assert not await store.save(saga(revision=1))
    assert await store.found() == saga(state=state)


async def test_what_is_due(store: Replica) -> None:
    """Due is what runs and whose lease is over, whoever had it, longest waiting first."""
    await store.add(
        saga(1, Lease("us", at(30))),
        saga(2, Lease("", at(10))),
        saga(3, Lease("them", at(20))),
        *(saga(4 + number, Lease("", at(0)), state=state) for number, state in enumerate(ENDS)),
    )
    assert await store.due(9.999) == []
    assert await store.due(10) == [2]
    assert await store.due(30) == [2, 3, 1]
    assert await store.due(30, limit=2) == [2, 3]


async def test_what_runs_here_is_not_due(store: Replica) -> None:
    """Whose lease was not renewed in time but runs here is left out, and takes nobody's place."""
    await store.add(*(saga(number, Lease("us", at(number))) for number in range(1, 5)))
    assert await store.due(30, limit=2, running=[1, 3, 9]) == [2, 4]
    assert await store.due(30, running=range(1, 5)) == []


async def test_a_saga_is_taken_over(store: Replica) -> None:
    """Who takes over a saga gets it as it is stored now, under a new attempt and lease."""
    await store.add(saga())
    seen = await store.found()
    assert await store.save(saga(revision=1, tries=1))
    lease = Lease("them", at(60))
    taken = await store.take_over(seen, lease, 30)
    assert taken == saga(lease=lease, revision=1, tries=1, attempt=2) == await store.found()
    # The owner before writes nothing more, and the new one goes on.
    assert not await store.save(saga(revision=2))
    assert await store.save(replace(taken, revision=2))


async def test_a_lease_that_is_not_over_is_not_taken(store: Replica) -> None:
    """A saga is its owner's to the end of its lease, and also when the lease moved meanwhile."""
    await store.add(saga())
    lease = Lease("them", at(60))
    assert await store.take_over(saga(), lease, 29.999) is None
    await store(lambda sagas: sagas.renew([5001], Lease("us", at(40))))
    assert await store.take_over(saga(), lease, 39.999) is None
    assert await store.take_over(saga(attempt=2), lease, 40) is None
    assert (await store.found()).lease == Lease("us", at(40))


@pytest.mark.parametrize("state", ENDS)
async def test_what_does_not_run_is_not_taken(store: Replica, state: State) -> None:
    """Nobody takes over a saga that has ended or is parked meanwhile."""
    await store.add(saga(state=state))
    assert await store.take_over(saga(), Lease("them", at(60)), 30) is None
    assert (await store.found()).attempt == 1


async def test_one_replica_takes_over(store: Replica, databases: Databases) -> None:
    """Of replicas that take over a saga at once exactly one gets it."""
    other = Replica(databases.open(url_of(store.database)))
    for number in range(1, ROUNDS + 1):
        await store.add(saga(number))
        taken = await asyncio.gather(
            *(
                (store, other)[racer % 2].take_over(
                    saga(number), Lease(f"r{racer}", at(60)), seconds=30
                )
                for racer in range(RACERS)
            )
        )
        (winner,) = [one for one in taken if one]
        assert await store.found(number) == winner
        assert winner.attempt == 2


async def test_to_take_over_races_with_the_owner(store: Replica, databases: Databases) -> None:
    """When its owner writes as another takes it over, one of them has the saga, and knows it."""
    other = Replica(databases.open(url_of(store.database)))
    for number in range(1, ROUNDS + 1):
        await store.add(saga(number))
        moved = saga(number, Lease("us", at(90)), revision=1, tries=1)
        racers = [store.save(moved), other.take_over(saga(number), Lease("them", at(60)), 30)]
        if number % 2:
            racers.reverse()
        results = await asyncio.gather(*racers)
        saved = any(one is True for one in results)
        taken = [one for one in results if isinstance(one, Saga)]
        assert saved is not bool(taken)
        assert await store.found(number) == (moved if saved else taken[0])


async def test_leases_are_renewed(store: Replica) -> None:
    """An owner moves the leases of its own running sagas that it names, however many, alone."""
    mine = [saga(number) for number in range(1, RENEW_MAX + 3)]
    others = [
        saga(9001, Lease("them", at(30))),
        saga(9002, Lease("", at(30))),
        saga(9003, state=State.NEEDS_ATTENTION),
        saga(9004),
    ]

    async def unit(sagas: SqlSagas) -> None:
        for one in [*mine, *others]:
            await sagas.add(one)

    await store(unit)
    named = [one.booking_id for one in [*mine, *others[:3]]]
    await store(lambda sagas: sagas.renew(named, Lease("us", at(70))))
    for one in (mine[0], mine[RENEW_MAX], mine[-1]):
        assert await store.found(one.booking_id) == replace(one, lease=Lease("us", at(70)))
    for one in others:
        assert await store.found(one.booking_id) == one
    # A renewal is no step: the owner's next write follows its last one.
    assert await store.save(replace(mine[0], revision=1))


@asynccontextmanager
async def frozen(replica: Replica, written: Saga) -> AsyncIterator[None]:
    """A process that stands still in the middle of a transaction that writes where a saga is."""
    async with replica.database.writer.connect() as connection:
        assert await SqlSagas(connection).save(written)
        try:
            yield
        finally:
            await connection.rollback()


async def crowd(store: Replica) -> None:
    """Three sagas that run, of two owners, among so many that have ended."""
    await store.add(saga(2), saga(3, Lease("them", at(30))), saga(5001))
    ended = [saga(number, state=State.SUCCEEDED) for number in range(10, 400)]

    async def unit(sagas: SqlSagas) -> None:
        for one in ended:
            await sagas.add(one)

    await store(unit)


@on_mariadb
@pytest.mark.parametrize("owner", ["us", "them"])
async def test_a_frozen_writer_delays_no_renewal(
    store: Replica, databases: Databases, owner: str
) -> None:
    """While a saga is locked by a transaction that goes on nowhere, other leases are renewed."""
    await crowd(store)
    locked = saga(2, revision=1) if owner == "us" else saga(3, Lease("them", at(30)), revision=1)
    renewed = Lease("us", at(70))
    async with frozen(Replica(databases.open(url_of(store.database))), locked):
        async with asyncio.timeout(WAIT_S):
            await store(lambda sagas: sagas.renew([2, 3, 5001], renewed))
        assert (await store.found(5001)).lease == renewed
    assert (await store.found(2)).lease == (Lease("us", at(30)) if owner == "us" else renewed)
    assert (await store.found(3)).lease == Lease("them", at(30))


@on_mariadb
async def test_a_frozen_writer_delays_no_recovery(store: Replica, databases: Databases) -> None:
    """A saga that is locked by a transaction that goes on nowhere is passed over, and is alone."""
    await crowd(store)
    frozen_here = Replica(databases.open(url_of(store.database)))
    lease = Lease("others", at(90))
    async with frozen(frozen_here, saga(2, revision=1)), asyncio.timeout(WAIT_S):
        assert sorted(await store.due(30)) == [2, 3, 5001]
        assert await store.take_over(saga(2), lease, 30) is None
        assert await store.take_over(saga(5001), lease, 30) == saga(lease=lease, attempt=2)
    assert await store.take_over(saga(2), lease, 30) == saga(2, lease=lease, attempt=2)


@on_mariadb
async def test_a_frozen_writer_delays_no_stop(store: Replica, databases: Databases) -> None:
    """While a saga is locked by a transaction that goes on nowhere, a stop releases the others."""
    await crowd(store)
    frozen_here = Replica(databases.open(url_of(store.database)))
    async with frozen(frozen_here, saga(2, revision=1)), asyncio.timeout(WAIT_S):
        await store(lambda sagas: sagas.release("us", at(5)))
        assert (await store.found(5001)).lease == Lease("", at(5))


async def test_a_saga_is_handed_back(store: Replica) -> None:
    """A saga that its owner lets go of is nobody's and due at once; no old owner lets go of it."""
    await store.add(saga(attempt=2), saga(5002, state=State.SUCCEEDED))
    await store(lambda sagas: sagas.hand_back(saga(), at(1)))
    assert await store.found() == saga(attempt=2)
    await store(lambda sagas: sagas.hand_back(saga(attempt=2), at(1)))
    assert await store.found() == saga(lease=Lease("", at(1)), attempt=2)
    assert await store.due(1) == [5001]
    await store(lambda sagas: sagas.hand_back(saga(5002), at(1)))
    assert (await store.found(5002)).lease.owner == "us"


async def test_a_process_that_stops_releases_its_sagas(store: Replica) -> None:
    """All running sagas of an owner are nobody's at once, and those of others stay theirs."""
    theirs, ended = saga(3, Lease("them", at(30))), saga(4, state=State.UNDONE)
    await store.add(saga(1), saga(2), theirs, ended)
    await store(lambda sagas: sagas.release("us", at(5)))
    assert await store.due(5) == [1, 2]
    assert await store.found(3) == theirs
    assert await store.found(4) == ended


@pytest.mark.parametrize("state", State)
async def test_a_saga_is_superseded(store: Replica, state: State) -> None:
    """Only a saga that runs is superseded, and is nobody's; who ran it writes nothing more."""
    await store.add(saga(state=state), saga(definition=CANCEL), saga(5002))
    await store(lambda sagas: sagas.supersede(5001, CONFIRM))
    if state is State.RUNNING:
        nobody = replace(saga().lease, owner="")
        assert await store.found() == saga(state=State.SUPERSEDED, attempt=2, lease=nobody)
    else:
        assert await store.found() == saga(state=state)
    assert not await store.save(saga(revision=1))
    assert not await store.save(saga(revision=1, attempt=2))
    assert await store.take_over(saga(attempt=2), Lease("them", at(60)), 30) is None
    assert await store.found(definition=CANCEL) == saga(definition=CANCEL)
    assert await store.found(5002) == saga(5002)


@pytest.mark.parametrize("state", State)
async def test_a_parked_saga_is_reopened(store: Replica, state: State) -> None:
    """Only a parked saga is reopened, once, and under the attempt that follows its own."""
    await store.add(saga(state=state, attempt=3, revision=7, tries=60))
    open_again = saga(lease=Lease("them", at(90)), attempt=4, revision=7)
    for attempt in (3, 5):
        wrong = replace(open_again, attempt=attempt)
        assert not await store(lambda sagas, wrong=wrong: sagas.reopen(wrong))
    parked = state is State.NEEDS_ATTENTION
    assert await store(lambda sagas: sagas.reopen(open_again)) is parked
    assert not await store(lambda sagas: sagas.reopen(open_again))
    assert (await store.found() == open_again) is parked


async def test_two_operators_at_once(store: Replica, databases: Databases) -> None:
    """Of operators who reopen a saga at once exactly one does."""
    other = Replica(databases.open(url_of(store.database)))
    for number in range(1, ROUNDS + 1):
        await store.add(saga(number, state=State.NEEDS_ATTENTION))
        going_on = saga(number, attempt=2)
        reopen = [one(lambda sagas, saga=going_on: sagas.reopen(saga)) for one in (store, other)]
        assert sorted(await asyncio.gather(*reopen)) == [False, True]


async def test_what_rests(store: Replica) -> None:
    """The resting sagas of a booking are those that run and that nobody has."""
    bookings = [a_booking(booking_id=one, booking_reference=f"BK-{one}") for one in (1, 2, 3)]
    for booking in bookings:
        await store.transactions.write(lambda one, booking=booking: one.add_booking(booking))
    nobody = Lease("", at(30))
    rests, cancels = saga(1, nobody), saga(1, nobody, definition=CANCEL)
    parked = saga(3, nobody, state=State.NEEDS_ATTENTION)
    await store.add(rests, cancels, saga(2), parked)
    found = {
        one: await store(lambda sagas, one=one: sagas.resting(f"BK-{one}")) for one in (1, 2, 3, 4)
    }
    assert sorted(found.pop(1), key=lambda one: one.definition) == [cancels, rests]
    assert found == {2: [], 3: [], 4: []}


async def test_sagas_are_listed(store: Replica) -> None:
    """Sagas are listed newest first, page by page, of one state or one booking if asked."""
    for one in range(1, 5):
        booking = a_booking(booking_id=one, booking_reference=f"BK-{one}")
        await store.transactions.write(lambda all_, booking=booking: all_.add_booking(booking))
    made = [saga(number) for number in (4, 3, 1)]
    made.insert(2, saga(2, state=State.SUPERSEDED))
    made.insert(3, saga(2, definition=CANCEL))
    await store.add(*made)

    async def listed(
        last: tuple[int, str] | None = None,
        state: State | None = None,
        reference: str = "",
        limit: int = 10,
    ) -> list[Saga]:
        found = await store(lambda sagas: sagas.before(last, state, reference, limit))
        assert [reference for _, reference in found] == [f"BK-{one.booking_id}" for one, _ in found]
        return [one for one, _ in found]

    assert await listed() == made
    assert await listed(limit=3) == made[:3]
    assert await listed((2, CONFIRM)) == made[3:]
    assert await listed((2, CANCEL)) == made[4:]
    assert await listed((1, CONFIRM)) == []
    assert await listed(state=State.SUPERSEDED) == [made[2]]
    assert await listed(reference="BK-2") == made[2:4]
    assert await listed((2, CONFIRM), State.RUNNING, "BK-2") == [made[3]]


async def test_a_timeline(store: Replica) -> None:
    """The timeline of a saga is its own, oldest first, and its last entries if there are many."""
    steps = [
        StepRecord("charge", "take_payment", 1, verdict, f"{verdict} ✗", at(number), number / 1000)
        for number, verdict in enumerate(Verdict)
    ]

    async def unit(sagas: SqlSagas) -> None:
        for number, step in reversed(list(enumerate(steps))):
            await sagas.add_step(100 + number, saga(), step)
        await sagas.add_step(1, saga(definition=CANCEL), steps[0])
        await sagas.add_step(2, saga(5002), steps[0])

    async def timeline(limit: int) -> list[StepRecord]:
        return await store(lambda sagas: sagas.steps(5001, CONFIRM, limit))

    await store(unit)
    assert await timeline(100) == steps
    assert await timeline(2) == steps[-2:]
