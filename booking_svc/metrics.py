"""What the orchestrator measures; what every program measures is in `chassis/metrics.py`."""

from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

from booking_svc.domain.booking import Booking, BookingStatus
from booking_svc.domain.errors import PaymentFailed, SeatsLost
from booking_svc.domain.outcome import GivenUp, Refused

# A booking takes seconds; one that waits for its payment minutes or hours.
BOOKING_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)
ACTION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Why a saga turns back, where that is a refusal. Others say things that we do not know yet.
REASONS = frozenset(
    {
        *("PAYMENT_FAILED", "INVALID_FIELD", "PAYMENT_NOT_REFUNDABLE"),
        *("RESERVATION_EXPIRED", "RESERVATION_NOT_ACTIVE", "RESERVATION_NOT_FOUND"),
    }
)
CANCELLED, GIVEN_UP, OTHER = "CANCELLED", "GIVEN_UP", "OTHER"

BOOKINGS = Counter(
    "holdfast_bookings",
    "Bookings that were settled, and why those that failed did",
    ["outcome", "reason"],
)
BOOKING_DURATION = Histogram(
    "holdfast_booking_duration_seconds",
    "From asking for a booking to its being CONFIRMED or FAILED",
    ["outcome"],
    buckets=BOOKING_BUCKETS,
)
ROLLBACKS = Counter("holdfast_saga_rollbacks", "Sagas that turned back, and why", ["reason"])
ACTIONS = Counter(
    "holdfast_saga_actions", "Actions of sagas, and what they came to", ["action", "outcome"]
)
ACTION_DURATION = Histogram(
    "holdfast_saga_action_seconds",
    "How long the actions of sagas take",
    ["action"],
    buckets=ACTION_BUCKETS,
)
SAGAS = Gauge(
    "holdfast_sagas",
    "Sagas in the database that have not ended; every replica counts the same ones",
    ["state"],
)
OLDEST = Gauge(
    "holdfast_saga_oldest_seconds",
    "How long ago the oldest saga that is RUNNING began; 0 when there is none",
)
UNKNOWN = Gauge(
    "holdfast_sagas_unknown",
    "Sagas in the database that have not ended, of definitions that this version does not know",
)
HERE = Gauge("holdfast_sagas_here", "Sagas that run in this process")
RECOVERIES = Counter(
    "holdfast_saga_recoveries",
    "Sagas taken over: their process was gone, or they had waited long enough",
    ["saga"],
)


def turned_back(outcome: object) -> None:
    """Count a saga that turned back because of this outcome of its action."""
    reason = GIVEN_UP if isinstance(outcome, GivenUp) else OTHER
    if isinstance(outcome, Refused) and outcome.reason in REASONS:
        reason = outcome.reason
    ROLLBACKS.labels(reason).inc()


def settled(booking: Booking, now: datetime) -> None:
    """Count a booking whose saga has ended."""
    failure = booking.failure if booking.status is BookingStatus.FAILED else None
    reason = failure.reason if failure else ""
    BOOKINGS.labels(booking.status, reason).inc()
    if booking.status is not BookingStatus.CANCELLED:
        # Another replica's clock may have been ahead.
        waited_s = max(0.0, (now - booking.created_at).total_seconds())
        BOOKING_DURATION.labels(booking.status).observe(waited_s)


# Series that are there from the start: an alert on the first of its kind sees it rise from 0.
for _reason in sorted(REASONS | {CANCELLED, GIVEN_UP, OTHER}):
    ROLLBACKS.labels(_reason)
for _status, _reason in (
    (BookingStatus.CONFIRMED, ""),
    (BookingStatus.CANCELLED, ""),
    (BookingStatus.FAILED, PaymentFailed.reason),
    (BookingStatus.FAILED, SeatsLost.reason),
):
    BOOKINGS.labels(_status, _reason)
