"""Events come in order and without a gap, in whatever order their transactions end."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from sqlalchemy import MetaData
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from support.clock import START
from support.databases import Databases, on_mariadb, url_of

from chassis.database import Database, DatabaseTransactions, is_duplicate
from chassis.errors import InvalidField
from chassis.events import BATCH, Event, EventFeed
from chassis.outbox import OutboxTable, outbox_counter_table, outbox_table

WAIT_S = 60.0
POLL_S = 0.02
METADATA = MetaData()
OUTBOX, COUNTER = outbox_table(METADATA), outbox_counter_table(METADATA)


class Repository:
    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.outbox = OutboxTable(connection, OUTBOX, COUNTER)


def event(event_id: int, subject: str = "") -> Event:
    return Event(event_id, "CHANGED", subject or f"s{event_id}", b"\x00\xff'", START)


class Log:
    """One replica's door to the events."""

    def __init__(self, database: Database, poll_s: float = POLL_S) -> None:
        self.database = database
        self.transactions = DatabaseTransactions(database, Repository)
        self.feed = EventFeed("things", self.transactions, poll_s)

    async def add(self, *events: Event) -> None:
        async def unit(repository: Repository) -> None:
            for one in events:
                await repository.outbox.add(one)

        await self.transactions.write(unit)

    async def numbered(self, after: int = 0, limit: int = 1000) -> list[int]:
        read = self.transactions.read(lambda one: one.outbox.after(after, limit))
        return [one.event_id for one in await read]

    async def take(self, count: int, after: int = 0) -> list[Event]:
        """The next events of a stream."""
        taken: list[Event] = []
        async with asyncio.timeout(WAIT_S), aclosing(self.feed.stream(after)) as stream:
            async for one in stream:
                taken.append(one)
                if len(taken) == count:
                    break
        return taken


@pytest.fixture
async def log(databases: Databases) -> Log:
    database = databases.open(await databases.empty())
    async with database.writer.connect() as connection:
        await connection.run_sync(METADATA.create_all)
        await connection.commit()
    return Log(database)


async def test_an_event_comes_back_as_it_was_stored(log: Log) -> None:
    """A reader gets an event as it was stored, with its number, which is the first."""
    await log.add(event(7))
    assert await log.numbered() == []
    assert not await log.feed.run_once()
    assert await log.take(1) == [replace(event(7), sequence=1)]


async def test_numbers_have_no_gap(log: Log) -> None:
    """Events get the numbers from one on, oldest first, a batch at a time, each only once."""
    await log.add(*(event(one) for one in range(BATCH + 5, 0, -1)))
    assert [await log.feed.run_once() for _ in range(3)] == [True, False, False]
    taken = await log.take(BATCH + 5)
    assert [one.sequence for one in taken] == [one.event_id for one in taken]
    assert await log.numbered(after=3, limit=2) == [4, 5]


async def test_what_is_rolled_back_never_happened(log: Log) -> None:
    """An event of a transaction that is rolled back is told to nobody."""

    async def unit(repository: Repository) -> None:
        await repository.outbox.add(event(1))
        raise LookupError

    with pytest.raises(LookupError):
        await log.transactions.write(unit)
    await log.add(event(2))
    await log.feed.run_once()
    assert [one.sequence for one in await log.take(1)] == [1]
    assert await log.numbered() == [2]


async def test_one_subject_keeps_its_order(log: Log) -> None:
    """A change that follows another is numbered after it, though its clock was behind."""
    await log.add(event(100, "s"))
    await log.add(event(50, "s"))
    await log.add(event(60, "s"), event(70, "other"))
    await log.feed.run_once()
    subjects = [one.subject for one in await log.take(4)]
    assert (await log.numbered(), subjects) == ([70, 100, 151, 212], ["other", "s", "s", "s"])


async def test_an_id_that_is_moved_up_onto_another(log: Log) -> None:
    """An id that meets another's when it is moved up is free at the next try, with a new chance."""
    await log.add(event(1000, "s"), event(1011, "other"))
    with pytest.raises(IntegrityError) as caught:
        async with log.database.writer.connect() as connection:
            await Repository(connection).outbox.add(event(10, "s"))
    assert is_duplicate(caught.value)
    await log.add(event(11, "s"))
    await log.feed.run_once()
    assert await log.numbered() == [1000, 1011, 1012]


@on_mariadb
async def test_a_late_commit_is_not_skipped(log: Log, databases: Databases) -> None:
    """A row that was inserted first and commits last reaches a reader that is past later rows."""
    other = Log(databases.open(url_of(log.database)))
    inserted, may_commit = asyncio.Event(), asyncio.Event()

    async def slow(repository: Repository) -> None:
        await repository.outbox.add(event(1))
        inserted.set()
        await may_commit.wait()

    late = asyncio.create_task(log.transactions.write(slow))
    await inserted.wait()
    await other.add(event(2), event(3))
    assert not await other.feed.run_once()
    first = await other.take(2)
    assert [one.event_id for one in first] == [2, 3]
    may_commit.set()
    await late
    assert not await log.feed.run_once()
    (last,) = await other.take(1, after=first[-1].sequence)
    assert (last.event_id, last.sequence) == (1, 3)


@on_mariadb
async def test_many_sequencers_and_a_reader(log: Log, databases: Databases) -> None:
    """With writers and sequencers on three replicas at once, a reader sees all, once, in order."""
    replicas = [log, *(Log(databases.open(url_of(log.database))) for _ in range(2))]
    per_writer, writers = 15, 4

    async def write(replica: int, writer: int) -> None:
        for one in range(per_writer):
            number = 1000 * (replica * writers + writer) + one + 1
            await replicas[replica].add(event(number))

    async def give_numbers(replica: Log) -> None:
        while True:
            await replica.feed.run_once()
            await asyncio.sleep(0)

    sequencers = [asyncio.create_task(give_numbers(one)) for one in replicas]
    total = per_writer * writers * len(replicas)
    reading = asyncio.create_task(log.take(total))
    await asyncio.gather(*(write(one, two) for one in range(3) for two in range(writers)))
    taken = await reading
    for one in sequencers:
        one.cancel()
    await asyncio.gather(*sequencers, return_exceptions=True)
    assert [one.sequence for one in taken] == list(range(1, total + 1))
    assert len({one.event_id for one in taken}) == total


async def test_a_bell_wakes_a_reader(log: Log) -> None:
    """A reader that waits is woken by the numbering in its own process, however rarely it polls."""
    patient = Log(log.database, poll_s=3600)
    reading = asyncio.create_task(patient.take(1))
    await asyncio.sleep(0.05)
    await log.add(event(1))
    await patient.feed.run_once()
    assert [one.event_id for one in await reading] == [1]


async def test_a_reader_looks_once_for_each_news(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader looks when it begins and when something was numbered, and at no other time."""
    patient, looks = Log(log.database, poll_s=3600), []
    after = OutboxTable.after

    async def noted(self: OutboxTable, sequence: int, limit: int) -> list[Event]:
        looks.append(sequence)
        return await after(self, sequence, limit)

    monkeypatch.setattr(OutboxTable, "after", noted)
    async with asyncio.timeout(WAIT_S), aclosing(patient.feed.stream(0)) as stream:
        for number in (1, 2, 3):
            coming = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.05)
            await patient.add(event(number))
            await patient.feed.run_once()
            assert (await coming).event_id == number
    assert looks == [0, 0, 1, 2]


async def test_a_reader_polls_for_what_other_replicas_stored(log: Log) -> None:
    """What another replica stored and numbered comes without any bell."""
    reading = asyncio.create_task(log.take(2))
    other = Log(log.database)
    for number in (1, 2):
        await other.add(event(number))
        await other.feed.run_once()
    assert [one.event_id for one in await reading] == [1, 2]


async def test_a_cursor_is_a_place_in_one_stream(log: Log) -> None:
    """A reader goes on after its cursor; one of another stream, or made up, is refused."""
    await log.add(event(1), event(2))
    await log.feed.run_once()
    first, second = await log.take(2)
    place = log.feed.position(log.feed.cursor(first))
    assert await log.take(1, after=place) == [second]
    assert log.feed.position("") == 0
    foreign = EventFeed("others", log.transactions).cursor(first)
    for cursor in (foreign, "made up", "x" + log.feed.cursor(first)):
        with pytest.raises(InvalidField) as caught:
            log.feed.position(cursor)
        assert [field for field, _ in caught.value.violations] == ["cursor"]
