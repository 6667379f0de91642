"""A provider that takes no money, for development and tests."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from chassis.bell import Bell
from chassis.cards import Method
from chassis.clock import Clock
from payment_svc.domain.outcome import Declined, NotDone, Notice, Outcome, Succeeded, Unknown
from payment_svc.ports import Charge, KnownCard, Return
from payment_svc.providers import mock_books, mock_notices, mock_scenarios
from payment_svc.providers.mock_books import Books, ChargeEntry, RefundEntry
from payment_svc.providers.mock_notices import WebhookEntry
from payment_svc.providers.mock_scenarios import Fault, Script

# A charge whose webhook comes first waits so long for its delivery, and looks so often.
DELIVERY_WAIT_S = 5.0
DELIVERY_LOOKS = 100
ANSWER_LOST = Unknown("the answer is lost")
SERVER_ERROR = Unknown("the provider answered with status 503")


@dataclass(frozen=True)
class MockBehaviour:
    """How the mock provider behaves."""

    success_rate: float
    delay_min_s: float
    delay_max_s: float
    # Another seed gives the same references other outcomes.
    seed: str = ""


class MockProvider:
    """Answers after a delay, by chance or by scenario, keeps books, and tells by webhook.

    Chance is drawn from the seed and the reference, so that replicas decide alike; what is
    once in the books stays, as with a real provider, also after a restart. References are
    drawn anew for each payment, so they are chance enough.
    """

    def __init__(
        self,
        behaviour: MockBehaviour,
        clock: Clock,
        books: Books,
        secrets: Sequence[str] = (),
        bell: Bell | None = None,
    ) -> None:
        """Behave like this, wait on this clock, and write into these books.

        Webhooks are read if they are signed with one of the secrets. They are written into the
        books, and the bell is rung for who delivers them, if there is a bell.

        Raises:
            ValueError: a secret is not one.
        """
        self._behaviour = behaviour
        self._clock = clock
        self._books = books
        self._verifiers = [mock_notices.signer_of(one) for one in secrets]
        self._bell = bell

    @property
    def name(self) -> str:
        """Its name in settings, in the log of a payment, and in the route of its webhooks."""
        return "mock"

    def known_cards(self) -> Sequence[KnownCard]:
        """Its scenarios. Any other card number follows the success rate."""
        return [one.card for one in mock_scenarios.SCENARIOS]

    def check(self, charge: Charge, method: Method) -> None:  # noqa: ARG002 - it takes any amount
        """Refuse a token that is of no scenario."""
        mock_scenarios.scenario_of(method)

    async def charge(self, charge: Charge, method: Method) -> Outcome:
        """Take money, or decline, now or later."""
        chance, delay_s = self._draw(charge.reference)
        decision = mock_scenarios.decide(method, self._behaviour.success_rate, chance)
        # Half of the time before it is written down and half after: who gives up in the
        # middle may be too early or too late.
        await self._clock.sleep(delay_s / 2)
        entry = mock_books.new_charge(charge, decision, self._clock.now())
        stored, is_new = await self._books.add_charge(entry, self._tell_charge)
        if not is_new:
            found = await self._books.change_charge(
                charge.reference,
                lambda one: mock_books.charged_again(one, self._clock.now()),
                self._tell_charge,
            )
            stored = found or stored
        self._ring()
        await self._clock.sleep(delay_s / 2)
        return await self._answer(stored, decision.script, is_new=is_new)

    async def lookup(self, charge: Charge) -> Outcome:
        """Say what the books say."""
        found = await self._books.change_charge(
            charge.reference,
            lambda one: mock_books.settled(one, self._clock.now()),
            self._tell_charge,
        )
        return NotDone() if found is None else mock_books.outcome_of(found)

    async def void(self, charge: Charge) -> Outcome:
        """Call a charge off, unless it is taken."""
        now = self._clock.now()
        entry = mock_books.voided_before(charge.reference, now)
        stored, is_new = await self._books.add_charge(entry, self._tell_charge)
        if not is_new:
            found = await self._books.change_charge(
                charge.reference, lambda one: mock_books.voided(one, now), self._tell_charge
            )
            stored = found or stored
        outcome = mock_books.outcome_of(stored)
        return NotDone() if isinstance(outcome, Declined) else outcome

    async def refund(self, order: Return) -> Outcome:
        """Give back, unless that is more than is left of the charge."""
        chance, delay_s = self._draw(order.reference)
        refund_id = mock_scenarios.transaction_id(chance)
        await self._clock.sleep(delay_s / 2)
        stored = await self._books.give_back(
            order,
            lambda account: mock_books.refunded(account, order, refund_id, self._clock.now()),
            self._tell_refund,
        )
        self._ring()
        await self._clock.sleep(delay_s / 2)
        return mock_books.refund_outcome_of(stored)

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """What a webhook of ours says."""
        return mock_notices.read(self._verifiers, headers, body, self._clock.now())

    def _draw(self, reference: str) -> tuple[Random, float]:
        """The chance of a reference, and how long its answer takes."""
        chance = Random(f"{self._behaviour.seed}/{reference}")
        delay_s = chance.uniform(self._behaviour.delay_min_s, self._behaviour.delay_max_s)
        return chance, delay_s

    async def _answer(self, stored: ChargeEntry, script: Script, *, is_new: bool) -> Outcome:
        """What the caller is told of a charge, or is not."""
        outcome = mock_books.outcome_of(stored)
        if script.fault is Fault.HANG and isinstance(outcome, Succeeded):
            await asyncio.Event().wait()
        if is_new and script.fault is Fault.SERVER_ERROR:
            return SERVER_ERROR
        if is_new and script.fault in (Fault.ANSWER_LOST, Fault.CHARGE_LOST):
            return ANSWER_LOST
        if is_new and script.webhook_first and self._bell is not None:
            await self._delivered(mock_notices.name_of("charge.succeeded", stored.reference))
        return outcome

    async def _delivered(self, webhook_id: str) -> None:
        """Wait until a webhook was delivered, but not for ever."""
        for _ in range(DELIVERY_LOOKS):
            entry = await self._books.webhook(webhook_id)
            if entry is None or entry.delivered_at is not None:
                return
            await self._clock.sleep(DELIVERY_WAIT_S / DELIVERY_LOOKS)

    def _tell_charge(
        self, before: ChargeEntry | None, after: ChargeEntry
    ) -> Sequence[WebhookEntry]:
        if self._bell is None:
            return ()
        return mock_books.charge_webhooks(before, after, self._clock.now())

    def _tell_refund(self, entry: RefundEntry) -> Sequence[WebhookEntry]:
        return () if self._bell is None else mock_books.refund_webhooks(entry, self._clock.now())

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()
