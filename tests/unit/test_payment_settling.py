"""What each answer makes of each payment and each refund, and when to ask again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from support.telemetry import Tally

from chassis.cards import CardSummary
from payment_svc import metrics
from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
    answer_of,
)
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from payment_svc.domain.settling import (
    ABANDONED_AFTER_S,
    ask_again_at,
    is_abandoned,
    is_unexpected,
    settle_payment,
    settle_refund,
)

NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
AGAIN = datetime(2026, 11, 16, 10, 31, tzinfo=UTC)
LATER = datetime(2026, 11, 16, 10, 32, tzinfo=UTC)
VISA = CardSummary("CREDIT_CARD", "visa", "1111")
OUTCOMES: dict[str, Outcome] = {
    "succeeded": Succeeded("txn_9"),
    "declined": Declined(DeclineCode.CARD_DECLINED),
    "not done": NotDone(),
    "pending": Pending(),
    "unknown": Unknown("timeout"),
}
# (status, outcome, voided) → status afterwards, and what is left to do.
SETTLED = {
    ("PENDING", "succeeded", False): ("SUCCESS", "nothing"),
    ("PENDING", "succeeded", True): ("SUCCESS", "nothing"),
    ("PENDING", "declined", False): ("FAILED", "nothing"),
    ("PENDING", "declined", True): ("FAILED", "nothing"),
    ("PENDING", "not done", False): ("PENDING", "ask again"),
    ("PENDING", "not done", True): ("CANCELLED", "nothing"),
    ("PENDING", "pending", False): ("PENDING", "ask again"),
    ("PENDING", "pending", True): ("PENDING", "ask again"),
    ("PENDING", "unknown", False): ("PENDING", "ask again"),
    ("PENDING", "unknown", True): ("PENDING", "ask again"),
    ("CANCELLED", "succeeded", False): ("CANCELLED", "give back"),
    ("CANCELLED", "succeeded", True): ("CANCELLED", "give back"),
    ("CANCELLED", "declined", False): ("CANCELLED", "nothing"),
    ("CANCELLED", "declined", True): ("CANCELLED", "nothing"),
    ("CANCELLED", "not done", False): ("CANCELLED", "ask again"),
    ("CANCELLED", "not done", True): ("CANCELLED", "nothing"),
    ("CANCELLED", "pending", False): ("CANCELLED", "ask again"),
    ("CANCELLED", "pending", True): ("CANCELLED", "ask again"),
    ("CANCELLED", "unknown", False): ("CANCELLED", "ask again"),
    ("CANCELLED", "unknown", True): ("CANCELLED", "ask again"),
}


def again(asks: int) -> datetime:
    return AGAIN + timedelta(hours=asks)


def payment(status: PaymentStatus, *, is_open: bool = True) -> Payment:
    taken = status in {"SUCCESS", "PARTIALLY_REFUNDED", "REFUNDED"}
    return Payment(
        payment_id="pay_1",
        booking_reference="BK-1",
        user_id="ann",
        currency="USD",
        amount_minor=15000,
        method=VISA,
        created_at=NOW,
        leased_until=AGAIN,
        status=status,
        transaction_id="txn_1" if taken else "",
        next_ask_at=NOW if is_open else None,
    )


def left_to_do(after: Payment) -> str:
    if after.must_go_back:
        assert after.next_ask_at is None
        return "give back"
    if after.next_ask_at is None:
        return "nothing"
    assert (after.next_ask_at, after.asks, after.leased_until) == (AGAIN, 1, NOW)
    return "ask again"


@pytest.mark.parametrize("voided", [False, True], ids=["asked", "voided"])
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("status", PaymentStatus)
def test_every_pair(status: PaymentStatus, outcome: str, voided: bool) -> None:  # noqa: FBT001
    """Each answer to an open payment does what is written here; any other payment stays."""
    before = payment(status)
    after = settle_payment(before, OUTCOMES[outcome], NOW, again, voided=voided)
    expected = SETTLED.get((status, outcome, voided), (status, "nothing"))
    assert (after.status, left_to_do(after)) == expected
    if (status, outcome, voided) not in SETTLED:
        assert after == replace(before, next_ask_at=None)


def test_a_late_success_of_a_closed_cancellation() -> None:
    """Money that is taken although the provider had promised not to is still given back."""
    closed = payment(PaymentStatus.CANCELLED, is_open=False)
    after = settle_payment(closed, Succeeded("txn_9"), NOW, again, voided=False)
    assert left_to_do(after) == "give back"
    for outcome in (NotDone(), Pending(), Unknown("timeout")):
        still = settle_payment(closed, outcome, NOW, again, voided=False)
        assert still == replace(closed, last_answer=answer_of(outcome))


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
def test_a_refund_that_was_refused_is_made_anew_for_a_cancelled_payment(outcome: Outcome) -> None:
    """A payment that was called off and holds money must go back, whatever else is answered."""
    late = payment(PaymentStatus.CANCELLED).taken_after_all("txn_9", NOW).taking_back()
    refund = Refund("ref_1", "pay_1", 15000, "USD", "", NOW, NOW, next_ask_at=NOW)
    refused = Declined(DeclineCode.CARD_DECLINED)
    kept, failed = settle_refund(late, refund, refused, NOW, again)
    assert (failed.status, kept.must_go_back, kept.next_ask_at) == ("FAILED", True, AGAIN)
    assert settle_payment(kept, outcome, NOW, again, voided=False) == kept


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("status", PaymentStatus)
def test_money_that_nobody_expects(status: PaymentStatus, outcome: str) -> None:
    """Of all pairs only the success of a payment that was declined is money nobody expects."""
    expected = (status, outcome) == ("FAILED", "succeeded")
    assert is_unexpected(payment(status), OUTCOMES[outcome]) is expected


def test_a_payment_counts_its_refused_refunds() -> None:
    """A refused refund is tried anew by its payment's count, an open one by its own."""
    late = payment(PaymentStatus.CANCELLED).taken_after_all("txn_9", NOW).taking_back()
    refund = Refund("ref_1", "pay_1", 15000, "USD", "", NOW, NOW, next_ask_at=NOW, asks=2)
    often = replace(late, asks=7)
    kept, _ = settle_refund(often, refund, Declined(DeclineCode.CARD_DECLINED), NOW, again)
    assert (kept.asks, kept.next_ask_at) == (8, again(7))
    _, still_open = settle_refund(often, refund, Unknown("timeout"), NOW, again)
    assert (still_open.asks, still_open.next_ask_at) == (3, again(2))


REFUNDS = {
    "succeeded": ("REFUNDED", "REFUNDED", 15000, 15000),
    "declined": ("FAILED", "SUCCESS", 0, 0),
    "not done": ("PENDING", "SUCCESS", 15000, 0),
    "pending": ("PENDING", "SUCCESS", 15000, 0),
    "unknown": ("PENDING", "SUCCESS", 15000, 0),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_answer_to_a_refund(outcome: str) -> None:
    """Only an explicit answer ends a refund; any other leaves it open, to be asked again."""
    paid = payment(PaymentStatus.SUCCESS, is_open=False).setting_aside(15000)
    refund = Refund("ref_1", "pay_1", 15000, "USD", "", NOW, AGAIN, next_ask_at=NOW)
    after, settled = settle_refund(paid, refund, OUTCOMES[outcome], NOW, again)
    sums = after.refunded_minor, after.returned_minor
    assert (settled.status, after.status, *sums) == REFUNDS[outcome]
    assert settled.next_ask_at == (AGAIN if settled.status == "PENDING" else None)
    assert after.next_ask_at is None


@pytest.mark.parametrize("status", [RefundStatus.REFUNDED, RefundStatus.FAILED])
def test_a_settled_refund_stays(status: RefundStatus) -> None:
    """An answer to a refund that is settled changes nothing, unless one that was done fails."""
    paid = payment(PaymentStatus.SUCCESS, is_open=False)
    refund = Refund("ref_1", "pay_1", 100, "USD", "", NOW, NOW, status)
    for outcome in OUTCOMES.values():
        if status is RefundStatus.FAILED or not isinstance(outcome, Declined):
            assert settle_refund(paid, refund, outcome, NOW, again) == (paid, refund)


@pytest.mark.parametrize("called_off", [False, True], ids=["wanted", "called off"])
@pytest.mark.parametrize(("others_minor", "status"), [(0, "SUCCESS"), (5000, "PARTIALLY_REFUNDED")])
def test_a_refund_that_is_sent_back(others_minor: int, status: str, *, called_off: bool) -> None:
    """What was given back and sent back is held again, or goes back again if it was called off."""
    paid = replace(payment(PaymentStatus.SUCCESS, is_open=False), called_off=called_off)
    part = 15000 - others_minor
    done = paid.setting_aside(part).given_back(part)
    if others_minor:
        done = done.setting_aside(others_minor).given_back(others_minor)
    refund = Refund("ref_1", "pay_1", part, "USD", "", NOW, NOW, RefundStatus.REFUNDED)
    held, failed = settle_refund(done, refund, Declined(DeclineCode.CARD_DECLINED), LATER, again)
    assert (failed.status, failed.finished_at, failed.last_answer) == ("FAILED", LATER, "DECLINED")
    assert (held.status, held.refunded_minor, held.returned_minor) == (
        status, others_minor, others_minor
    )  # fmt: skip
    assert (held.must_go_back, held.next_ask_at) == (called_off, AGAIN if called_off else None)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_was_said_last_is_kept(outcome: str) -> None:
    """An open payment and an open refund keep what the provider said last, by its name."""
    said = answer_of(OUTCOMES[outcome])
    after = settle_payment(
        payment(PaymentStatus.PENDING), OUTCOMES[outcome], NOW, again, voided=False
    )
    assert (after.last_answer, after.is_unknown) == (said, outcome == "unknown")
    paid = payment(PaymentStatus.SUCCESS, is_open=False).setting_aside(15000)
    refund = Refund("ref_1", "pay_1", 15000, "USD", "", NOW, AGAIN, next_ask_at=NOW)
    assert not refund.is_unknown(NOW)
    assert refund.is_unknown(AGAIN)
    _, settled = settle_refund(paid, refund, OUTCOMES[outcome], NOW, again)
    assert (settled.last_answer, settled.is_unknown(NOW)) == (said, outcome == "unknown")


def test_asked_soon_and_then_slower() -> None:
    """The provider is asked after seconds, then after minutes, then hourly, with jitter."""
    random = Random(1)
    delays = [(ask_again_at(asks, NOW, random) - NOW).total_seconds() for asks in range(40)]
    for asks, delay_s in enumerate(delays):
        wanted_s = min(2**asks, 3600)
        assert 0.8 * wanted_s <= delay_s <= 1.2 * wanted_s
    assert len({round(delay_s) for delay_s in delays[-20:]}) > 10


def test_abandoned_after_a_while() -> None:
    """A payment is abandoned a quarter of an hour after it was asked for, and not before."""
    one = payment(PaymentStatus.PENDING)
    end = NOW + timedelta(seconds=ABANDONED_AFTER_S)
    assert ABANDONED_AFTER_S == 900
    assert is_abandoned(one, end)
    assert not is_abandoned(one, end - timedelta(microseconds=1))


def test_a_clock_that_is_behind_takes_nothing_back() -> None:
    """A payment that seems settled before it was asked for took no time at all."""
    name, tally = "holdfast_payment_duration_seconds", Tally()
    metrics.settled(payment(PaymentStatus.SUCCESS), NOW - timedelta(seconds=3))
    assert tally.of(f"{name}_count") == {("SUCCESS",): 1}
    assert tally.of(f"{name}_sum") == {}
