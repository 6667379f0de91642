"""A provider that takes no money, for development and tests."""

from dataclasses import dataclass
from random import Random

from chassis.clock import Clock
from payment_svc.domain.outcome import Outcome, Succeeded
from payment_svc.ports import Charge, Return
from payment_svc.providers import mock_cards


@dataclass(frozen=True)
class MockBehaviour:
    """How the mock provider behaves."""

    success_rate: float
    delay_min_s: float
    delay_max_s: float
    # Another seed gives the same references other outcomes.
    seed: str = ""


class MockProvider:
    """Answers after a delay, by chance or by test card.

    Chance is drawn from the seed and the reference, so that asking again with the same
    reference gives the same answer, as with a real provider, also after a restart and in
    another replica. References are drawn anew for each payment, so they are chance enough.
    """

    def __init__(self, behaviour: MockBehaviour, clock: Clock) -> None:
        """Behave like this, and wait on this clock."""
        self._behaviour = behaviour
        self._clock = clock

    async def charge(self, charge: Charge) -> Outcome:
        """Succeed or decline."""
        chance = await self._after_delay(charge.reference)
        return mock_cards.charge_outcome(charge.card.number, self._behaviour.success_rate, chance)

    async def refund(self, order: Return) -> Outcome:
        """Succeed."""
        chance = await self._after_delay(order.reference)
        return Succeeded(mock_cards.transaction_id(chance))

    async def _after_delay(self, reference: str) -> Random:
        chance = Random(f"{self._behaviour.seed}/{reference}")
        behaviour = self._behaviour
        await self._clock.sleep(chance.uniform(behaviour.delay_min_s, behaviour.delay_max_s))
        return chance
