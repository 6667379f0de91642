"""Sagas as dialogues: given this reply, expect that call. Steps, runner and machine are real."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.clock import START
from support.sagas import TERMS, Dialogue, a_booking

from booking_svc.domain.booking import Booking, BookingStatus, PaymentStatus
from booking_svc.domain.outcome import Done, Pending, Refused, Unknown
from booking_svc.saga.definition import CANCEL_BOOKING, CONFIRM_BOOKING
from booking_svc.saga.machine import PATIENCE, Patience, State
from booking_svc.saga.pace import NAPS_MAX
from chassis.errors import DeadlineTooShort

CONFIRMED, FAILED, CANCELLED, CANCELLING, PENDING = (
    BookingStatus.CONFIRMED,
    BookingStatus.FAILED,
    BookingStatus.CANCELLED,
    BookingStatus.CANCELLING,
    BookingStatus.PENDING,
)
REFERENCE = "BK-2026-BCDFGHJKLM"
CHARGE_KEY = f"{REFERENCE}/charge"
DONE = Done(None)
PAID = Done("pay_1")
REFUNDED = Done("REFUNDED")
UNKNOWN = Unknown("timeout")
UNDECIDED = Pending("pay_1")
NO_MONEY = "Payment declined: insufficient funds"
DECLINED = Refused(
    "PAYMENT_FAILED", NO_MONEY, {"paymentId": "pay_1", "errorCode": "INSUFFICIENT_FUNDS"}
)
GONE = Refused("RESERVATION_NOT_ACTIVE")
NO_REFUND = Refused("PAYMENT_NOT_REFUNDABLE")
OLD = START - timedelta(seconds=TERMS.give_up_s)
REACCEPT = replace(TERMS, reaccept=True)


def confirming(booking: Booking | None = None, **options: object) -> Dialogue:
    return Dialogue(CONFIRM_BOOKING, booking or a_booking(), **options)


def recovered(**options: object) -> Dialogue:
    """A saga that another process began: its card is gone."""
    return confirming(card=None, **options)


def cancelling(**options: object) -> Dialogue:
    paid = a_booking().paid("pay_1").confirmed(START).cancelling()
    return Dialogue(CANCEL_BOOKING, paid, card=None, **options)


def undone_after_giving_up(saga: Dialogue, left: str = "CANCELLED") -> Dialogue:
    """The payment is called off under the name of its booking, then the seats are released."""
    saga.expect("give_back_payment", reference=REFERENCE, reason="PAYMENT_FAILED")
    return saga.reply(Done(left)).expect("release_seats").reply(DONE)


def reason(booking: Booking) -> str:
    return booking.failure.reason if booking.failure else ""


async def test_paid_and_confirmed() -> None:
    """A payment, then the seats: CONFIRMED, each call with our own key or reference."""
    saga = confirming().expect("take_payment", key=CHARGE_KEY, amount_minor=15000).reply(PAID)
    saga.expect("confirm_seats", ids=[1001, 1002], reference=REFERENCE, retake=False).reply(DONE)
    booking = await saga.ends(CONFIRMED)
    assert (booking.payment_id, booking.payment_status) == ("pay_1", PaymentStatus.SUCCESS)
    assert booking.confirmed_at is not None
    assert saga.extended_s == []


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
        .reply(cause, times=NAPS_MAX)
        .expect("confirm_seats")
        .reply(DONE)
        .ends(CONFIRMED)
    )


async def test_the_seats_are_kept_while_the_payment_is_open() -> None:
    """After each attempt that decided nothing, the seats are held for another one."""
    saga = confirming().expect("take_payment").reply(UNKNOWN).expect("take_payment")
    saga.reply(UNDECIDED).expect("take_payment").reply(PAID)
    await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)
    assert saga.extended_s == [TERMS.hold_s] * 2


async def test_a_hold_that_may_not_have_been_extended() -> None:
    """An extension without an answer is no reason to give up."""
    saga = confirming(extension=UNKNOWN).expect("take_payment").reply(UNKNOWN, times=3)
    saga.expect("take_payment").reply(PAID).expect("confirm_seats").reply(DONE)
    await saga.ends(CONFIRMED)
    assert len(saga.extended_s) == 3
    assert [one.step.detail for one in saga.journal.kept] == ["timeout"] * 3 + ["", ""]


async def test_a_payment_that_is_decided_soon() -> None:
    """A payment that is pending for a moment is asked for again, and known by its id meanwhile."""
    saga = confirming().expect("take_payment", key=CHARGE_KEY).reply(UNDECIDED, times=NAPS_MAX)
    saga.expect("take_payment", key=CHARGE_KEY).reply(PAID).expect("confirm_seats").reply(DONE)
    await saga.ends(CONFIRMED)
    first = saga.journal.kept[0]
    assert (first.booking.payment_id, first.booking.status) == ("pay_1", PENDING)
    assert (first.saga.waits, first.saga.tries) == (1, 0)


@pytest.mark.parametrize("make", [confirming, recovered])
async def test_a_payment_that_is_not_decided_for_long(make: type[Dialogue]) -> None:
    """A saga that only waits leaves its process: nobody's, and due again a little later."""
    saga = make()
    call = "take_payment" if make is confirming else "find_payment"
    await saga.expect(call).reply(UNDECIDED, times=NAPS_MAX + 1).ends(PENDING)
    assert saga.ended.state is State.RUNNING
    assert saga.ended.lease.owner == ""
    assert saga.ended.lease.until > saga.clock.now()
    assert len(saga.clock.naps_s) == NAPS_MAX
    assert saga.journal.handed_back == []


@pytest.mark.parametrize("booking", [a_booking(), a_booking(created_at=OLD)], ids=["new", "old"])
async def test_without_its_card_a_saga_asks_what_became_of_its_payment(booking: Booking) -> None:
    """A recovered saga whose payment went through goes on, however late, and charges nothing."""
    saga = recovered(booking=booking)
    saga.expect("find_payment", reference=REFERENCE, user="ann").reply(PAID)
    await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)


async def test_without_its_card_a_declined_payment_is_a_decline() -> None:
    """A recovered saga whose payment was declined releases the seats and fails as ever."""
    saga = recovered().expect("find_payment").reply(UNKNOWN).expect("find_payment")
    booking = await saga.reply(DECLINED).expect("release_seats").reply(DONE).ends(FAILED)
    assert str(booking.refusal()) == NO_MONEY


async def test_without_its_card_and_without_a_payment() -> None:
    """When nothing was charged, a late charge is called off first, and then the booking fails."""
    saga = undone_after_giving_up(recovered().expect("find_payment").reply(None))
    booking = await saga.ends(FAILED)
    assert (reason(booking), booking.payment_status) == ("PAYMENT_FAILED", PaymentStatus.CANCELLED)
    assert saga.extended_s == []


@pytest.mark.parametrize("open_still", [UNKNOWN, UNDECIDED], ids=repr)
async def test_a_payment_that_takes_too_long(open_still: Unknown | Pending) -> None:
    """When its time is over, an open payment is called off and the booking fails, and says why."""
    saga = confirming(a_booking(created_at=OLD)).expect("take_payment").reply(open_still)
    booking = await undone_after_giving_up(saga, left="REFUNDED").ends(FAILED)
    assert booking.payment_status is PaymentStatus.REFUNDED
    refusal = booking.refusal()
    assert (refusal.reason, str(refusal)) == (
        "PAYMENT_FAILED",
        "the payment did not come through in time; nothing stays charged",
    )
    # The seats were not held any longer for it.
    assert saga.extended_s == []


async def test_a_payment_is_not_given_up_early() -> None:
    """An open payment has its time to the last moment."""
    young = a_booking(created_at=OLD + timedelta(microseconds=1))
    saga = confirming(young).expect("take_payment").reply(UNKNOWN).expect("take_payment")
    await saga.reply(PAID).expect("confirm_seats").reply(DONE).ends(CONFIRMED)


@pytest.mark.parametrize("outcome", [PAID, DECLINED], ids=repr)
async def test_an_outcome_that_comes_late_counts(outcome: Done[str] | Refused) -> None:
    """A payment that is decided when its time is over is not called off: it is decided."""
    saga = confirming(a_booking(created_at=OLD)).expect("take_payment").reply(outcome)
    if outcome is PAID:
        await saga.expect("confirm_seats").reply(DONE).ends(CONFIRMED)
    else:
        await saga.expect("release_seats").reply(DONE).ends(FAILED)


async def test_a_hold_that_cannot_be_extended() -> None:
    """By default an open payment is given up when its seats cannot be held any longer."""
    saga = confirming(extension=GONE).expect("take_payment").reply(UNKNOWN)
    booking = await undone_after_giving_up(saga).ends(FAILED)
    assert reason(booking) == "PAYMENT_FAILED"
    assert "RESERVATION_NOT_ACTIVE" in saga.journal.kept[0].saga.last_error


async def test_seats_are_taken_again_for_a_late_payment() -> None:
    """Where late payments are accepted, a lost hold is no matter: the seats are taken again."""
    saga = confirming(extension=GONE, terms=REACCEPT).expect("take_payment")
    saga.reply(UNDECIDED, times=3).expect("take_payment").reply(PAID)
    await saga.expect("confirm_seats", retake=True).reply(DONE).ends(CONFIRMED)


async def test_seats_that_went_to_others_before_a_late_payment() -> None:
    """Where the seats of a late payment are not free any more, it is given back."""
    saga = confirming(extension=GONE, terms=REACCEPT).expect("take_payment").reply(UNDECIDED)
    saga.expect("take_payment").reply(PAID).expect("confirm_seats", retake=True).reply(GONE)
    saga.expect("give_back_payment", reason="SEATS_LOST").reply(REFUNDED)
    booking = await saga.expect("release_seats").reply(DONE).ends(FAILED)
    assert reason(booking) == "SEATS_LOST"


async def test_seats_lost_after_the_payment() -> None:
    """Seats that are refused after the payment: refund, release, FAILED with SEATS_LOST."""
    saga = confirming().expect("take_payment").reply(PAID).expect("confirm_seats").reply(GONE)
    saga.expect("give_back_payment", reference=REFERENCE, reason="SEATS_LOST").reply(REFUNDED)
    booking = await saga.expect("release_seats").reply(DONE).ends(FAILED)
    assert reason(booking) == "SEATS_LOST"
    assert booking.payment_status is PaymentStatus.REFUNDED
    assert booking.refusal().reason == "SEATS_LOST"


@pytest.mark.parametrize("not_yet", [UNKNOWN, UNDECIDED, NO_REFUND, OSError("gone")], ids=repr)
async def test_an_undo_that_fails(not_yet: Unknown | Pending | Refused | Exception) -> None:
    """What is to be undone is asked for again until it is done."""
    saga = confirming().expect("take_payment").reply(PAID).expect("confirm_seats").reply(GONE)
    saga.expect("give_back_payment").reply(not_yet, times=PATIENCE.refusals - 1)
    saga.expect("give_back_payment").reply(REFUNDED)
    saga.expect("release_seats").reply(not_yet, times=PATIENCE.refusals - 1)
    await saga.expect("release_seats").reply(DONE).ends(FAILED)


async def test_an_undo_that_is_refused_for_good() -> None:
    """A refund that is refused to the last is parked, with its reason, and nothing more is done."""
    saga = confirming().expect("take_payment").reply(PAID).expect("confirm_seats").reply(GONE)
    saga.expect("give_back_payment").reply(NO_REFUND, times=PATIENCE.refusals)
    booking = await saga.ends(PENDING)
    assert saga.ended.state is State.NEEDS_ATTENTION
    assert (saga.ended.step, saga.ended.last_error) == ("charge", "PAYMENT_NOT_REFUNDABLE")
    assert reason(booking) == "SEATS_LOST"
    assert saga.journal.handed_back == []


async def test_an_undo_that_comes_to_nothing_for_good() -> None:
    """What has no answer to the last try is parked, too."""
    saga = cancelling(patience=Patience(tries=3)).expect("release_seats").reply(UNKNOWN, times=3)
    await saga.ends(CANCELLING)
    assert (saga.ended.state, saga.ended.tries) == (State.NEEDS_ATTENTION, 3)


async def test_cancelled() -> None:
    """To cancel is to free the seats, then to give the payment back."""
    saga = cancelling().expect("release_seats", ids=[1001, 1002], reference=REFERENCE).reply(DONE)
    saga.expect("give_back_payment", reference=REFERENCE, reason="BOOKING_CANCELLED")
    booking = await saga.reply(REFUNDED).ends(CANCELLED)
    assert booking.payment_status is PaymentStatus.REFUNDED
    assert booking.cancelled_at is not None


async def test_cancelled_before_a_payment_came_of_it() -> None:
    """A booking that is called off in the middle says so of its payment."""
    called_off = a_booking().awaiting("pay_1").cancelling()
    saga = Dialogue(CANCEL_BOOKING, called_off, card=None).expect("release_seats").reply(DONE)
    booking = await saga.expect("give_back_payment").reply(Done("CANCELLED")).ends(CANCELLED)
    assert (booking.payment_id, booking.payment_status) == ("pay_1", PaymentStatus.CANCELLED)


@pytest.mark.parametrize("not_yet", [UNKNOWN, UNDECIDED, GONE], ids=repr)
async def test_a_cancellation_does_not_turn_back(not_yet: Unknown | Pending | Refused) -> None:
    """Each step of a cancellation is asked for again until it is done."""
    saga = cancelling().expect("release_seats").reply(not_yet, times=4)
    saga.expect("release_seats").reply(DONE)
    saga.expect("give_back_payment", reason="BOOKING_CANCELLED").reply(not_yet, times=4)
    await saga.expect("give_back_payment").reply(REFUNDED).ends(CANCELLED)
