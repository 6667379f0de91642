"""How the runner keeps a saga: each step stored, its lease, its naps, and a process that stops."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from support.clock import START
from support.sagas import OURS, Dialogue, NotingClock, a_booking

from booking_svc.domain.booking import Booking, BookingStatus, PaymentStatus
from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.saga.definition import CANCEL_BOOKING, CONFIRM_BOOKING
from booking_svc.saga.machine import PATIENCE, Lease, Outcome, Patience, State
from booking_svc.saga.pace import NAP_MAX_S, NAPS_MAX
from booking_svc.saga.runner import LeaseLost, StepRecord, Verdict
from chassis.errors import DependencyUnavailable, Overloaded

CONFIRMED, CANCELLING = BookingStatus.CONFIRMED, BookingStatus.CANCELLING
DONE, PAID, UNKNOWN = Done(None), Done("pay_1"), Unknown("timeout")
DECLINED = Refused("PAYMENT_FAILED", "no " * 100)
WAIT_S = 20
CANCELLED_LATER = a_booking().paid("pay_1").confirmed(START).cancelling()


def confirming(**options: object) -> Dialogue:
    return Dialogue(CONFIRM_BOOKING, a_booking(), **options)


def cancelling() -> Dialogue:
    return Dialogue(CANCEL_BOOKING, CANCELLED_LATER, card=None)


class Asleep(NotingClock):
    """Whoever sleeps on it does not wake up."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, delay_s: float) -> None:
        self.naps_s.append(delay_s)
        self.asleep.set()
        await asyncio.Event().wait()


async def test_each_step_is_stored_before_the_next_call() -> None:
    """After each outcome saga and booking are recorded together, each time as a new revision."""
    saga = confirming()
    saga.expect("take_payment").reply(UNKNOWN).expect("take_payment").reply(PAID)
    await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)
    kept = [one.saga for one in saga.journal.kept]
    assert [(one.step, one.state, one.tries) for one in kept] == [
        ("charge", State.RUNNING, 1),
        ("confirm", State.RUNNING, 0),
        ("confirm", State.SUCCEEDED, 0),
    ]
    assert [(one.attempt, one.revision) for one in kept] == [(1, 1), (1, 2), (1, 3)]
    paid = [one.booking.payment_status for one in saga.journal.kept]
    assert paid == [PaymentStatus.PENDING, PaymentStatus.SUCCESS, PaymentStatus.SUCCESS]


async def test_the_timeline_says_what_was_done() -> None:
    """Each record names step, action, verdict, cause and times of what was just done."""

    class Slow(Dialogue):
        async def charge(self, order: object) -> object:
            self.clock.move(1.5)
            return await super().charge(order)

    saga = Slow(CONFIRM_BOOKING, a_booking()).expect("take_payment").reply(UNKNOWN)
    saga.expect("take_payment").reply(DECLINED).expect("release_seats").reply(DONE)
    await saga.ends(BookingStatus.FAILED)
    steps = [one.step for one in saga.journal.kept]
    assert steps[0] == StepRecord(
        "charge", "take_payment", 1, Verdict.UNKNOWN, "timeout", START, took_s=1.5
    )
    assert [(one.step, one.action, one.verdict) for one in steps[1:]] == [
        ("charge", "take_payment", Verdict.REFUSED),
        ("hold", "release_seats", Verdict.DONE),
    ]
    assert steps[1].detail.startswith("PAYMENT_FAILED: no ")
    assert len(steps[1].detail) == 200
    assert steps[1].began_at == START + timedelta(seconds=1.5 + saga.clock.naps_s[0])


async def test_a_saga_that_goes_on_keeps_its_lease() -> None:
    """While it runs, each record leases the saga to its owner, from the end of its action on."""
    saga = confirming().expect("take_payment").reply(UNKNOWN).expect("take_payment").reply(PAID)
    await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)
    slept = timedelta(seconds=saga.clock.naps_s[0])
    leases = [one.saga.lease for one in saga.journal.kept]
    assert leases[:-1] == [OURS, replace(OURS, until=OURS.until + slept)]


async def test_what_does_not_run_is_nobodys() -> None:
    """A saga that has ended, either way, or that is parked is stored as nobody's, from now on."""
    done = confirming().expect("take_payment").reply(PAID).expect("confirm_seats").reply(DONE)
    await done.ends(CONFIRMED)
    undone = confirming().expect("take_payment").reply(DECLINED).expect("release_seats").reply(DONE)
    await undone.ends(BookingStatus.FAILED)
    parked = Dialogue(CANCEL_BOOKING, CANCELLED_LATER, card=None, patience=Patience(tries=1))
    await parked.expect("release_seats").reply(UNKNOWN).ends(CANCELLING)
    assert [one.ended.state for one in (done, undone, parked)] == [
        State.SUCCEEDED,
        State.UNDONE,
        State.NEEDS_ATTENTION,
    ]
    assert {one.ended.lease for one in (done, undone, parked)} == {Lease("", START)}


async def test_what_was_stored_is_told() -> None:
    """Whoever runs a saga hears of its booking each time that it was stored, and not before."""
    saga, heard = confirming(), []
    saga.journal.failures = [DependencyUnavailable("away")]
    saga.expect("take_payment").reply(UNKNOWN).expect("take_payment").reply(PAID)
    saga.expect("confirm_seats").reply(DONE)

    def stored(booking: Booking) -> None:
        assert booking == saga.journal.kept[-1].booking
        heard.append((booking.status, booking.payment_status))

    await saga.runs(stored)
    assert heard == [
        (BookingStatus.PENDING, PaymentStatus.PENDING),
        (BookingStatus.PENDING, PaymentStatus.SUCCESS),
        (CONFIRMED, PaymentStatus.SUCCESS),
    ]
    assert len(saga.journal.kept) == 3


async def test_a_saga_in_trouble_leaves_its_process() -> None:
    """A saga that came to nothing after its naps is nobody's, and due when its rest is over."""
    saga = cancelling().expect("release_seats").reply(UNKNOWN, times=NAPS_MAX + 1)
    await saga.ends(CANCELLING)
    assert (saga.ended.state, saga.ended.tries) == (State.RUNNING, NAPS_MAX + 1)
    assert saga.ended.lease.owner == ""
    assert saga.ended.lease.until > saga.clock.now()
    assert len(saga.clock.naps_s) == NAPS_MAX


@pytest.mark.parametrize(
    ("charged", "next_call"), [(PAID, "confirm_seats"), (DECLINED, "release_seats")]
)
async def test_a_card_is_kept_for_the_charge_alone(charged: Outcome, next_call: str) -> None:
    """Once the payment is decided, a saga that had its card leaves its process like any other."""
    saga = confirming().expect("take_payment").reply(charged)
    await saga.expect(next_call).reply(UNKNOWN, times=NAPS_MAX + 1).ends(BookingStatus.PENDING)
    assert (saga.ended.tries, saga.ended.lease.owner) == (NAPS_MAX + 1, "")


async def test_a_saga_naps_as_long_as_it_says() -> None:
    """Between tries the saga sleeps, each time differently and never too long."""
    naps = []
    for seed in range(2):
        saga = confirming(chance=Random(seed))
        saga.expect("take_payment").reply(UNKNOWN, times=20).expect("take_payment").reply(PAID)
        await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)
        naps.append(saga.clock.naps_s)
    assert [len(one) for one in naps] == [20, 20]
    assert not set(naps[0]) & set(naps[1])
    assert max(naps[0]) <= NAP_MAX_S
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_journal_that_is_away() -> None:
    """What cannot be stored is stored again, without asking anyone again."""
    saga = confirming()
    saga.journal.failures = [DependencyUnavailable("away"), Overloaded("busy")] * 10
    saga.expect("take_payment").reply(PAID).expect("confirm_seats").reply(DONE)
    await saga.ends(CONFIRMED)
    assert [one.saga.revision for one in saga.journal.kept] == [1, 2]
    assert len(saga.clock.naps_s) == 20
    assert max(saga.clock.naps_s) <= NAP_MAX_S


async def test_a_journal_that_breaks() -> None:
    """Whatever error it is that keeps an outcome from being stored, it is stored again."""
    saga = confirming()
    saga.journal.failures = [RuntimeError("a bug"), OSError("no space"), ValueError("odd")] * 3
    saga.expect("take_payment").reply(PAID).expect("confirm_seats").reply(DONE)
    await saga.ends(CONFIRMED)
    assert len(saga.journal.kept) == 2
    assert len(saga.clock.naps_s) == 9


async def test_a_lost_lease() -> None:
    """A saga that belongs to another process now stores nothing and calls nobody any more."""
    saga = confirming()
    # After an error that is tried again, too; and the one left over is never reached.
    saga.journal.failures = [RuntimeError("a bug"), LeaseLost(), LeaseLost()]
    saga.expect("take_payment").reply(PAID)
    with pytest.raises(LeaseLost):
        await saga.runs()
    assert saga.journal.kept == saga.journal.handed_back == []
    assert len(saga.journal.failures) == 1


async def test_a_cut_in_the_middle_of_a_call() -> None:
    """A stop of the process is no outcome: it is not recorded as one."""

    class Cut(Dialogue):
        async def charge(self, _order: object) -> Done[str]:
            raise asyncio.CancelledError

    saga = Cut(CONFIRM_BOOKING, a_booking())
    with pytest.raises(asyncio.CancelledError):
        await saga.runs()
    assert saga.journal.kept == []


async def test_a_stop_during_a_nap() -> None:
    """A process that is to stop hands back a saga that naps, as it was recorded, and lets it be."""
    saga, clock = confirming(), Asleep()
    saga.clock.sleep = clock.sleep
    saga.expect("take_payment").reply(UNKNOWN)
    running = asyncio.create_task(saga.ends(BookingStatus.PENDING))
    async with asyncio.timeout(WAIT_S):
        await clock.asleep.wait()
        assert saga.journal.handed_back == []
        saga.stopping.set()
        await running
    assert saga.journal.handed_back == [saga.ended]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_stop_does_not_cut_a_call() -> None:
    """A call that is under way when the process is to stop ends, and so does what needs no nap."""

    class Stopped(Dialogue):
        async def charge(self, order: object) -> object:
            self.stopping.set()
            await asyncio.sleep(0)
            return await super().charge(order)

    saga = Stopped(CONFIRM_BOOKING, a_booking()).expect("take_payment").reply(PAID)
    await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)
    assert saga.journal.handed_back == []
    saga = Stopped(CONFIRM_BOOKING, a_booking()).expect("take_payment").reply(UNKNOWN)
    await saga.ends(BookingStatus.PENDING)
    assert saga.journal.handed_back == [saga.ended]


@pytest.mark.parametrize("tries", [3, NAPS_MAX + 1], ids=["parked", "rests"])
async def test_what_nobody_has_is_not_handed_back(tries: int) -> None:
    """A process that is to stop hands back no saga that is parked, or that rests."""

    class StopsAtLast(Dialogue):
        async def release(self, *what: object) -> object:
            if len(self._script) == 1:
                self.stopping.set()
            return await super().release(*what)

    patience = Patience(tries=3) if tries == 3 else PATIENCE
    saga = StopsAtLast(CANCEL_BOOKING, CANCELLED_LATER, card=None, patience=patience)
    await saga.expect("release_seats").reply(UNKNOWN, times=tries).ends(CANCELLING)
    assert saga.stopping.is_set()
    assert saga.journal.handed_back == []
