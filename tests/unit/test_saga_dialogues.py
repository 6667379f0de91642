"""Sagas as dialogues: given this reply, expect that call. Steps, runner and machine are real."""

import asyncio
from random import Random

import pytest
from support.sagas import Dialogue, a_booking

from booking_svc.domain.booking import Booking, BookingStatus, PaymentStatus
from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.saga import runner
from booking_svc.saga.definition import CANCEL_BOOKING, CONFIRM_BOOKING
from booking_svc.saga.machine import State
from booking_svc.saga.runner import LeaseLost
from chassis.errors import DeadlineTooShort, DependencyUnavailable, Overloaded

CONFIRMED, FAILED, CANCELLED = (
    BookingStatus.CONFIRMED,
    BookingStatus.FAILED,
    BookingStatus.CANCELLED,
)
DONE = Done(None)
PAID = Done("pay_1")
UNKNOWN = Unknown("timeout")
NO_MONEY = "Payment declined: insufficient funds"
DECLINED = Refused(
    "PAYMENT_FAILED", NO_MONEY, {"paymentId": "pay_1", "errorCode": "INSUFFICIENT_FUNDS"}
)
GONE = Refused("RESERVATION_NOT_ACTIVE")
CHARGE_KEY = "BK-2026-BCDFGHJKLM/charge"


class Most(Random):
    """The longest wait that chance allows."""

    def uniform(self, _a: float, b: float) -> float:
        return b


def confirming(**options: object) -> Dialogue:
    return Dialogue(CONFIRM_BOOKING, a_booking(), **options)


def cancelling() -> Dialogue:
    paid = a_booking().paid("pay_1").confirmed(a_booking().created_at).cancelling()
    return Dialogue(CANCEL_BOOKING, paid)


def refund_key(refusals: int) -> str:
    return f"BK-2026-BCDFGHJKLM/give-back/{refusals}"


def reason(booking: Booking) -> str:
    return booking.failure.reason if booking.failure else ""


async def test_paid_and_confirmed() -> None:
    """A payment, then the seats: CONFIRMED, each call with our own key or reference."""
    booking = await (
        confirming()
        .expect("take_payment", key=CHARGE_KEY, amount_minor=15000)
        .reply(PAID)
        .expect("confirm_seats", ids=[1001, 1002], reference="BK-2026-BCDFGHJKLM")
        .reply(DONE)
        .ends(CONFIRMED)
    )
    assert (booking.payment_id, booking.payment_status) == ("pay_1", PaymentStatus.SUCCESS)
    assert booking.confirmed_at is not None


async def test_declined() -> None:
    """A decline releases the seats, and the booking is FAILED with the provider's reason."""
    booking = await (
        confirming()
        .expect("take_payment")
        .reply(DECLINED)
        .expect("release_seats", ids=[1001, 1002])
        .reply(DONE)
        .ends(FAILED)
    )
    assert reason(booking) == "PAYMENT_FAILED"
    assert str(booking.refusal()) == NO_MONEY
    assert booking.refusal().metadata == {
        "paymentId": "pay_1",
        "errorCode": "INSUFFICIENT_FUNDS",
        "bookingReference": booking.booking_reference,
    }


@pytest.mark.parametrize("cause", [UNKNOWN, OSError("gone"), DeadlineTooShort()], ids=repr)
async def test_a_payment_without_an_answer(cause: Unknown | Exception) -> None:
    """No answer, or an error of our own: asked again with the same key, and nothing is undone."""
    await (
        confirming()
        .expect("take_payment", key=CHARGE_KEY)
        .reply(cause, times=30)
        .expect("take_payment", key=CHARGE_KEY)
        .reply(PAID)
        .expect("confirm_seats")
        .reply(cause, times=30)
        .expect("confirm_seats")
        .reply(DONE)
        .ends(CONFIRMED)
    )


async def test_seats_lost_after_the_payment() -> None:
    """Seats that are refused after the payment: refund, release, FAILED with SEATS_LOST."""
    booking = await (
        confirming()
        .expect("take_payment")
        .reply(PAID)
        .expect("confirm_seats")
        .reply(GONE)
        .expect("give_back_payment", payment_id="pay_1", key=refund_key(0), reason="SEATS_LOST")
        .reply(DONE)
        .expect("release_seats")
        .reply(DONE)
        .ends(FAILED)
    )
    assert reason(booking) == "SEATS_LOST"
    assert booking.payment_status is PaymentStatus.REFUNDED
    assert booking.refusal().reason == "SEATS_LOST"


@pytest.mark.parametrize("not_yet", [UNKNOWN, Refused("PAYMENT_NOT_REFUNDABLE")], ids=repr)
async def test_an_undo_that_fails(not_yet: Unknown | Refused) -> None:
    """What is to be undone is asked for until it is done: with a new key if it was refused."""
    saga = confirming().expect("take_payment").reply(PAID).expect("confirm_seats").reply(GONE)
    keys = [refund_key(tries if isinstance(not_yet, Refused) else 0) for tries in range(31)]
    for key in keys[:-1]:
        saga.expect("give_back_payment", key=key).reply(not_yet)
    await (
        saga.expect("give_back_payment", key=keys[-1])
        .reply(DONE)
        .expect("release_seats")
        .reply(not_yet, times=30)
        .expect("release_seats")
        .reply(DONE)
        .ends(FAILED)
    )


async def test_a_key_is_given_up_only_when_it_is_refused() -> None:
    """A refused refund gets a new key, and keeps it for as long as the outcome is unknown."""
    saga = cancelling().expect("release_seats").reply(GONE, times=2)
    saga.expect("release_seats").reply(DONE)
    refused = Refused("PAYMENT_NOT_REFUNDABLE")
    for refusals, reply in ((0, UNKNOWN), (0, refused), (1, UNKNOWN), (1, UNKNOWN), (1, refused)):
        saga.expect("give_back_payment", key=refund_key(refusals)).reply(reply)
    await saga.expect("give_back_payment", key=refund_key(2)).reply(DONE).ends(CANCELLED)
    kept = [(one.step, one.tries, one.refusals) for one, _ in saga.journal.kept]
    assert kept == [
        *[("release", 1, 1), ("release", 2, 2), ("refund", 0, 0), ("refund", 1, 0)],
        *[("refund", 2, 1), ("refund", 3, 1), ("refund", 4, 1), ("refund", 5, 2)],
        ("refund", 0, 0),
    ]


@pytest.mark.parametrize("not_yet", [UNKNOWN, GONE], ids=repr)
async def test_cancelled(not_yet: Unknown | Refused) -> None:
    """To cancel is to free the seats, then to give the payment back, each until it is done."""
    saga = cancelling().expect("release_seats", ids=[1001, 1002]).reply(not_yet, times=3)
    saga.expect("release_seats").reply(DONE)
    keys = [refund_key(tries if isinstance(not_yet, Refused) else 0) for tries in range(4)]
    for key in keys[:-1]:
        saga.expect("give_back_payment", key=key, reason="BOOKING_CANCELLED").reply(not_yet)
    booking = await saga.expect("give_back_payment", key=keys[-1]).reply(DONE).ends(CANCELLED)
    assert booking.payment_status is PaymentStatus.REFUNDED
    assert booking.cancelled_at is not None


async def test_without_its_card_nothing_is_charged() -> None:
    """A saga that has lost its card asks for no payment, and knows nothing about one."""
    saga = confirming(card=None)
    saga.journal.failures = [LeaseLost()]
    with pytest.raises(LeaseLost):
        await saga.runs()


async def test_each_step_is_stored_before_the_next_call() -> None:
    """After each outcome saga and booking are recorded together, under the saga's attempt."""
    saga = confirming()
    saga.expect("take_payment").reply(UNKNOWN).expect("take_payment").reply(PAID)
    await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)
    assert [(one.step, one.state, one.tries, one.attempt) for one, _ in saga.journal.kept] == [
        ("charge", State.RUNNING, 1, 1),
        ("confirm", State.RUNNING, 0, 1),
        ("confirm", State.SUCCEEDED, 0, 1),
    ]
    paid = [booking.payment_status for _, booking in saga.journal.kept]
    assert paid == [PaymentStatus.PENDING, PaymentStatus.SUCCESS, PaymentStatus.SUCCESS]


async def test_a_journal_that_is_away() -> None:
    """What cannot be stored is stored again, without asking anyone again."""
    saga = confirming()
    saga.journal.failures = [DependencyUnavailable("away"), Overloaded("busy")] * 10
    saga.expect("take_payment").reply(PAID).expect("confirm_seats").reply(DONE)
    await saga.ends(CONFIRMED)
    assert len(saga.journal.kept) == 2
    assert len(saga.clock.naps_s) == 20


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
    assert saga.journal.kept == []
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


async def test_waiting_doubles_up_to_its_bound() -> None:
    """The longest wait doubles from one try to the next, and never passes its maximum."""
    saga = confirming(chance=Most())
    saga.expect("take_payment").reply(UNKNOWN, times=40).expect("take_payment").reply(DECLINED)
    await saga.expect("release_seats").reply(DONE).ends(FAILED)
    waits = saga.clock.naps_s
    assert waits[:6] == [0.4, 0.8, 1.6, 3.2, 6.4, runner.BACKOFF_MAX_S]
    assert set(waits[6:]) == {runner.BACKOFF_MAX_S}


async def test_waiting_is_jittered() -> None:
    """Two sagas that fail together do not wait alike."""
    waits = []
    for seed in range(2):
        saga = confirming(chance=Random(seed))
        saga.expect("take_payment").reply(UNKNOWN, times=20).expect("take_payment").reply(PAID)
        await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)
        waits.append(saga.clock.naps_s)
    assert not set(waits[0]) & set(waits[1])
    assert max(waits[0]) <= runner.BACKOFF_MAX_S
