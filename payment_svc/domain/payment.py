"""Payments and refunds: states, and the sums that must hold.

PENDING ──succeed──► SUCCESS ──give back part──► PARTIALLY_REFUNDED ──► …
   ├────decline────► FAILED      └──give back all──► REFUNDED
   └────cancel─────► CANCELLED ──give back all─────────┘   (if it was taken after all)

A refund that fails after it was done leads back: the payment holds all, or part of it, again.
Inside, a PENDING payment or refund is also one of which nothing is known: its provider has given
no answer. Nothing else is begun with it until there is one.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from chassis import money
from chassis.cards import CardSummary
from chassis.transitions import Transition
from payment_svc.domain.errors import PaymentNotRefundable, RefundExceedsPayment
from payment_svc.domain.outcome import Answer, DeclineCode


class PaymentStatus(StrEnum):
    """Where a payment stands."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    REFUNDED = "REFUNDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    CANCELLED = "CANCELLED"


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
CANCEL = Transition("cancel", frozenset({_P.PENDING}), _P.CANCELLED)
GIVE_BACK_PART = Transition("give back part of", REFUNDABLE, _P.PARTIALLY_REFUNDED)
GIVE_BACK_ALL = Transition("give back all of", REFUNDABLE | {_P.CANCELLED}, _P.REFUNDED)
GIVEN_BACK = frozenset({_P.PARTIALLY_REFUNDED, _P.REFUNDED})
HOLD_PART_AGAIN = Transition("hold part again of", GIVEN_BACK, _P.PARTIALLY_REFUNDED)
HOLD_ALL_AGAIN = Transition("hold all again of", GIVEN_BACK, _P.SUCCESS)
PAYMENT_TRANSITIONS = (
    SUCCEED,
    DECLINE,
    CANCEL,
    GIVE_BACK_PART,
    GIVE_BACK_ALL,
    HOLD_PART_AGAIN,
    HOLD_ALL_AGAIN,
)

FINISH_REFUND = Transition("finish", frozenset({_R.PENDING}), _R.REFUNDED)
FAIL_REFUND = Transition("fail", frozenset({_R.PENDING}), _R.FAILED)
SEND_BACK_REFUND = Transition("send back", frozenset({_R.REFUNDED}), _R.FAILED)
REFUND_TRANSITIONS = (FINISH_REFUND, FAIL_REFUND, SEND_BACK_REFUND)


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
    # Until when one process may be asking the provider about it.
    leased_until: datetime
    status: PaymentStatus = PaymentStatus.PENDING
    # Given back, or set aside to be given back.
    refunded_minor: int = 0
    # Given back for certain.
    returned_minor: int = 0
    transaction_id: str = ""
    decline_code: DeclineCode | None = None
    processed_at: datetime | None = None
    # When the provider is to be asked about it; none: nothing about it is open.
    next_ask_at: datetime | None = None
    # How often that was done.
    asks: int = 0
    # What the provider said last of the charge; none: nothing yet, or nothing that is kept.
    last_answer: Answer | None = None
    # Whether its booking was called off: it must not keep money.
    called_off: bool = False

    @property
    def refundable_minor(self) -> int:
        """What is left to give back."""
        return self.amount_minor - self.refunded_minor

    @property
    def is_refundable(self) -> bool:
        """Whether it may be given back, or what is left of it."""
        return self.status in REFUNDABLE and self.refundable_minor > 0

    @property
    def must_go_back(self) -> bool:
        """Whether it was called off and holds money all the same."""
        off = self.called_off or self.status is PaymentStatus.CANCELLED
        return off and bool(self.transaction_id) and self.refundable_minor > 0

    @property
    def is_undecided(self) -> bool:
        """Whether its provider can still say whether it is taken."""
        may_be_taken = self.status is PaymentStatus.CANCELLED and not self.transaction_id
        waits = may_be_taken and self.next_ask_at is not None
        return self.status is PaymentStatus.PENDING or waits

    @property
    def is_unknown(self) -> bool:
        """Whether its provider was asked and has given no answer."""
        return self.status is PaymentStatus.PENDING and self.last_answer is Answer.UNKNOWN

    def succeeded(self, transaction_id: str, now: datetime) -> "Payment":
        """The same, with the money taken."""
        return self._answered(SUCCEED.apply(self.status), now, transaction_id=transaction_id)

    def declined(self, code: DeclineCode, now: datetime) -> "Payment":
        """The same, refused by the provider."""
        return self._answered(DECLINE.apply(self.status), now, decline_code=code)

    def cancelled(self) -> "Payment":
        """The same, not to be taken any more. What its provider makes of it stays open."""
        return replace(self, status=CANCEL.apply(self.status))

    def off(self) -> "Payment":
        """The same, of a booking that was called off."""
        return replace(self, called_off=True)

    def taken_after_all(self, transaction_id: str, now: datetime) -> "Payment":
        """The same, called off and taken: it must go back, also if a refund of it fails later."""
        return self._answered(self.status, now, transaction_id=transaction_id, called_off=True)

    def asked_between(self, before: "Payment") -> "Payment":
        """The same, but the schedule is that of before: this question was not on it."""
        if self.next_ask_at is None:
            return self
        return replace(self, next_ask_at=before.next_ask_at, asks=before.asks)

    def closed(self) -> "Payment":
        """The same, with nothing left to ask its provider about."""
        return replace(self, next_ask_at=None)

    def still_open(self, now: datetime, ask_again_at: datetime) -> "Payment":
        """The same, still without an answer; whoever repeats the call may ask at once."""
        return replace(self, leased_until=now, next_ask_at=ask_again_at, asks=self.asks + 1)

    def setting_aside(self, amount_minor: int) -> "Payment":
        """The same, with an amount set aside for a refund.

        Raises:
            PaymentNotRefundable: nothing was taken, or nothing is left.
            RefundExceedsPayment: less than that is left.
        """
        if not self.is_refundable:
            cause = "OUTCOME_UNKNOWN" if self.is_unknown else self.status
            raise PaymentNotRefundable(self.payment_id, self.status, cause)
        if amount_minor > self.refundable_minor:
            left = money.to_text(self.refundable_minor, self.currency)
            raise RefundExceedsPayment(self.payment_id, left, self.currency)
        aside = replace(self, refunded_minor=self.refunded_minor + amount_minor)
        # What was to be given back by itself is given back by this.
        return aside if aside.refundable_minor else aside.closed()

    def taking_back(self) -> "Payment":
        """The same, with all that it holds set aside to be given back."""
        return replace(self.closed(), refunded_minor=self.amount_minor)

    def given_back(self, amount_minor: int) -> "Payment":
        """The same, with an amount that was set aside given back for certain."""
        returned = self.returned_minor + amount_minor
        move = GIVE_BACK_ALL if returned == self.amount_minor else GIVE_BACK_PART
        return replace(self, status=move.apply(self.status), returned_minor=returned)

    def keeping(self, amount_minor: int, now: datetime, ask_again_at: datetime) -> "Payment":
        """The same, with an amount that was set aside part of it again.

        A payment that was called off must not keep it: that is tried again.
        """
        kept = replace(self, refunded_minor=self.refunded_minor - amount_minor)
        return kept.still_open(now, ask_again_at) if kept.must_go_back else kept

    def sent_back(self, amount_minor: int, now: datetime, ask_again_at: datetime) -> "Payment":
        """The same, with an amount that was given back part of it again: a bank sent it back."""
        returned = self.returned_minor - amount_minor
        move = HOLD_PART_AGAIN if returned else HOLD_ALL_AGAIN
        held = replace(self, status=move.apply(self.status), returned_minor=returned)
        return held.keeping(amount_minor, now, ask_again_at)

    def _answered(self, status: PaymentStatus, now: datetime, **said: Any) -> "Payment":
        return replace(self, status=status, processed_at=now, next_ask_at=None, **said)


@dataclass(frozen=True)
class Refund:
    """Money given back, or on its way back, from a payment."""

    refund_id: str
    payment_id: str
    amount_minor: int
    currency: str
    reason: str
    created_at: datetime
    # Until when one process may be asking the provider about it.
    leased_until: datetime
    status: RefundStatus = RefundStatus.PENDING
    finished_at: datetime | None = None
    # When the provider is to be asked again; none: it has answered.
    next_ask_at: datetime | None = None
    # How often that was done.
    asks: int = 0
    # What the provider said last; none: nothing yet.
    last_answer: Answer | None = None

    def is_unknown(self, now: datetime) -> bool:
        """Whether the provider gave no answer, or whoever waited for one is gone."""
        forsaken = self.last_answer is None and self.leased_until <= now
        unanswered = self.last_answer is Answer.UNKNOWN or forsaken
        return self.status is RefundStatus.PENDING and unanswered

    def taken_over(self, leased_until: datetime) -> "Refund":
        """The same, leased to another than who asked first, who is gone without an answer."""
        said = self.last_answer or Answer.UNKNOWN
        return replace(self, leased_until=leased_until, last_answer=said)

    def finished(self, now: datetime) -> "Refund":
        """The same, with the money given back."""
        return self._answered(FINISH_REFUND.apply(self.status), now)

    def failed(self, now: datetime) -> "Refund":
        """The same, refused by the provider."""
        return self._answered(FAIL_REFUND.apply(self.status), now)

    def asked_between(self, before: "Refund") -> "Refund":
        """The same, but the schedule is that of before: this question was not on it."""
        if self.next_ask_at is None:
            return self
        return replace(self, next_ask_at=before.next_ask_at, asks=before.asks)

    def sent_back(self, now: datetime) -> "Refund":
        """The same, failed after it was done."""
        return self._answered(SEND_BACK_REFUND.apply(self.status), now)

    def closed(self) -> "Refund":
        """The same, with nothing left to ask its provider about."""
        return replace(self, next_ask_at=None)

    def still_open(self, now: datetime, ask_again_at: datetime) -> "Refund":
        """The same, still without an answer; whoever repeats the call may ask at once."""
        return replace(self, leased_until=now, next_ask_at=ask_again_at, asks=self.asks + 1)

    def _answered(self, status: RefundStatus, now: datetime) -> "Refund":
        return replace(self, status=status, finished_at=now, next_ask_at=None)
