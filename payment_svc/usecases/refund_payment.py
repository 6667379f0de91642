"""Giving a payment back, whole or in part."""

from dataclasses import dataclass

from chassis import money
from chassis.errors import IdempotencyKeyInUse, InvalidField
from chassis.idempotency import Claim, fingerprint
from chassis.tasks import Tasks
from payment_svc.domain.errors import PaymentNotFound, PaymentNotRefundable
from payment_svc.domain.payment import Payment, Refund, RefundStatus
from payment_svc.ports import Ledger
from payment_svc.usecases.settling import Settling


@dataclass(frozen=True)
class NewRefund:
    """A refund to make."""

    key: str
    # Whose key it is, too: whichever replica asks, the key means the same.
    payment_id: str
    # In decimals of the payment's currency; none: all that is left.
    amount: str | None
    reason: str
    # Who asks, for the log.
    caller: str


@dataclass(frozen=True)
class Refunded:
    """A refund, and whether the key named it before."""

    refund: Refund
    replayed: bool


@dataclass(frozen=True)
class _Begun:
    payment: Payment
    refund: Refund
    replayed: bool


class RefundPayment:
    """Gives payments back: never more than was taken, each key once."""

    def __init__(self, settling: Settling, tasks: Tasks) -> None:
        """Work on these; what has begun goes on as one of `tasks` when the caller leaves."""
        self._settling = settling
        self._records = settling.records
        self._asking = settling.asking
        self._tasks = tasks

    async def __call__(self, request: NewRefund) -> Refunded:
        """Give back, or return the refund that the key named before.

        Raises:
            PaymentNotFound, PaymentNotRefundable, RefundExceedsPayment: as named.
            InvalidField: a bad amount.
            IdempotencyKeyReused, IdempotencyKeyInUse: as named.
        """
        return await self._tasks.finish(self._refund(request), "refund")

    async def _refund(self, request: NewRefund) -> Refunded:
        begun = await self._records.write(lambda ledger: self._begin(ledger, request))
        if begun.refund.status is not RefundStatus.PENDING:
            return Refunded(begun.refund, begun.replayed)
        refund = await self._settling.give_back(begun.payment, begun.refund)
        return Refunded(refund, begun.replayed)

    async def _begin(self, ledger: Ledger, request: NewRefund) -> _Begun:
        """Set the amount aside under a lock, or find the refund of an earlier call."""
        now = self._records.clock.now()
        refund_id = self._records.ids.text("ref")
        payment = await ledger.lock_payment(request.payment_id)
        if payment is None:
            raise PaymentNotFound(request.payment_id)
        asked_minor = _asked_minor(request, payment)
        digest = fingerprint("RefundPayment", asked_minor, request.reason)
        claim = Claim(payment.payment_id, request.key, digest, refund_id, now)
        earlier = await ledger.keys.claim(claim) if request.key else None
        if earlier is not None:
            earlier.require_same_request(digest)
            return await self._take_over(ledger, payment, earlier.subject)
        amount_minor = payment.refundable_minor if asked_minor is None else asked_minor
        aside = payment.setting_aside(amount_minor)
        await self._require_all_known(ledger, payment)
        await self._records.save(ledger, payment, aside)
        refund = self._settling.new_refund(aside, amount_minor, request.reason, refund_id)
        await self._settling.add_refund(ledger, aside, refund, request.caller)
        return _Begun(aside, refund, replayed=False)

    async def _require_all_known(self, ledger: Ledger, payment: Payment) -> None:
        """Begin nothing while it is not known what became of an earlier refund."""
        if payment.refunded_minor == payment.returned_minor:
            return
        now = self._records.clock.now()
        if any(one.is_unknown(now) for one in await ledger.refunds_of(payment.payment_id)):
            raise PaymentNotRefundable(payment.payment_id, payment.status, "REFUND_UNKNOWN")

    async def _take_over(self, ledger: Ledger, payment: Payment, refund_id: str) -> _Begun:
        refund = await ledger.refund(refund_id)
        if refund is None:
            message = f"refund {refund_id} has a key and no row"
            raise LookupError(message)
        if refund.status is RefundStatus.PENDING:
            if refund.leased_until > self._records.clock.now():
                raise IdempotencyKeyInUse
            refund = refund.taken_over(self._asking.lease_end())
            await ledger.save_refund(refund)
        return _Begun(payment, refund, replayed=True)


def _asked_minor(request: NewRefund, payment: Payment) -> int | None:
    if request.amount is None:
        return None
    try:
        return money.to_minor(request.amount, payment.currency)
    except money.MoneyError as error:
        raise InvalidField(("amount", str(error))) from None
