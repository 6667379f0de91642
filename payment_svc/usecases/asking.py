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
from chassis.errors import DependencyUnavailable, Overloaded
from chassis.tasks import is_cancelled
from payment_svc.domain.outcome import Outcome, Unknown
from payment_svc.domain.settling import ask_again_at
from payment_svc.ports import Provider

log = structlog.get_logger(__name__)

# Beyond the provider's own time: to store its answer before someone else may ask again.
LEASE_MARGIN_S = 10.0
BACKOFF_BASE_S = 0.1
BACKOFF_MAX_S = 5.0

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
            # Not its text, nor that of its causes: a provider's errors may quote the card.
            cause, stack = type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
            log.warning("provider_gave_no_answer", reference=reference, cause=cause, stack=stack)
            return Unknown(cause)

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
