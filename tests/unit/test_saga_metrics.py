"""Sagas as dialogues, and what is counted of them: actions, and turns once they are stored."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.sagas import Dialogue, a_booking
from support.telemetry import Tally, samples, value

from booking_svc import metrics
from booking_svc.domain.booking import BookingStatus
from booking_svc.domain.outcome import Done, GivenUp, Refused, Unknown
from booking_svc.saga.definition import CONFIRM_BOOKING
from booking_svc.saga.runner import LeaseLost
from chassis.errors import DependencyUnavailable

ROLLBACKS, ACTIONS = "holdfast_saga_rollbacks_total", "holdfast_saga_actions_total"
DONE, PAID, LOST = Done(None), Done("pay_1"), Unknown("timeout")
DECLINED = Refused("PAYMENT_FAILED", "no")


def confirming() -> Dialogue:
    return Dialogue(CONFIRM_BOOKING, a_booking())


async def test_each_action_is_counted() -> None:
    """Each try of an action counts by what it came to, and its time is taken."""
    tally, saga = Tally(), confirming()
    saga.expect("take_payment").reply(LOST, times=2).expect("take_payment").reply(PAID)
    await saga.expect("confirm_seats").reply(DONE).ends(BookingStatus.CONFIRMED)
    assert tally.of(ACTIONS) == {
        ("take_payment", "UNKNOWN"): 2,
        ("take_payment", "DONE"): 1,
        ("confirm_seats", "DONE"): 1,
    }
    assert tally.of("holdfast_saga_action_seconds_count") == {
        ("take_payment",): 3,
        ("confirm_seats",): 1,
    }
    assert tally.of(ROLLBACKS) == {}


async def test_turning_back_counts_once() -> None:
    """A saga that turned back counts once, however often that was stored in vain."""
    tally, saga = Tally(), confirming()
    saga.journal.failures = [DependencyUnavailable("away"), LookupError()]
    saga.expect("take_payment").reply(DECLINED)
    await (
        saga.expect("release_seats")
        .reply(LOST, times=2)
        .expect("release_seats")
        .reply(DONE)
        .ends(BookingStatus.FAILED)
    )
    assert tally.of(ROLLBACKS) == {("PAYMENT_FAILED",): 1}


async def test_who_lost_the_saga_does_not_count_it() -> None:
    """A process whose saga was taken over before it stored the turn does not count the turn."""
    tally, saga = Tally(), confirming()
    saga.journal.failures = [LeaseLost()]
    with pytest.raises(LeaseLost):
        await saga.expect("take_payment").reply(DECLINED).runs()
    assert tally.of(ROLLBACKS) == {}
    assert tally.of(ACTIONS) == {("take_payment", "REFUSED"): 1}


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (DECLINED, "PAYMENT_FAILED"),
        (Refused("RESERVATION_EXPIRED", "too late"), "RESERVATION_EXPIRED"),
        (Refused("A_REASON_OF_TOMORROW", "new"), "OTHER"),
        (Refused("", "none"), "OTHER"),
        (GivenUp("waited"), "GIVEN_UP"),
    ],
)
def test_reasons_are_few(outcome: object, reason: str) -> None:
    """Why a saga turned back is one of a few words, whatever another service says."""
    tally = Tally()
    metrics.turned_back(outcome)
    assert tally.of(ROLLBACKS) == {(reason,): 1}


def test_what_is_rare_is_there_from_the_start() -> None:
    """An alert on the first of its kind sees it rise: the series of what is rare begin at 0."""
    assert ("holdfast_bookings_total", ("FAILED", "SEATS_LOST")) in samples()
    for reason in ("PAYMENT_FAILED", "GIVEN_UP", "CANCELLED", "OTHER"):
        assert value(ROLLBACKS, reason) >= 0


def test_a_clock_that_is_behind_takes_nothing_back() -> None:
    """A booking that seems settled before it was asked for took no time: sums never fall."""
    one, name = a_booking(), "holdfast_booking_duration_seconds"
    failed, tally = replace(one, status=BookingStatus.FAILED), Tally()
    metrics.settled(failed, one.created_at - timedelta(seconds=3))
    assert tally.of(f"{name}_count") == {("FAILED",): 1}
    assert tally.of(f"{name}_sum") == {}
