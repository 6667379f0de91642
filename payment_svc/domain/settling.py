"""What an answer of the provider makes of a payment or a refund: every pair, in one place.

    payment is   Succeeded        Declined   NotDone               Pending, Unknown
    PENDING      SUCCESS          FAILED     CANCELLED if voided   asked again
    CANCELLED    must go back     closed     closed if voided      asked again
    any other    stays            stays      stays                 stays

    refund is    Succeeded   Declined                           NotDone, Pending, Unknown
    PENDING      REFUNDED    FAILED, the amount is kept         asked again
    REFUNDED     stays       FAILED, the amount is held again   stays
    FAILED       stays       stays                              stays

A success of a FAILED payment is more than that: see `is_unexpected`.
What is told twice, late or in another order than it happened is harmless: no state goes back to
PENDING, and what fails after it was done stays so.
NotDone alone settles nothing: a charge that is on its way may still come. Only when the
provider was asked to void the charge does NotDone mean that it will not.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from payment_svc.domain.outcome import Declined, NotDone, Outcome, Succeeded, answer_of
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus

# 1 s, 2 s, 4 s, … by then minutes, and from the 13th time on hourly.
ASK_AFTER_MAX_S = 3600
DOUBLINGS_MAX = 12
JITTER = 0.2
# After so long nobody repeats a call any more whose charge the provider has never seen.
ABANDONED_AFTER_S = 15 * 60

# When to ask next, after so many times without an answer.
AgainAt = Callable[[int], datetime]


def ask_again_at(asks: int, now: datetime, random: Random) -> datetime:
    """When to ask next, after so many times without an answer."""
    delay_s = min(ASK_AFTER_MAX_S, 2 ** min(asks, DOUBLINGS_MAX))
    return now + timedelta(seconds=delay_s * random.uniform(1 - JITTER, 1 + JITTER))


def is_abandoned(payment: Payment, now: datetime) -> bool:
    """Whether it is too old for anybody to be still about to charge it."""
    return now - payment.created_at >= timedelta(seconds=ABANDONED_AFTER_S)


def is_unexpected(payment: Payment, outcome: Outcome) -> bool:
    """Whether a provider says that it took what it had declined: money that nobody expects."""
    return payment.status is PaymentStatus.FAILED and isinstance(outcome, Succeeded)


def settle_payment(
    payment: Payment, outcome: Outcome, now: datetime, again_at: AgainAt, *, voided: bool
) -> Payment:
    """The payment as an answer leaves it; `voided`: the answer is that to a void."""
    match payment.status:
        case PaymentStatus.PENDING:
            settled = _settle_pending(payment, outcome, now, again_at, voided=voided)
        case PaymentStatus.CANCELLED if not payment.transaction_id:
            settled = _settle_cancelled(payment, outcome, now, again_at, voided=voided)
        case _:
            return payment if payment.must_go_back else payment.closed()
    return replace(settled, last_answer=answer_of(outcome))


def _settle_pending(
    payment: Payment, outcome: Outcome, now: datetime, again_at: AgainAt, *, voided: bool
) -> Payment:
    match outcome:
        case Succeeded(transaction_id):
            return payment.succeeded(transaction_id, now)
        case Declined(code):
            return payment.declined(code, now)
        case NotDone() if voided:
            return payment.cancelled().closed()
    return payment.still_open(now, again_at(payment.asks))


def _settle_cancelled(
    payment: Payment, outcome: Outcome, now: datetime, again_at: AgainAt, *, voided: bool
) -> Payment:
    match outcome:
        case Succeeded(transaction_id):
            return payment.taken_after_all(transaction_id, now)
        case Declined():
            return payment.closed()
        case NotDone() if voided:
            return payment.closed()
    # What was closed by an earlier answer is not opened by a later one that says nothing.
    if payment.next_ask_at is None:
        return payment
    return payment.still_open(now, again_at(payment.asks))


def settle_refund(
    payment: Payment, refund: Refund, outcome: Outcome, now: datetime, again_at: AgainAt
) -> tuple[Payment, Refund]:
    """A payment and one of its refunds, as an answer leaves them."""
    match refund.status:
        case RefundStatus.PENDING:
            settled = _settle_open_refund(payment, refund, outcome, now, again_at)
        case RefundStatus.REFUNDED if isinstance(outcome, Declined):
            held = payment.sent_back(refund.amount_minor, now, again_at(payment.asks))
            settled = held, refund.sent_back(now)
        case _:
            return payment, refund.closed()
    after, told = settled
    return after, replace(told, last_answer=answer_of(outcome))


def _settle_open_refund(
    payment: Payment, refund: Refund, outcome: Outcome, now: datetime, again_at: AgainAt
) -> tuple[Payment, Refund]:
    match outcome:
        case Succeeded():
            return payment.given_back(refund.amount_minor), refund.finished(now)
        case Declined():
            # What is tried anew is a new refund, so how often it was is counted on the payment.
            kept = payment.keeping(refund.amount_minor, now, again_at(payment.asks))
            return kept, refund.failed(now)
    return payment, refund.still_open(now, again_at(refund.asks))
