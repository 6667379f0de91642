"""Recovery, round by round: so many at once, none in the way of another, and none too early."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.clock import START
from support.office import LEASE_S, Office
from support.sagas import a_booking

from booking_svc.saga import machine
from booking_svc.saga.definition import CONFIRM_BOOKING
from booking_svc.saga.machine import Lease, Saga
from booking_svc.usecases.recovery import AT_ONCE, BATCH, Recovery
from chassis.errors import CommitUnknown, DependencyUnavailable, Overloaded

WAIT_S = 20
OVER = Lease("them", START)


class Round:
    """The recovery of one process, whose sagas never end."""

    def __init__(self, waiting: int, running_max: int = 100) -> None:
        self.office = Office(running_max)
        self.shelf = self.office.shelf
        self.shelf.waiting = [
            machine.begin(CONFIRM_BOOKING, number, START, OVER) for number in range(waiting)
        ]
        for number in range(waiting):
            self.shelf.kept[number] = a_booking(booking_id=number)
        self.stopping = asyncio.Event()
        self.recovery = Recovery(self.shelf, self.office.sagas, self.office.clock, self.stopping)

    async def run(self) -> bool:
        async with asyncio.timeout(WAIT_S):
            with capture_logs() as self.lines:
                return await self.recovery.run_once()

    @property
    def running(self) -> list[int]:
        return sorted(self.office.sagas.running)


async def test_a_batch_is_taken_over() -> None:
    """What is due runs here, up to a batch at once, and what runs here is not looked for again."""
    some = Round(waiting=BATCH + 1)
    assert await some.run()
    assert some.running == list(range(BATCH))
    assert not await some.run()
    assert [sorted(one) for one in some.shelf.left_out] == [[], list(range(BATCH))]
    assert some.running == list(range(BATCH + 1))
    assert some.shelf.waiting == []


async def test_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several sagas are taken over at a time, and no more than that."""
    some, may_go = Round(waiting=3 * AT_ONCE), asyncio.Event()
    plain = some.shelf.take_over

    async def slow(saga: Saga, *lease: Any) -> Saga | None:
        taken = await plain(saga, *lease)
        await may_go.wait()
        return taken

    monkeypatch.setattr(some.shelf, "take_over", slow, raising=False)
    round_ = asyncio.create_task(some.run())
    for _ in range(10 * AT_ONCE):
        await asyncio.sleep(0)
    assert len(some.shelf.wanted) == AT_ONCE > 1
    may_go.set()
    await round_
    assert len(some.running) == 3 * AT_ONCE


async def test_one_that_fails_is_not_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A saga that cannot be taken over is logged and left, and the others are taken over."""
    some = Round(waiting=5)
    plain = some.shelf.take_over
    errors = {1: DependencyUnavailable("away"), 2: CommitUnknown(), 3: Overloaded("busy")}

    async def broken(saga: Saga, *lease: Any) -> Saga | None:
        if saga.booking_id in errors:
            raise errors[saga.booking_id]
        return await plain(saga, *lease)

    monkeypatch.setattr(some.shelf, "take_over", broken, raising=False)
    await some.run()
    assert some.running == [0, 4]
    assert [(one["event"], one["booking_id"]) for one in some.lines] == [
        ("saga_not_taken_over", number) for number in errors
    ]


async def test_who_was_faster_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A saga that another process took over meanwhile does not run here."""
    some = Round(waiting=1)

    async def taken(*_: Any) -> None:
        return None

    monkeypatch.setattr(some.shelf, "take_over", taken, raising=False)
    await some.run()
    assert some.running == []


async def test_a_stop_in_the_middle_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is to stop takes over no more than it had begun to, of a batch, too."""
    some = Round(waiting=3 * AT_ONCE)
    plain = some.shelf.take_over

    async def stops(saga: Saga, *lease: Any) -> Saga | None:
        some.stopping.set()
        return await plain(saga, *lease)

    monkeypatch.setattr(some.shelf, "take_over", stops, raising=False)
    await some.run()
    assert len(some.shelf.wanted) <= AT_ONCE


async def test_a_round_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full batch of which nothing could be taken over is looked at again after a pause only."""
    some = Round(waiting=BATCH)

    async def read_only(*_: object) -> None:
        message = "read-only"
        raise DependencyUnavailable(message)

    monkeypatch.setattr(some.shelf, "take_over", read_only, raising=False)
    assert not await some.run()
    some.stopping.set()
    assert not await some.run()


async def test_no_room_for_what_is_due() -> None:
    """A process takes over no more than it has room for, and does not even look without any."""
    some = Round(waiting=60, running_max=1)
    assert await some.run()
    assert await some.run()
    room = len(some.running)
    assert BATCH < room < 60
    assert not await some.run()
    assert (len(some.running), some.shelf.reads) == (room, 2)


@pytest.mark.parametrize("silent_s", [0, 100], ids=["refused", "silent for long"])
async def test_after_an_outage_leases_have_time(
    monkeypatch: pytest.MonkeyPatch, silent_s: float
) -> None:
    """After the database was away nobody is taken over for as long as a lease lasts."""
    some = Round(waiting=2)

    async def away(*_: object) -> None:
        some.office.clock.move(silent_s)
        message = "away"
        raise DependencyUnavailable(message)

    with monkeypatch.context() as broken:
        broken.setattr(some.shelf, "due", away, raising=False)
        with pytest.raises(DependencyUnavailable):
            await some.run()
    for _ in range(3):
        assert not await some.run()
        some.office.clock.move(LEASE_S / 3 - 0.001)
    assert some.running == []
    some.office.clock.move(0.003)
    await some.run()
    assert some.running == [0, 1]


async def test_what_was_renewed_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A saga whose owner renews its lease when the database is back stays its owner's."""
    some = Round(waiting=1)

    async def away(*_: object) -> None:
        message = "away"
        raise DependencyUnavailable(message)

    with monkeypatch.context() as broken:
        broken.setattr(some.shelf, "due", away, raising=False)
        with pytest.raises(DependencyUnavailable):
            await some.run()
    await some.run()
    renewed = Lease("them", _later(LEASE_S + 1))
    some.shelf.waiting = [replace(one, lease=renewed) for one in some.shelf.waiting]
    some.office.clock.move(LEASE_S)
    await some.run()
    assert some.running == []


def _later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)
