"""A provider that takes no money, for development and tests."""

from dataclasses import dataclass
from random import Random

from chassis.clock import Clock
from payment_svc.domain.outcome import Declined, NotDone, Outcome, Succeeded, Unknown
from payment_svc.ports import Charge, Return
from payment_svc.providers import mock_books, mock_cards
from payment_svc.providers.mock_books import Books, RefundEntry


@dataclass(frozen=True)
class MockBehaviour:
    """How the mock provider behaves."""

    success_rate: float
    delay_min_s: float
    delay_max_s: float
    # Another seed gives the same references other outcomes.
    seed: str = ""


class MockProvider:
    """Answers after a delay, by chance or by test card, and keeps books.

    Chance is drawn from the seed and the reference, so that replicas decide alike; what is
    once in the books stays, as with a real provider, also after a restart. References are
    drawn anew for each payment, so they are chance enough.
    """

    def __init__(self, behaviour: MockBehaviour, clock: Clock, books: Books) -> None:
        """Behave like this, wait on this clock, and write into these books."""
        self._behaviour = behaviour
        self._clock = clock
        self._books = books

    async def charge(self, charge: Charge) -> Outcome:
        """Take money, or decline, now or later."""
        chance, delay_s = self._draw(charge.reference)
        decision = mock_cards.decide(charge.card.number, self._behaviour.success_rate, chance)
        # Half of the time before it is written down and half after: who gives up in the
        # middle may be too early or too late.
        await self._clock.sleep(delay_s / 2)
        entry = mock_books.new_charge(charge, decision, self._clock.now())
        stored, is_new = await self._books.add_charge(entry)
        if not is_new:
            found = await self._books.change_charge(
                charge.reference, lambda one: mock_books.charged_again(one, self._clock.now())
            )
            stored = found or stored
        await self._clock.sleep(delay_s / 2)
        if is_new and (decision.script.loses_answer or decision.script.loses_charge):
            return Unknown("the answer is lost")
        return mock_books.outcome_of(stored)

    async def lookup(self, reference: str) -> Outcome:
        """Say what the books say."""
        found = await self._books.change_charge(
            reference, lambda one: mock_books.settled(one, self._clock.now())
        )
        return NotDone() if found is None else mock_books.outcome_of(found)

    async def void(self, reference: str) -> Outcome:
        """Call a charge off, unless it is taken."""
        now = self._clock.now()
        stored, is_new = await self._books.add_charge(mock_books.voided_before(reference, now))
        if not is_new:
            found = await self._books.change_charge(
                reference, lambda one: mock_books.voided(one, now)
            )
            stored = found or stored
        outcome = mock_books.outcome_of(stored)
        return NotDone() if isinstance(outcome, Declined) else outcome

    async def refund(self, order: Return) -> Outcome:
        """Give back."""
        chance, delay_s = self._draw(order.reference)
        await self._clock.sleep(delay_s / 2)
        entry = RefundEntry(
            reference=order.reference,
            transaction_id=order.transaction_id,
            amount_minor=order.amount_minor,
            currency=order.currency,
            state="SUCCEEDED",
            refund_id=mock_cards.transaction_id(chance),
            created_at=self._clock.now(),
        )
        stored = await self._books.add_refund(entry)
        await self._clock.sleep(delay_s / 2)
        return Succeeded(stored.refund_id)

    def _draw(self, reference: str) -> tuple[Random, float]:
        """The chance of a reference, and how long its answer takes."""
        chance = Random(f"{self._behaviour.seed}/{reference}")
        delay_s = chance.uniform(self._behaviour.delay_min_s, self._behaviour.delay_max_s)
        return chance, delay_s
