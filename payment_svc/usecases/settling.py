"""Storing what a provider answered, and giving back what nobody wants any more."""

from dataclasses import dataclass

from payment_svc.domain.outcome import Outcome
from payment_svc.domain.payment import Payment, Refund
from payment_svc.domain.settling import settle_payment, settle_refund
from payment_svc.ports import Ledger, Return
from payment_svc.usecases.asking import Asking
from payment_svc.usecases.records import Records

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
            now, again_at = self.records.clock.now(), self.asking.again_at(present.asks)
            settled = settle_payment(present, outcome, now, again_at, voided=voided)
            refund = None
            if settled.must_go_back:
                settled = settled.taking_back()
                refund = await self.add_refund(ledger, settled, settled.amount_minor, CALLED_OFF)
            await self.records.save(ledger, present, settled)
            return settled, refund

        stored, refund = await self.asking.until_stored(lambda: self.records.write(unit))
        if refund is not None:
            await self.give_back(stored, refund)
        return stored

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
            now = self.records.clock.now()
            again_at = self.asking.again_at(stored.asks)
            after, settled = settle_refund(present, stored, outcome, now, again_at)
            await self.records.save(ledger, present, after)
            if settled != stored:
                await ledger.save_refund(settled)
            return settled

        return await self.asking.until_stored(lambda: self.records.write(unit))


def _gone(name: str) -> LookupError:
    return LookupError(f"{name} or what it belongs to is gone")
