"""Payments and refunds: states, and the sums that must hold.

PENDING ──succeed──► SUCCESS ──give back part──► PARTIALLY_REFUNDED ──► …
   └────decline────► FAILED      └──give back all──► REFUNDED
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis import money
from chassis.cards import CardSummary
from chassis.transitions import Transition
from payment_svc.domain.errors import PaymentNotRefundable, RefundExceedsPayment
from payment_svc.domain.outcome import DeclineCode


class PaymentStatus(StrEnum):
    """Where a payment stands."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    REFUNDED = "REFUNDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"


class RefundStatus(StrEnum):
    """Where a refund stands."""

    PENDING = "PENDING"
    REFUNDED = "REFUNDED"
    FAILED = "FAILED"


_P = PaymentStatus
_R = RefundStatus
REFUNDABLE = frozenset({_P.SUCCESS, _P.PARTIALLY_REFUNDED})

SUCCEED = Transition("succeed", frozenset({_P.PENDING}), _P.SUCCESS)
DECLINE = Transition("decline", frozenset({_P.PENDING}), _P.FAILED)
GIVE_BACK_PART = Transition("give back part of", REFUNDABLE, _P.PARTIALLY_REFUNDED)
GIVE_BACK_ALL = Transition("give back all of", REFUNDABLE, _P.REFUNDED)
PAYMENT_TRANSITIONS = (SUCCEED, DECLINE, GIVE_BACK_PART, GIVE_BACK_ALL)

FINISH_REFUND = Transition("finish", frozenset({_R.PENDING}), _R.REFUNDED)
FAIL_REFUND = Transition("fail", frozenset({_R.PENDING}), _R.FAILED)
REFUND_TRANSITIONS = (FINISH_REFUND, FAIL_REFUND)


@dataclass(frozen=True)
class Payment:
    """Money taken, or to be taken, for a booking."""

    payment_id: str
    booking_reference: str
    user_id: str
    currency: str
    amount_minor: int
    method: CardSummary
    created_at: datetime
    # While PENDING: until when one process may be asking the provider about it.
    leased_until: datetime
    status: PaymentStatus = PaymentStatus.PENDING
    # Given back, or set aside to be given back.
    refunded_minor: int = 0
    # Given back for certain.
    returned_minor: int = 0
    transaction_id: str = ""
    decline_code: DeclineCode | None = None
    processed_at: datetime | None = None

    @property
    def refundable_minor(self) -> int:
        """What is left to give back."""
        return self.amount_minor - self.refunded_minor

    def succeeded(self, transaction_id: str, now: datetime) -> "Payment":
        """The same, with the money taken."""
        status = SUCCEED.apply(self.status)
        return replace(self, status=status, transaction_id=transaction_id, processed_at=now)

    def declined(self, code: DeclineCode, now: datetime) -> "Payment":
        """The same, refused by the provider."""
        return replace(self, status=DECLINE.apply(self.status), decline_code=code, processed_at=now)

    def setting_aside(self, amount_minor: int) -> "Payment":
        """The same, with an amount set aside for a refund.

        Raises:
            PaymentNotRefundable: nothing was taken, or nothing is left.
            RefundExceedsPayment: less than that is left.
        """
        if self.status not in REFUNDABLE or self.refundable_minor == 0:
            raise PaymentNotRefundable(self.payment_id, self.status)
        if amount_minor > self.refundable_minor:
            left = money.to_text(self.refundable_minor, self.currency)
            raise RefundExceedsPayment(self.payment_id, left, self.currency)
        return replace(self, refunded_minor=self.refunded_minor + amount_minor)

    def given_back(self, amount_minor: int) -> "Payment":
        """The same, with an amount that was set aside given back for certain."""
        returned = self.returned_minor + amount_minor
        move = GIVE_BACK_ALL if returned == self.amount_minor else GIVE_BACK_PART
        return replace(self, status=move.apply(self.status), returned_minor=returned)

    def keeping(self, amount_minor: int) -> "Payment":
        """The same, with an amount that was set aside part of it again."""
        return replace(self, refunded_minor=self.refunded_minor - amount_minor)


@dataclass(frozen=True)
class Refund:
    """Money given back, or on its way back, from a payment."""

    refund_id: str
    payment_id: str
    amount_minor: int
    currency: str
    reason: str
    created_at: datetime
    # While PENDING: until when one process may be asking the provider about it.
    leased_until: datetime
    status: RefundStatus = RefundStatus.PENDING
    finished_at: datetime | None = None

    def finished(self, now: datetime) -> "Refund":
        """The same, with the money given back."""
        return replace(self, status=FINISH_REFUND.apply(self.status), finished_at=now)

    def failed(self, now: datetime) -> "Refund":
        """The same, refused by the provider."""
        return replace(self, status=FAIL_REFUND.apply(self.status), finished_at=now)
