"""Seeing to it that no money stays taken for a booking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chassis.tasks import Tasks
from payment_svc.domain.payment import REFUNDABLE, Payment, PaymentStatus, Refund
from payment_svc.ports import Ledger
from payment_svc.usecases.parallel import for_each
from payment_svc.usecases.settling import Settling


@dataclass(frozen=True)
class _Undoing:
    """What is left to do about a payment that is called off."""

    payment: Payment
    # Money to give back; none: its charge is to be voided.
    refund: Refund | None = None


class CancelPayment:
    """Calls bookings off: what is taken goes back, and nothing is taken any more."""

    def __init__(self, settling: Settling, tasks: Tasks) -> None:
        """Work on these; what has begun goes on as one of `tasks` when the caller leaves."""
        self._settling = settling
        self._records = settling.records
        self._asking = settling.asking
        self._tasks = tasks

    async def __call__(self, booking_reference: str, reason: str) -> Sequence[Payment]:
        """Call a booking off; all its payments as they then are, oldest first."""
        return await self._tasks.finish(self._cancel(booking_reference, reason), "cancel")

    async def _cancel(self, booking_reference: str, reason: str) -> Sequence[Payment]:
        begun = await self._records.write(
            lambda ledger: self._begin(ledger, booking_reference, reason)
        )
        await for_each(begun, self._undo)
        return await self._records.read(lambda ledger: ledger.payments_of(booking_reference))

    async def _begin(self, ledger: Ledger, booking_reference: str, reason: str) -> list[_Undoing]:
        """Call off, wholly in one transaction: no payment can come in between."""
        await ledger.call_off(booking_reference, reason, self._records.clock.now())
        begun: list[_Undoing] = []
        for found in await ledger.payments_of(booking_reference):
            payment = await ledger.lock_payment(found.payment_id)
            if payment is not None:
                begun += await self._call_off(ledger, payment, reason)
        return begun

    async def _call_off(self, ledger: Ledger, payment: Payment, reason: str) -> list[_Undoing]:
        left = payment.refundable_minor
        if payment.must_go_back:
            off = payment.taking_back()
        elif payment.status in REFUNDABLE and left > 0:
            off = payment.setting_aside(left)
        elif payment.status is PaymentStatus.PENDING:
            off = payment.cancelled()
        else:
            off = payment
        await self._records.save(ledger, payment, off)
        undoing = [_Undoing(off)] if _is_open(off) else []
        undoing += [_Undoing(off, one) for one in await self._taken_over(ledger, off)]
        if off.refunded_minor > payment.refunded_minor:
            refund = await self._settling.add_refund(ledger, off, left, reason)
            undoing.append(_Undoing(off, refund))
        return undoing

    async def _taken_over(self, ledger: Ledger, payment: Payment) -> list[Refund]:
        """The refunds that were left open, leased to this process."""
        taken = []
        for refund in await ledger.open_refunds(payment.payment_id):
            if refund.leased_until <= self._records.clock.now():
                leased = replace(refund, leased_until=self._asking.lease_end())
                await ledger.save_refund(leased)
                taken.append(leased)
        return taken

    async def _undo(self, undoing: _Undoing) -> None:
        payment = undoing.payment
        if undoing.refund is not None:
            await self._settling.give_back(payment, undoing.refund)
        else:
            void = self._asking.provider.void(payment.payment_id)
            outcome = await self._asking.ask(void, payment.payment_id)
            await self._settling.charged(payment, outcome, voided=True)


def _is_open(payment: Payment) -> bool:
    """Whether its charge may still come."""
    off = payment.status is PaymentStatus.CANCELLED and not payment.transaction_id
    return off and payment.next_ask_at is not None
