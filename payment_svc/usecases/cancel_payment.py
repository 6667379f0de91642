"""Seeing to it that no money stays taken for a booking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chassis.tasks import Tasks
from payment_svc.domain.payment import Payment, PaymentStatus, Refund
from payment_svc.ports import Ledger
from payment_svc.usecases.parallel import for_each
from payment_svc.usecases.settling import Settling


@dataclass(frozen=True)
class _Void:
    """A charge to call off."""

    payment: Payment


@dataclass(frozen=True)
class _GiveBack:
    """Money to give back."""

    payment: Payment
    refund: Refund


_Undoing = _Void | _GiveBack


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
        off = payment
        undoing: list[_Undoing] = [
            _GiveBack(payment, one) for one in await self._taken_over(ledger, payment)
        ]
        if payment.must_go_back or payment.is_refundable:
            off, refund = await self._settling.take_back(ledger, payment, reason)
            undoing.append(_GiveBack(off, refund))
        elif self._is_to_be_voided(payment):
            cancelled = payment.cancelled() if _is_pending(payment) else payment
            off = replace(cancelled, leased_until=self._asking.lease_end())
            undoing.append(_Void(off))
        await self._records.save(ledger, payment, off)
        return undoing

    def _is_to_be_voided(self, payment: Payment) -> bool:
        """Whether its charge may still come, and nobody else is calling it off."""
        if _is_pending(payment):
            # Whoever is charging it has a lease, and must not be waited for.
            return True
        off = payment.status is PaymentStatus.CANCELLED and not payment.transaction_id
        is_open = off and payment.next_ask_at is not None
        return is_open and payment.leased_until <= self._records.clock.now()

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
        match undoing:
            case _GiveBack(refund=refund):
                await self._settling.give_back(payment, refund)
            case _Void():
                void = self._asking.provider.void(payment.payment_id)
                outcome = await self._asking.ask(void, payment.payment_id)
                await self._settling.charged(payment, outcome, voided=True)


def _is_pending(payment: Payment) -> bool:
    return payment.status is PaymentStatus.PENDING
