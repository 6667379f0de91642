"""The runner: call → commit → call → commit. No transaction is open while it waits for a call."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog

from booking_svc.domain.booking import Booking
from booking_svc.domain.outcome import Unknown
from booking_svc.saga import machine
from booking_svc.saga.lessons import learn
from booking_svc.saga.machine import Outcome, Saga
from chassis.cards import Card
from chassis.clock import Clock

log = structlog.get_logger(__name__)

# Full jitter, so that sagas that failed together do not come back together.
BACKOFF_BASE_S = 0.2
BACKOFF_MAX_S = 10.0
# 0.2 s doubled this often is past the maximum; a larger exponent would only overflow.
BACKOFF_DOUBLINGS_MAX = 10


@dataclass(frozen=True)
class Errand:
    """What an action is given."""

    booking: Booking
    # In memory only: none after a restart.
    card: Card | None
    # How often this action was refused before.
    refusals: int = 0


Action = Callable[[Errand], Awaitable[Outcome]]


class LeaseLost(Exception):
    """The saga belongs to another process now, or has ended: this one must write nothing more."""


class Journal(Protocol):
    """Where the progress of sagas is written."""

    async def record(self, saga: Saga, booking: Booking) -> Booking:
        """Store both in one transaction; repeating it is harmless. Returns the booking as stored.

        Raises:
            LeaseLost: the saga's attempt is over. After anything else it is tried again.
        """


class Runner:
    """Runs sagas to their end."""

    def __init__(
        self, actions: Mapping[str, Action], journal: Journal, clock: Clock, chance: Random
    ) -> None:
        """Do the actions that the tables name, wait on this clock, jitter by this chance."""
        self._actions = actions
        self._journal = journal
        self._clock = clock
        self._chance = chance

    async def run(self, saga: Saga, booking: Booking, card: Card | None) -> Booking:
        """Run a saga until it ends, however long that takes, and return its booking.

        Raises:
            LeaseLost: another process has taken it over.
        """
        while (action := machine.action(saga)) is not None:
            outcome = await self._do(action, Errand(booking, card, saga.refusals))
            saga = machine.advance(saga, outcome)
            booking = learn(booking, action, outcome, saga, self._clock.now())
            log.info(
                "saga_step",
                booking_reference=booking.booking_reference,
                action=action,
                outcome=type(outcome).__name__,
                next=saga.step,
                state=saga.state,
            )
            booking = await self._record(saga, booking)
            if saga.tries:
                await self._back_off(saga.tries)
        return booking

    async def _do(self, action: str, errand: Errand) -> Outcome:
        try:
            return await self._actions[action](errand)
        except Exception as error:
            # Whatever went wrong here, the other side may have done it.
            reference = errand.booking.booking_reference
            log.exception("action_failed", action=action, booking_reference=reference)
            return Unknown(type(error).__name__)

    async def _record(self, saga: Saga, booking: Booking) -> Booking:
        """Write until it is written: to go on without it would be to forget."""
        tries = 0
        while True:
            try:
                return await self._journal.record(saga, booking)
            except LeaseLost:
                raise
            except Exception:
                reference = booking.booking_reference
                log.exception("saga_not_recorded", booking_reference=reference, tries=tries)
                tries += 1
                await self._back_off(tries)

    async def _back_off(self, tries: int) -> None:
        most_s = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2 ** min(tries, BACKOFF_DOUBLINGS_MAX))
        await self._clock.sleep(self._chance.uniform(0, most_s))
