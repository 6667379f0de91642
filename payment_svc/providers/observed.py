"""A provider as it is seen from here: each request measured, and a span of its trace."""

import time
from collections.abc import Awaitable, Mapping, Sequence

from chassis import tracing
from chassis.cards import Method
from payment_svc import metrics
from payment_svc.domain.outcome import Answer, Notice, Outcome, answer_of
from payment_svc.ports import Charge, KnownCard, Provider, Return


class ObservedProvider:
    """Does what another provider does, and notes how that went."""

    def __init__(self, provider: Provider) -> None:
        """Watch this one."""
        self._provider = provider
        self.name = provider.name

    def known_cards(self) -> Sequence[KnownCard]:
        """Cards to test it with."""
        return self._provider.known_cards()

    def check(self, charge: Charge, method: Method) -> None:
        """Refuse what it could not charge. It asks nobody: there is nothing to measure."""
        self._provider.check(charge, method)

    async def charge(self, charge: Charge, method: Method) -> Outcome:
        """Take money."""
        return await self._seen("charge", self._provider.charge(charge, method))

    async def lookup(self, charge: Charge) -> Outcome:
        """What became of a charge."""
        return await self._seen("lookup", self._provider.lookup(charge))

    async def void(self, charge: Charge) -> Outcome:
        """See to it that a charge does not happen."""
        return await self._seen("void", self._provider.void(charge))

    async def refund(self, order: Return) -> Outcome:
        """Give money back."""
        return await self._seen("refund", self._provider.refund(order))

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """What a webhook says."""
        return self._provider.read_webhook(headers, body)

    async def _seen(self, operation: str, answering: Awaitable[Outcome]) -> Outcome:
        # Whoever gave up waiting, or whatever was raised: it is no answer.
        began, answer = time.perf_counter(), Answer.UNKNOWN
        with tracing.calling(f"{self.name} {operation}") as span:
            try:
                outcome = await answering
                answer = answer_of(outcome)
                return outcome
            finally:
                span.set_attribute("holdfast.outcome", answer)
                duration_s = time.perf_counter() - began
                metrics.ANSWERS.labels(self.name, operation, answer.lower()).inc()
                metrics.ANSWERING.labels(self.name, operation).observe(duration_s)
