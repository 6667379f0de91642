"""What the payment adapter measures; what every program measures is in `chassis/metrics.py`."""

from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

from payment_svc.domain.outcome import DeclineCode
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus

# A provider takes seconds; a payment that it does not decide takes minutes or days.
PAYMENT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
ANSWER_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)

PAYMENTS = Counter(
    "holdfast_payments",
    "Payments that were settled, and why those that were declined were",
    ["outcome", "reason"],
)
PAYMENT_DURATION = Histogram(
    "holdfast_payment_duration_seconds",
    "From asking for a payment to its being settled",
    ["outcome"],
    buckets=PAYMENT_BUCKETS,
)
REFUNDS = Counter("holdfast_refunds", "Refunds that were settled", ["outcome"])
ANSWERS = Counter(
    "holdfast_provider_requests",
    "Requests to the provider, and what it answered",
    ["provider", "operation", "outcome"],
)
ANSWERING = Histogram(
    "holdfast_provider_request_seconds",
    "How long the provider takes to answer",
    ["provider", "operation"],
    buckets=ANSWER_BUCKETS,
)
PAYMENTS_OPEN = Gauge(
    "holdfast_payments_open",
    "Payments about which the provider is still to be asked; every replica counts the same ones",
)
PAYMENT_OLDEST = Gauge(
    "holdfast_payment_oldest_open_seconds",
    "How long ago the oldest of them was asked for; 0 when there is none",
)
REFUNDS_OPEN = Gauge(
    "holdfast_refunds_open",
    "Refunds about which the provider is still to be asked; every replica counts the same ones",
)
REFUND_OLDEST = Gauge(
    "holdfast_refund_oldest_open_seconds",
    "How long ago the oldest of them was asked for; 0 when there is none",
)
WEBHOOKS = Counter(
    "holdfast_webhooks",
    "Webhooks: applied, duplicate, kept until what they are about is here, ignored or refused",
    ["provider", "outcome"],
)
APPLIED, DUPLICATE, KEPT, IGNORED, REFUSED = "applied", "duplicate", "kept", "ignored", "refused"


def settled(one: Payment | Refund, now: datetime) -> None:
    """Count a payment or a refund that has just been settled."""
    if isinstance(one, Refund):
        REFUNDS.labels(one.status).inc()
        return
    reason = one.decline_code or "" if one.status is PaymentStatus.FAILED else ""
    PAYMENTS.labels(one.status, reason).inc()
    # Another replica's clock may have been ahead.
    waited_s = max(0.0, (now - one.created_at).total_seconds())
    PAYMENT_DURATION.labels(one.status).observe(waited_s)


# Series that are there from the start: an alert on the first of its kind sees it rise from 0.
for _status in (PaymentStatus.SUCCESS, PaymentStatus.CANCELLED):
    PAYMENTS.labels(_status, "")
for _code in DeclineCode:
    PAYMENTS.labels(PaymentStatus.FAILED, _code)
for _outcome in (RefundStatus.REFUNDED, RefundStatus.FAILED):
    REFUNDS.labels(_outcome)
