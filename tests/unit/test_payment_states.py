"""The states of payments and refunds: every move that is not named is refused."""

from datetime import UTC, datetime

import pytest

from chassis.cards import CardSummary
from chassis.transitions import IllegalTransition, Transition
from payment_svc.domain.errors import PaymentNotRefundable, RefundExceedsPayment
from payment_svc.domain.outcome import DeclineCode
from payment_svc.domain.payment import (
    PAYMENT_TRANSITIONS,
    REFUND_TRANSITIONS,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
)

NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 16, 10, 31, tzinfo=UTC)
VISA = CardSummary("CREDIT_CARD", "visa", "1111")

PAYMENT_MOVES = {
    ("PENDING", "succeed"): "SUCCESS",
    ("PENDING", "decline"): "FAILED",
    ("PENDING", "cancel"): "CANCELLED",
    ("CANCELLED", "give back all of"): "REFUNDED",
    ("SUCCESS", "give back part of"): "PARTIALLY_REFUNDED",
    ("SUCCESS", "give back all of"): "REFUNDED",
    ("PARTIALLY_REFUNDED", "give back part of"): "PARTIALLY_REFUNDED",
    ("PARTIALLY_REFUNDED", "give back all of"): "REFUNDED",
    ("PARTIALLY_REFUNDED", "hold part again of"): "PARTIALLY_REFUNDED",
    ("PARTIALLY_REFUNDED", "hold all again of"): "SUCCESS",
    ("REFUNDED", "hold part again of"): "PARTIALLY_REFUNDED",
    ("REFUNDED", "hold all again of"): "SUCCESS",
}
REFUND_MOVES = {
    ("PENDING", "finish"): "REFUNDED",
    ("PENDING", "fail"): "FAILED",
    ("REFUNDED", "send back"): "FAILED",
}


def payment(status: PaymentStatus, **changes: int) -> Payment:
    return Payment("pay_1", "BK-1", "ann", "USD", 15000, VISA, NOW, NOW, status, **changes)


def result(transition: Transition, state: str) -> str | None:
    """The state after a move; none if the move is refused."""
    if state in transition.sources:
        return transition.apply(state)
    with pytest.raises(IllegalTransition, match=f"cannot {transition.name} from {state}"):
        transition.apply(state)
    return None


@pytest.mark.parametrize("transition", PAYMENT_TRANSITIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("state", PaymentStatus)
def test_moves_of_a_payment(state: PaymentStatus, transition: Transition) -> None:
    """Of all pairs of a payment's states and moves exactly those that are written here work."""
    assert result(transition, state) == PAYMENT_MOVES.get((state, transition.name))


@pytest.mark.parametrize("transition", REFUND_TRANSITIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("state", RefundStatus)
def test_moves_of_a_refund(state: RefundStatus, transition: Transition) -> None:
    """Only a refund that is open finishes or fails, and only one that is done is sent back."""
    assert result(transition, state) == REFUND_MOVES.get((state, transition.name))


def test_every_move_is_tried() -> None:
    """The moves written here are those that the domain has, by their names."""
    for moves, transitions in (
        (PAYMENT_MOVES, PAYMENT_TRANSITIONS),
        (REFUND_MOVES, REFUND_TRANSITIONS),
    ):
        assert {name for _, name in moves} == {one.name for one in transitions}


def test_an_answer_is_kept_with_its_moment() -> None:
    """A payment and a refund keep what the provider said, and when."""
    pending = payment(PaymentStatus.PENDING)
    taken = pending.succeeded("txn_1", LATER)
    assert (taken.transaction_id, taken.processed_at, taken.decline_code) == ("txn_1", LATER, None)
    declined = pending.declined(DeclineCode.CARD_DECLINED, LATER)
    assert (declined.decline_code, declined.processed_at) == (DeclineCode.CARD_DECLINED, LATER)
    refund = Refund("ref_1", "pay_1", 100, "USD", "", NOW, NOW)
    assert refund.finished(LATER).finished_at == refund.failed(LATER).finished_at == LATER


@pytest.mark.parametrize("state", PaymentStatus)
def test_money_is_set_aside_only_where_there_is_some(state: PaymentStatus) -> None:
    """A refund begins on a payment that holds money; any other names its state and refuses."""
    if state in {"SUCCESS", "PARTIALLY_REFUNDED"}:
        assert payment(state).setting_aside(15000).refundable_minor == 0
        return
    with pytest.raises(PaymentNotRefundable) as caught:
        payment(state).setting_aside(1)
    assert caught.value.metadata == {"paymentId": "pay_1", "status": state, "cause": state}


@pytest.mark.parametrize(
    ("refunded", "asked", "refusal"),
    [(0, 15001, RefundExceedsPayment), (14999, 2, RefundExceedsPayment),
     (15000, 1, PaymentNotRefundable)],
)  # fmt: skip
def test_no_more_than_is_left(refunded: int, asked: int, refusal: type[Exception]) -> None:
    """More than what is left is refused, and so is anything when nothing is left."""
    with pytest.raises(refusal):
        payment(PaymentStatus.SUCCESS, refunded_minor=refunded).setting_aside(asked)
