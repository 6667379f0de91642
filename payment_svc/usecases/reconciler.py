"""Asking providers about what is open, so that nothing stays open for want of a caller."""

from collections.abc import Sequence

from chassis import tracing
from payment_svc.domain.log import Action
from payment_svc.domain.outcome import NotDone
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from payment_svc.domain.settling import is_abandoned
from payment_svc.usecases.asking import charge_of
from payment_svc.usecases.parallel import for_each
from payment_svc.usecases.settling import Settling, Told

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

    async def look(self, payment: Payment, refunds: Sequence[Refund]) -> None:
        """Ask about what is open of a payment now, due or not, unless that was just done.

        That is not on the schedule, and does not change it: somebody may look all the time.
        """
        if payment.is_undecided:
            await self._payment(payment, scheduled=False)
        for refund in refunds:
            if refund.status is RefundStatus.PENDING:
                await self._refund(refund, scheduled=False)

    async def _payment(self, payment: Payment, *, scheduled: bool = True) -> None:
        tracing.note(payment_id=payment.payment_id, booking_reference=payment.booking_reference)
        lease = self._asking.due() if scheduled else self._asking.open()
        leased = await self._records.write(
            lambda ledger: ledger.lease_payment(payment.payment_id, lease)
        )
        if not leased:
            return
        # Only what is about to be settled is asked for; all else is settled by what is stored.
        match payment.status:
            case PaymentStatus.PENDING:
                await self._look_up(payment, scheduled=scheduled)
            case PaymentStatus.CANCELLED if not payment.transaction_id:
                await self._void(payment, scheduled=scheduled)
            case _:
                await self._settling.go_back(payment)

    async def _look_up(self, payment: Payment, *, scheduled: bool) -> None:
        lookup = self._asking.provider.lookup(charge_of(payment))
        outcome = await self._asking.ask(lookup, payment.payment_id)
        if outcome == NotDone() and is_abandoned(payment, self._records.clock.now()):
            await self._void(payment, scheduled=scheduled)
        else:
            told = Told(Action.LOOKUP, outcome, scheduled=scheduled)
            await self._settling.charged(payment, told)

    async def _void(self, payment: Payment, *, scheduled: bool) -> None:
        void = self._asking.provider.void(charge_of(payment))
        outcome = await self._asking.ask(void, payment.payment_id)
        await self._settling.charged(payment, Told(Action.VOID, outcome, scheduled=scheduled))

    async def _refund(self, refund: Refund, *, scheduled: bool = True) -> None:
        lease = self._asking.due() if scheduled else self._asking.open()
        leased = await self._records.write(
            lambda ledger: ledger.lease_refund(refund.refund_id, lease)
        )
        if not leased:
            return
        if refund.status is not RefundStatus.PENDING:
            # An older version has settled it, and does not know when to ask.
            await self._records.write(lambda ledger: ledger.save_refund(refund.closed()))
            return
        payment = await self._records.read(lambda ledger: ledger.payment(refund.payment_id))
        if payment is not None:
            tracing.note(payment_id=payment.payment_id, booking_reference=payment.booking_reference)
            await self._settling.give_back(payment, refund, scheduled=scheduled)
