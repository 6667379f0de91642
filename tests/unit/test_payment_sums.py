"""The sums of a payment, whatever becomes of its refunds and in whatever order."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.cards import CardSummary
from payment_svc.domain.errors import PaymentNotRefundable, RefundExceedsPayment
from payment_svc.domain.payment import Payment, PaymentStatus

NOW = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
AMOUNTS = st.integers(min_value=1, max_value=30)
# Which of the open refunds the provider settles, and whether it gives back.
SETTLEMENTS = st.tuples(st.integers(min_value=0, max_value=9), st.booleans())


def taken(amount_minor: int) -> Payment:
    visa = CardSummary("CREDIT_CARD", "visa", "1111")
    new = Payment("pay_1", "BK-1", "ann", "USD", amount_minor, visa, NOW, NOW)
    return new.succeeded("txn_1", NOW)


def expected_status(payment: Payment) -> PaymentStatus:
    if payment.returned_minor == payment.amount_minor:
        return PaymentStatus.REFUNDED
    some = payment.returned_minor > 0
    return PaymentStatus.PARTIALLY_REFUNDED if some else PaymentStatus.SUCCESS


def begin(payment: Payment, amount_minor: int) -> tuple[Payment, bool]:
    """Begin a refund, if the payment allows it; it must if the amount is left."""
    fits = amount_minor <= payment.refundable_minor
    try:
        payment = payment.setting_aside(amount_minor)
    except (PaymentNotRefundable, RefundExceedsPayment):
        assert not fits
    else:
        assert fits
    return payment, fits


@settings(max_examples=200)
@given(amount=AMOUNTS, events=st.lists(st.one_of(AMOUNTS, SETTLEMENTS), max_size=30))
def test_returned_never_passes_refunded_never_passes_amount(
    amount: int, events: list[int | tuple[int, bool]]
) -> None:
    """For any refunds that begin, succeed and fail: returned ≤ refunded ≤ amount, status to match.

    What is refunded but not returned is what open refunds have set aside.
    """
    payment = taken(amount)
    still_open: list[int] = []
    for event in events:
        if isinstance(event, int):
            payment, begun = begin(payment, event)
            still_open += [event] if begun else []
        elif still_open:
            which, succeeds = event
            settled = still_open.pop(which % len(still_open))
            kept = payment.keeping(settled, NOW, NOW)
            payment = payment.given_back(settled) if succeeds else kept
        assert 0 <= payment.returned_minor <= payment.refunded_minor <= payment.amount_minor
        assert payment.refunded_minor - payment.returned_minor == sum(still_open)
        assert payment.status == expected_status(payment)
