"""Sagas run beside the calls that began them: leased, waited for, and never lost by a stop."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.clock import START, ManualClock
from support.sagas import CARD, a_booking

from booking_svc.domain.booking import Booking
from booking_svc.domain.errors import BookingNotFound
from booking_svc.saga.definition import CONFIRM_BOOKING
from booking_svc.saga.machine import Lease, Saga
from booking_svc.saga.runner import LeaseLost
from booking_svc.usecases.sagas import RECOVERY_ROOM, Sagas
from chassis import context
from chassis.cards import Card
from chassis.errors import DependencyUnavailable
from chassis.tasks import Tasks

LEASE_S = 30.0
WAIT_S = 20


@dataclass
class Shelf:
    """`Transactions`, repository and saga store in one: some bookings, and notes of leases."""

    kept: dict[int, Booking] = field(default_factory=dict)
    renewed: list[tuple[list[int], Lease]] = field(default_factory=list)
    released: list[tuple[str, object]] = field(default_factory=list)

    @property
    def sagas(self) -> "Shelf":
        return self

    async def read(self, unit: Callable[[Any], Awaitable[Any]]) -> Any:
        return await unit(self)

    write = read

    async def booking(self, booking_id: int) -> Booking | None:
        return self.kept.get(booking_id)

    async def renew(self, booking_ids: list[int], lease: Lease) -> None:
        self.renewed.append((booking_ids, lease))

    async def release(self, owner: str, now: object) -> None:
        self.released.append((owner, now))


class HeldRunner:
    """A runner whose sagas end when the test says so: with a booking, or an error."""

    def __init__(self) -> None:
        self.cards: list[Card | None] = []
        self.cut: list[int] = []
        self._ends: list[asyncio.Future[Booking]] = []

    async def run(self, saga: Saga, _booking: Booking, card: Card | None) -> Booking:
        self.cards.append(card)
        self._ends.append(asyncio.get_running_loop().create_future())
        try:
            return await self._ends[-1]
        except asyncio.CancelledError:
            self.cut.append(saga.attempt)
            raise

    async def end(self, outcome: Booking | Exception, which: int = -1) -> None:
        await asyncio.sleep(0)
        end = self._ends[which]
        if isinstance(outcome, Exception):
            end.set_exception(outcome)
        else:
            end.set_result(outcome)


class Office:
    """The sagas of one process over fakes."""

    def __init__(self) -> None:
        self.clock, self.shelf, self.runner = ManualClock(), Shelf(), HeldRunner()
        self.tasks = Tasks()
        self.sagas = Sagas(
            self.shelf,
            self.runner,
            self.tasks,
            self.clock,
            owner="us",
            lease_s=LEASE_S,
            running_max=2,
        )

    def start(self, booking_id: int = 5001, card: Card | None = None) -> Booking:
        booking = self.shelf.kept[booking_id] = a_booking(booking_id=booking_id)
        self.sagas.start(self.sagas.new(CONFIRM_BOOKING, booking_id), booking, card)
        return booking


@pytest.fixture
async def office() -> Office:
    return Office()


async def test_a_stop_waits_for_what_running_work_starts() -> None:
    """Work that is started by work that was running when the stop began is waited for, too."""
    tasks, ended = Tasks(), []

    async def saga() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        ended.append("saga")

    async def begin() -> None:
        await asyncio.sleep(0)
        tasks.spawn(saga(), "saga")

    tasks.spawn(begin(), "begin")
    await tasks.drain(5)
    assert ended == ["saga"]


async def test_a_new_saga_is_leased_to_its_process(office: Office) -> None:
    """A saga that begins here is ours for the length of a lease from now on."""
    office.clock.move(1)
    saga = office.sagas.new(CONFIRM_BOOKING, 5001)
    assert saga.began_at == START + timedelta(seconds=1)
    assert saga.lease == Lease("us", START + timedelta(seconds=1 + LEASE_S))


async def test_who_waits_gets_the_booking_as_it_ended(office: Office) -> None:
    """A caller with time waits for the end of the saga, which has the caller's card."""
    booking = office.start(card=CARD)
    waiting = asyncio.create_task(office.sagas.wait(booking))
    await office.runner.end(booking.paid("pay_1"))
    assert await waiting == booking.paid("pay_1")
    assert office.runner.cards == [CARD]


async def test_who_has_no_time_gets_the_booking_as_it_is(office: Office) -> None:
    """A caller whose time is over gets what is stored, and the saga goes on."""
    booking = office.start()
    context.deadline.set(asyncio.get_running_loop().time() - 1)
    assert await office.sagas.wait(booking) == booking
    assert office.runner.cut == []
    await office.runner.end(booking)
    await office.tasks.drain(WAIT_S)


async def test_a_saga_that_runs_elsewhere_is_not_waited_for(office: Office) -> None:
    """A booking whose saga is not here is answered as it is stored, and refused if it is not."""
    stored = office.shelf.kept[5001] = a_booking().paid("pay_1")
    assert await office.sagas.wait(a_booking()) == stored
    with pytest.raises(BookingNotFound):
        await office.sagas.wait(a_booking(booking_id=1))


async def test_a_lost_saga_is_answered_from_the_database(office: Office) -> None:
    """When another process has taken the saga, a caller gets what that process stored."""
    booking = office.start()
    waiting = asyncio.create_task(office.sagas.wait(booking))
    stored = office.shelf.kept[5001] = booking.paid("pay_9")
    with capture_logs() as lines:
        await office.runner.end(LeaseLost())
        assert await waiting == stored
    assert [line["event"] for line in lines] == ["saga_lost"]


async def test_a_process_has_room_for_so_many(office: Office) -> None:
    """Each saga that runs takes a place, and gives it back when it ends, however it ends.

    When no more may begin, some can still be taken over, but not without end.
    """
    booking = office.start(1)
    assert (office.sagas.room, office.sagas.is_full) == (RECOVERY_ROOM + 1, False)
    for number in range(2, RECOVERY_ROOM + 4):
        assert office.sagas.is_full is (number > 2)
        office.start(number)
    assert (office.sagas.room, office.sagas.is_full) == (0, True)
    with capture_logs():
        await office.runner.end(LeaseLost(), 0)
        for number in range(1, RECOVERY_ROOM + 3):
            await office.runner.end(booking, number)
        await office.tasks.drain(WAIT_S)
    assert (office.sagas.room, office.sagas.is_full) == (RECOVERY_ROOM + 2, False)


async def test_the_next_saga_of_a_booking_takes_the_place(office: Office) -> None:
    """A saga whose booking has another one here is cut, and its end forgets not the other."""
    booking = office.start()
    await asyncio.sleep(0)
    office.start()
    waiting = asyncio.create_task(office.sagas.wait(booking))
    for _ in range(3):
        await asyncio.sleep(0)
    assert office.runner.cut == [1]
    assert office.sagas.runs(5001)
    await office.runner.end(booking.paid("pay_1"))
    assert await waiting == booking.paid("pay_1")
    assert not office.sagas.runs(5001)


async def test_leases_of_what_runs_are_renewed(office: Office) -> None:
    """What runs here, and no more than that, is renewed from now on; nothing if nothing does."""
    assert not await office.sagas.renew()
    assert office.shelf.renewed == []
    booking = office.start(1)
    office.start(2)
    await office.runner.end(booking, 0)
    for _ in range(3):
        await asyncio.sleep(0)
    office.clock.move(20)
    assert not await office.sagas.renew()
    assert office.shelf.renewed == [([2], Lease("us", START + timedelta(seconds=20 + LEASE_S)))]
    await office.runner.end(booking)
    await office.tasks.drain(WAIT_S)


async def test_a_stop_lets_go_of_everything(office: Office) -> None:
    """What was cut short by a stop is handed back in the name of the process."""
    office.clock.move(3)
    await office.sagas.hand_back()
    assert office.shelf.released == [("us", START + timedelta(seconds=3))]


async def test_a_stop_while_the_database_is_away(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop that cannot hand back goes on: the leases end by themselves."""

    async def away(_unit: object) -> None:
        message = "away"
        raise DependencyUnavailable(message)

    monkeypatch.setattr(office.shelf, "write", away, raising=False)
    with capture_logs() as lines:
        await office.sagas.hand_back()
    assert [line["event"] for line in lines] == ["sagas_not_handed_back"]


async def test_what_begins_a_saga_is_not_cut_by_its_caller(office: Office) -> None:
    """A caller that leaves while its saga is being stored does not keep it from being started."""
    may_store, begun = asyncio.Event(), []

    async def store() -> None:
        await may_store.wait()
        begun.append("saga")

    caller = asyncio.create_task(office.sagas.begin(store()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    may_store.set()
    await office.tasks.drain(WAIT_S)
    assert begun == ["saga"]
