"""Storing what a provider answered, and giving back what nobody wants any more."""

from dataclasses import dataclass

import structlog

from payment_svc.domain.outcome import Outcome
from payment_svc.domain.payment import Payment, Refund
from payment_svc.domain.settling import is_unexpected, settle_payment, settle_refund
from payment_svc.ports import Ledger, Return
from payment_svc.usecases.asking import Asking
from payment_svc.usecases.records import Records

log = structlog.get_logger(__name__)

CALLED_OFF = "CALLED_OFF"


@dataclass(frozen=True)
class Settling:
    """Ends what a call to the provider has begun."""

    records: Records
    asking: Asking

    async def charged(self, payment: Payment, outcome: Outcome, *, voided: bool = False) -> Payment:
        """Store what became of a charge. A payment that was called off goes back at once."""

        async def unit(ledger: Ledger) -> tuple[Payment, Refund | None]:
            present = await ledger.lock_payment(payment.payment_id)
            if present is None:
                raise _gone(payment.payment_id)
            now, again_at = self.records.clock.now(), self.asking.again_at
            settled, refund = settle_payment(present, outcome, now, again_at, voided=voided), None
            if settled.must_go_back:
                settled, refund = await self.take_back(ledger, settled, CALLED_OFF)
            await self.records.save(ledger, present, settled)
            return settled, refund

        stored, refund = await self.asking.until_stored(lambda: self.records.write(unit))
        if is_unexpected(stored, outcome):
            log.error("declined_payment_was_taken", payment_id=stored.payment_id)
        if refund is not None:
            await self.give_back(stored, refund)
        return stored

    async def take_back(
        self, ledger: Ledger, payment: Payment, reason: str
    ) -> tuple[Payment, Refund]:
        """Set aside all that a payment holds, and store the refund of it."""
        refund = await self.add_refund(ledger, payment, payment.refundable_minor, reason)
        return payment.taking_back(), refund

    async def add_refund(
        self, ledger: Ledger, payment: Payment, amount_minor: int, reason: str, refund_id: str = ""
    ) -> Refund:
        """Store a refund, leased to this process, of an amount that is set aside."""
        now = self.records.clock.now()
        refund = Refund(
            refund_id=refund_id or self.records.ids.text("ref"),
            payment_id=payment.payment_id,
            amount_minor=amount_minor,
            currency=payment.currency,
            reason=reason,
            created_at=now,
            leased_until=self.asking.lease_end(),
            next_ask_at=now,
        )
        await ledger.add_refund(refund)
        return refund

    async def give_back(self, payment: Payment, refund: Refund) -> Refund:
        """Ask the provider for a stored refund, and store what it says."""
        order = Return(
            refund.refund_id, payment.transaction_id, refund.amount_minor, refund.currency
        )
        outcome = await self.asking.ask(self.asking.provider.refund(order), refund.refund_id)

        async def unit(ledger: Ledger) -> Refund:
            present = await ledger.lock_payment(refund.payment_id)
            stored = await ledger.refund(refund.refund_id)
            if present is None or stored is None:
                raise _gone(refund.refund_id)
            now, again_at = self.records.clock.now(), self.asking.again_at
            after, settled = settle_refund(present, stored, outcome, now, again_at)
            await self.records.save(ledger, present, after)
            if settled != stored:
                await ledger.save_refund(settled)
                if after.must_go_back:
                    log.warning("late_refund_refused", payment_id=after.payment_id, asks=after.asks)
            return settled

        return await self.asking.until_stored(lambda: self.records.write(unit))


def _gone(name: str) -> LookupError:
    return LookupError(f"{name} or what it belongs to is gone")
