"""Sagas run beside the calls that began them: leased, waited for, and never lost by a stop."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from support.clock import START
from support.office import LEASE_S, Office
from support.sagas import CARD, a_booking

from booking_svc.domain.errors import BookingNotFound
from booking_svc.saga.definition import CONFIRM_BOOKING
from booking_svc.saga.machine import Lease
from booking_svc.saga.runner import LeaseLost
from booking_svc.usecases.sagas import RECOVERY_ROOM, RENEWALS
from chassis import context
from chassis.errors import DependencyUnavailable
from chassis.tasks import Tasks

WAIT_S = 20


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
    """A caller whose time is over gets what was stored last, from memory, and the saga goes on."""
    booking = office.start()
    context.deadline.set(asyncio.get_running_loop().time() - 1)
    assert await office.sagas.wait(booking) == booking
    await office.runner.store(booking.paid("pay_1"))
    assert await office.sagas.wait(booking) == booking.paid("pay_1")
    assert (office.runner.cut, office.shelf.reads) == ([], 0)
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
    assert (office.sagas.room, office.is_full()) == (RECOVERY_ROOM + 1, False)
    for number in range(2, RECOVERY_ROOM + 4):
        assert office.is_full() is (number > 2)
        office.start(number)
    assert (office.sagas.room, office.is_full()) == (0, True)
    with capture_logs():
        await office.runner.end(LeaseLost(), 0)
        for number in range(1, RECOVERY_ROOM + 3):
            await office.runner.end(booking, number)
        await office.tasks.drain(WAIT_S)
    assert (office.sagas.room, office.is_full()) == (RECOVERY_ROOM + 2, False)


async def test_what_is_prepared_has_a_place(office: Office) -> None:
    """A saga that is being prepared counts like one that runs, until that ends, however it ends."""
    with suppress(LookupError), office.sagas.place():
        with office.sagas.place():
            assert office.is_full()
        raise LookupError
    assert not office.is_full()
    office.start()
    with office.sagas.place():
        assert office.is_full()
    await office.runner.end(a_booking())
    await office.tasks.drain(WAIT_S)


async def test_what_begins_here_is_not_taken_for_lost(office: Office) -> None:
    """A saga that is being stored counts as one that runs here, for as long as its task goes on."""
    may_store = asyncio.Event()

    async def store() -> None:
        office.sagas.new(CONFIRM_BOOKING, 5001)
        await may_store.wait()

    storing = asyncio.create_task(office.sagas.begin(store()))
    for _ in range(3):
        await asyncio.sleep(0)
    assert (office.sagas.running, office.sagas.runs(5001)) == ([5001], False)
    may_store.set()
    await storing
    await asyncio.sleep(0)
    assert office.sagas.running == []


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


def test_two_renewals_may_fail() -> None:
    """After two renewals that failed, the third still comes before the lease is over."""
    assert 3 * LEASE_S / RENEWALS < LEASE_S


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
