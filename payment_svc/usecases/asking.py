"""Asking a provider, with the one rule that whatever is not an answer is Unknown."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

import structlog

from chassis.clock import Clock
from chassis.errors import DependencyUnavailable, DomainError, Overloaded
from chassis.tasks import is_cancelled
from payment_svc.domain.outcome import NotDone, Outcome, Unknown
from payment_svc.domain.payment import Payment, Refund
from payment_svc.domain.settling import ASK_AFTER_MAX_S, ask_again_at
from payment_svc.ports import Charge, Lease, Provider, Return

log = structlog.get_logger(__name__)

# Beyond the provider's own time: to store its answer before someone else may ask again.
LEASE_MARGIN_S = 10.0
BACKOFF_BASE_S = 0.1
BACKOFF_MAX_S = 5.0
# What was surely not done is asked for again, after these pauses in seconds.
AGAIN_AFTER_S = (0.2, 0.5)
# Who reads a payment has its provider asked, and not more often than this.
LOOK_AGAIN_S = 2.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Asking:
    """A provider, and how it is asked."""

    provider: Provider
    # How long it has to answer.
    timeout_s: float
    clock: Clock
    random: Random

    def lease_end(self) -> datetime:
        """Until when nobody else may ask about what is asked now."""
        return self.clock.now() + timedelta(seconds=self.timeout_s + LEASE_MARGIN_S)

    def due(self) -> Lease:
        """The right to ask about what is due, if nobody does."""
        now = self.clock.now()
        return Lease(due_by=now, free_since=now, until=self.lease_end())

    def open(self) -> Lease:
        """The right to ask about what is open, due or not, if nobody did a moment ago."""
        now = self.clock.now()
        return Lease(
            due_by=now + timedelta(seconds=2 * ASK_AFTER_MAX_S),
            free_since=now - timedelta(seconds=LOOK_AGAIN_S),
            until=self.lease_end(),
        )

    def again_at(self, asks: int) -> datetime:
        """When to ask next, after so many times without an answer."""
        return ask_again_at(asks, self.clock.now(), self.random)

    async def ask(self, question: Awaitable[Outcome], reference: str) -> Outcome:
        """Wait for an answer; too late, or an error, is Unknown."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await question
        except (Exception, asyncio.CancelledError) as error:  # whatever it raises is no answer
            if is_cancelled():
                raise
            log.warning("provider_gave_no_answer", reference=reference, **_wordless(error))
            return Unknown(type(error).__name__)

    def at_once(self, question: Callable[[], Result]) -> Result:
        """Ask what needs no waiting; a refusal is an answer.

        Raises:
            RuntimeError: the provider failed in another way. It carries no text of the provider.
        """
        try:
            return question()
        except DomainError:
            raise
        except Exception as error:  # noqa: BLE001 - it is raised again, without its text
            log.error("provider_failed", **_wordless(error))  # noqa: TRY400 - nor is it logged
            message = f"the provider failed with {type(error).__name__}"
        raise RuntimeError(message)

    async def insist(self, question: Callable[[], Awaitable[Outcome]], reference: str) -> Outcome:
        """Ask again, a few times, while the answer is that surely nothing was done."""

        async def tries() -> Outcome:
            for pause_s in AGAIN_AFTER_S:
                outcome = await question()
                if not isinstance(outcome, NotDone):
                    return outcome
                await self.clock.sleep(pause_s)
            return await question()

        return await self.ask(tries(), reference)

    async def until_stored(self, write: Callable[[], Awaitable[Result]]) -> Result:
        """Store a provider's answer, again and again until it is stored.

        To give up would be to forget what was taken or given back.
        """
        tries = 0
        while True:
            try:
                return await write()
            except (DependencyUnavailable, Overloaded):
                tries += 1
                log.warning("answer_not_stored_yet", tries=tries)
            await self.clock.sleep(min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2 ** min(tries, 10)))


def charge_of(payment: Payment) -> Charge:
    """What a provider knows of a payment."""
    return Charge(payment.payment_id, payment.amount_minor, payment.currency, payment.created_at)


def return_of(payment: Payment, refund: Refund) -> Return:
    """What a provider knows of a refund."""
    return Return(
        refund.refund_id,
        payment.transaction_id,
        refund.amount_minor,
        refund.currency,
        refund.created_at,
    )


def _wordless(error: BaseException) -> dict[str, str]:
    """What may be logged of a provider's error: not its text, nor that of its causes.

    They may quote the card.
    """
    stack = "".join(traceback.format_tb(error.__traceback__))
    return {"cause": type(error).__name__, "stack": stack}
