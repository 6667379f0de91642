"""Storing what a provider said, and giving back what nobody wants any more."""

from dataclasses import dataclass, replace

import structlog

from chassis import money
from payment_svc.domain.log import OURSELVES, Action, Saying
from payment_svc.domain.outcome import (
    Answer,
    Declined,
    Outcome,
    Succeeded,
    answer_of,
    detail_of,
    of_charge,
)
from payment_svc.domain.payment import Payment, Refund
from payment_svc.domain.settling import is_unexpected, settle_payment, settle_refund
from payment_svc.ports import Ledger
from payment_svc.usecases.asking import Asking, return_of
from payment_svc.usecases.records import Records

log = structlog.get_logger(__name__)

CALLED_OFF = "CALLED_OFF"


@dataclass(frozen=True)
class Told:
    """What a provider said, and how it came to say it."""

    action: Action
    outcome: Outcome
    # The provider's name for the message, if it was told unasked.
    event_id: str = ""
    # Whether the question was on the schedule; one that was not leaves it as it is.
    scheduled: bool = True

    @property
    def is_hearsay(self) -> bool:
        """Whether it was told unasked and decides nothing: whoever asks will hear the rest."""
        final = isinstance(self.outcome, Succeeded | Declined)
        return self.action is Action.WEBHOOK and not final


@dataclass(frozen=True)
class Settled:
    """A payment after what was said."""

    payment: Payment
    # The refund of it that was said something of.
    refund: Refund | None = None
    # A refund of it that is to be asked for now.
    goes_back: Refund | None = None


@dataclass(frozen=True)
class Settling:
    """Ends what a call to the provider has begun."""

    records: Records
    asking: Asking

    async def charged(self, payment: Payment, told: Told) -> Payment:
        """Store what became of a charge. A payment that was called off goes back at once."""

        async def unit(ledger: Ledger) -> Settled:
            settled = await self.settle_charge(ledger, payment.payment_id, told)
            if settled is None:
                raise _gone(payment.payment_id)
            return settled

        stored = await self.asking.until_stored(lambda: self.records.write(unit))
        if stored.goes_back is not None:
            await self.give_back(stored.payment, stored.goes_back)
        return stored.payment

    async def go_back(self, payment: Payment) -> None:
        """Give back a payment that was called off and holds money; close it if there is none."""

        async def unit(ledger: Ledger) -> Settled:
            present = await ledger.lock_payment(payment.payment_id)
            if present is None:
                raise _gone(payment.payment_id)
            if not present.must_go_back:
                await self.records.save(ledger, present, present.closed())
                return Settled(present)
            aside, refund = await self.take_back(ledger, present, CALLED_OFF, OURSELVES)
            await self.records.save(ledger, present, aside)
            return Settled(aside, goes_back=refund)

        stored = await self.records.write(unit)
        if stored.goes_back is not None:
            await self.give_back(stored.payment, stored.goes_back)

    async def settle_charge(self, ledger: Ledger, payment_id: str, told: Told) -> Settled | None:
        """Store what was said of a charge, within one unit of work; none: there is none."""
        present = await ledger.lock_payment(payment_id)
        if present is None:
            return None
        told = replace(told, outcome=of_charge(told.outcome))
        settled, goes_back = present, None
        if not told.is_hearsay:
            settled = settle_payment(
                present,
                told.outcome,
                self.records.clock.now(),
                self.asking.again_at,
                voided=told.action is Action.VOID,
            )
        if not told.scheduled:
            settled = settled.asked_between(present)
        if _is_news(present, settled, told):
            await self.records.note(ledger, settled, self._said(told))
        if is_unexpected(settled, told.outcome):
            log.error("declined_payment_was_taken", payment_id=payment_id)
        if settled.must_go_back:
            settled, goes_back = await self.take_back(ledger, settled, CALLED_OFF, OURSELVES)
        await self.records.save(ledger, present, settled)
        return Settled(settled, goes_back=goes_back)

    async def take_back(
        self, ledger: Ledger, payment: Payment, reason: str, actor: str
    ) -> tuple[Payment, Refund]:
        """Set aside all that a payment holds, and store the refund of it."""
        refund = self.new_refund(payment, payment.refundable_minor, reason)
        aside = payment.taking_back()
        await self.add_refund(ledger, aside, refund, actor)
        return aside, refund

    def new_refund(
        self, payment: Payment, amount_minor: int, reason: str, refund_id: str = ""
    ) -> Refund:
        """A refund, leased to this process."""
        now = self.records.clock.now()
        return Refund(
            refund_id=refund_id or self.records.ids.text("ref"),
            payment_id=payment.payment_id,
            amount_minor=amount_minor,
            currency=payment.currency,
            reason=reason,
            created_at=now,
            leased_until=self.asking.lease_end(),
            next_ask_at=now,
        )

    async def add_refund(
        self, ledger: Ledger, payment: Payment, refund: Refund, actor: str
    ) -> None:
        """Store a refund of an amount that is set aside, and who asked for it."""
        await ledger.add_refund(refund)
        amount = f"{money.to_text(refund.amount_minor, refund.currency)} {refund.currency}"
        detail = f"{amount}, {refund.reason}" if refund.reason else amount
        asked = Saying(actor, Action.REFUND, Answer.ASKED, detail, refund.refund_id)
        await self.records.note(ledger, payment, asked)

    async def give_back(
        self, payment: Payment, refund: Refund, *, scheduled: bool = True
    ) -> Refund:
        """Ask the provider for a stored refund, and store what it says."""
        question = self.asking.provider.refund(return_of(payment, refund))
        outcome = await self.asking.ask(question, refund.refund_id)
        told = Told(Action.REFUND, outcome, scheduled=scheduled)

        async def unit(ledger: Ledger) -> Refund:
            settled = await self.settle_refund(ledger, refund.payment_id, refund.refund_id, told)
            if settled is None or settled.refund is None:
                raise _gone(refund.refund_id)
            return settled.refund

        return await self.asking.until_stored(lambda: self.records.write(unit))

    async def settle_refund(
        self, ledger: Ledger, payment_id: str, refund_id: str, told: Told
    ) -> Settled | None:
        """Store what was said of a refund, within one unit of work; none: there is none."""
        present = await ledger.lock_payment(payment_id)
        stored = await ledger.refund(refund_id)
        if present is None or stored is None:
            return None
        after, settled = present, stored
        if not told.is_hearsay:
            known = await self._called_off_by_others(ledger, present, told)
            now, again_at = self.records.clock.now(), self.asking.again_at
            after, settled = settle_refund(known, stored, told.outcome, now, again_at)
        if not told.scheduled:
            settled = settled.asked_between(stored)
        await self.records.save(ledger, present, after)
        await self.records.save_refund(ledger, stored, settled)
        if _is_news(stored, settled, told):
            await self.records.note(ledger, after, self._said(told, refund_id))
        if settled.status is not stored.status and after.must_go_back:
            log.warning("late_refund_refused", payment_id=after.payment_id, asks=after.asks)
        return Settled(after, settled)

    async def _called_off_by_others(self, ledger: Ledger, payment: Payment, told: Told) -> Payment:
        """The payment as it is when its money comes back to it.

        An older version, during a deployment, calls bookings off and does not tell their payments.
        """
        if payment.called_off or not isinstance(told.outcome, Declined):
            return payment
        off = await ledger.is_called_off(payment.booking_reference)
        return payment.off() if off else payment

    def _said(self, told: Told, refund_id: str = "") -> Saying:
        detail = " ".join(word for word in (told.event_id, detail_of(told.outcome)) if word)
        actor = f"provider/{self.asking.provider.name}"
        return Saying(actor, told.action, answer_of(told.outcome), detail, refund_id)


def _is_news(before: Payment | Refund, after: Payment | Refund, told: Told) -> bool:
    """Whether it goes into the log: all, but not the same answer to the same question again."""
    asked_again = told.action in (Action.LOOKUP, Action.REFUND, Action.VOID)
    same = before.last_answer is answer_of(told.outcome) and before.status is after.status
    return not (asked_again and same)


def _gone(name: str) -> LookupError:
    return LookupError(f"{name} or what it belongs to is gone")
