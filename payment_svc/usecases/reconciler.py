"""Asking providers about what is open, so that nothing stays open for want of a caller."""

from payment_svc.domain.outcome import NotDone
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from payment_svc.domain.settling import is_abandoned
from payment_svc.usecases.parallel import for_each
from payment_svc.usecases.settling import Settling

BATCH = 100


class Reconciler:
    """Resolves payments and refunds without an answer, soon at first and then slower.

    Several replicas may run it: each piece of work is leased by a conditional update.
    """

    def __init__(self, settling: Settling) -> None:
        """Work on these."""
        self._settling = settling
        self._records = settling.records
        self._asking = settling.asking

    async def run_once(self) -> bool:
        """Ask about one batch of what is due; true if there may be more."""
        now = self._records.clock.now()
        payments = await self._records.read(lambda ledger: ledger.due_payments(now, BATCH))
        await for_each(payments, self._payment)
        refunds = await self._records.read(lambda ledger: ledger.due_refunds(now, BATCH))
        await for_each(refunds, self._refund)
        return BATCH in (len(payments), len(refunds))

    async def _payment(self, payment: Payment) -> None:
        now, until = self._records.clock.now(), self._asking.lease_end()
        leased = await self._records.write(
            lambda ledger: ledger.lease_payment(payment.payment_id, now, until)
        )
        if not leased:
            return
        # Only what is about to be settled is asked for; all else is settled by what is stored.
        match payment.status:
            case PaymentStatus.PENDING:
                await self._look_up(payment)
            case PaymentStatus.CANCELLED if not payment.transaction_id:
                await self._void(payment)
            case _:
                await self._settling.charged(payment, NotDone())

    async def _look_up(self, payment: Payment) -> None:
        lookup = self._asking.provider.lookup(payment.payment_id)
        outcome = await self._asking.ask(lookup, payment.payment_id)
        if outcome == NotDone() and is_abandoned(payment, self._records.clock.now()):
            await self._void(payment)
        else:
            await self._settling.charged(payment, outcome)

    async def _void(self, payment: Payment) -> None:
        void = self._asking.provider.void(payment.payment_id)
        outcome = await self._asking.ask(void, payment.payment_id)
        await self._settling.charged(payment, outcome, voided=True)

    async def _refund(self, refund: Refund) -> None:
        now, until = self._records.clock.now(), self._asking.lease_end()
        leased = await self._records.write(
            lambda ledger: ledger.lease_refund(refund.refund_id, now, until)
        )
        if not leased:
            return
        if refund.status is not RefundStatus.PENDING:
            # An older version has settled it, and does not know when to ask.
            await self._records.write(lambda ledger: ledger.save_refund(refund.closed()))
            return
        payment = await self._records.read(lambda ledger: ledger.payment(refund.payment_id))
        if payment is not None:
            await self._settling.give_back(payment, refund)
