"""The runner: call → commit → call → commit. No transaction is open while it waits for a call."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Protocol

import structlog

from booking_svc import metrics
from booking_svc.domain.booking import Booking
from booking_svc.domain.outcome import Done, GivenUp, Pending, Refused, Unknown
from booking_svc.saga import machine
from booking_svc.saga.lessons import learn
from booking_svc.saga.machine import PATIENCE, Lease, Outcome, Patience, Saga, State
from booking_svc.saga.pace import NAP_MAX_S, Pause, backoff_s, pause
from chassis import tracing
from chassis.cards import Method
from chassis.clock import Clock

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Errand:
    """What an action is given."""

    booking: Booking
    # In memory only: none after a restart.
    card: Method | None


Action = Callable[[Errand], Awaitable[Outcome]]


class Verdict(StrEnum):
    """What an action came to, in the timeline of its saga."""

    DONE = "DONE"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    PENDING = "PENDING"
    GIVEN_UP = "GIVEN_UP"
    # By an operator.
    RESOLVED = "RESOLVED"
    RETRIED = "RETRIED"


VERDICTS: Mapping[type[Outcome], Verdict] = {
    Done: Verdict.DONE,
    Refused: Verdict.REFUSED,
    Unknown: Verdict.UNKNOWN,
    Pending: Verdict.PENDING,
    GivenUp: Verdict.GIVEN_UP,
}


@dataclass(frozen=True)
class StepRecord:
    """One action that was taken, for the timeline of its saga."""

    step: str
    action: str
    attempt: int
    verdict: Verdict
    # The reason or the cause, where there is one.
    detail: str
    began_at: datetime
    took_s: float


class LeaseLost(Exception):
    """The saga belongs to another process now, or has ended: this one must write nothing more."""


class Journal(Protocol):
    """Where the progress of sagas is written."""

    async def record(self, saga: Saga, booking: Booking, step: StepRecord) -> Booking:
        """Store all in one transaction; repeating it is harmless. Returns the booking as stored.

        Raises:
            LeaseLost: the saga's attempt is over. After anything else it is tried again.
        """

    async def hand_back(self, saga: Saga) -> None:
        """Let go of a saga, so that another process may take it over at once."""


class Runner:
    """Runs sagas until they end, rest, or are handed back because the process stops."""

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        actions: Mapping[str, Action],
        journal: Journal,
        clock: Clock,
        chance: Random,
        stopping: asyncio.Event,
        *,
        lease_s: float,
        patience: Patience = PATIENCE,
    ) -> None:
        """Do the actions that the tables name, wait on this clock, jitter by this chance."""
        self._actions = actions
        self._journal = journal
        self._clock = clock
        self._chance = chance
        self._stopping = stopping
        self._lease_s = lease_s
        self._patience = patience

    async def run(
        self,
        saga: Saga,
        booking: Booking,
        card: Method | None,
        stored: Callable[[Booking], None] = lambda _: None,
    ) -> Booking:
        """Run a saga as far as it goes in this process, and return its booking.

        `stored` is told of the booking each time that it was stored.

        Raises:
            LeaseLost: another process has taken it over.
        """
        while (action := machine.action(saga)) is not None:
            before, began_at = saga, self._clock.now()
            with tracing.part(
                f"{saga.step} {action}", **{"holdfast.attempt": saga.attempt}
            ) as span:
                outcome = await self._do(action, Errand(booking, card))
                span.set_attribute("holdfast.outcome", VERDICTS[type(outcome)])
            now = self._clock.now()
            saga = machine.advance(saga, outcome, self._patience)
            _count(action, outcome, (now - began_at).total_seconds())
            booking = learn(booking, action, outcome, saga, now)
            rest = pause(saga, outcome, has_card=card is not None, chance=self._chance)
            saga = replace(saga, lease=self._lease(saga, rest, now))
            step = _step_record(before, action, outcome, began_at, now)
            booking, saga = await self._record(saga, booking, step)
            if saga.direction is not before.direction:
                # Not before it is stored: whoever has taken it over counts that.
                metrics.turned_back(outcome)
            stored(booking)
            if (saga.step, saga.direction) != (before.step, before.direction):
                # It was for the charge: what comes after it can be done by any process.
                card = None
            if rest.leaves or await self._stops_during(rest, saga):
                break
        return booking

    def _lease(self, saga: Saga, rest: Pause, now: datetime) -> Lease:
        if saga.state is not State.RUNNING:
            return Lease("", now)
        if rest.leaves:
            return Lease("", now + timedelta(seconds=rest.delay_s))
        return Lease(saga.lease.owner, now + timedelta(seconds=self._lease_s))

    async def _do(self, action: str, errand: Errand) -> Outcome:
        try:
            return await self._actions[action](errand)
        except Exception as error:
            # Whatever went wrong here, the other side may have done it.
            reference = errand.booking.booking_reference
            log.exception("action_failed", action=action, booking_reference=reference)
            return Unknown(type(error).__name__)

    async def _record(self, saga: Saga, booking: Booking, step: StepRecord) -> tuple[Booking, Saga]:
        """Write until it is written: to go on without it would be to forget."""
        reference = booking.booking_reference
        _log(reference, saga, step)
        saga = replace(saga, revision=saga.revision + 1)
        tries = 0
        while True:
            try:
                return await self._journal.record(saga, booking, step), saga
            except LeaseLost:
                raise
            except Exception:
                log.exception("saga_not_recorded", booking_reference=reference, tries=tries)
                tries += 1
                most_s = backoff_s(tries, NAP_MAX_S)
                await self._clock.sleep(self._chance.uniform(0, most_s))

    async def _stops_during(self, rest: Pause, saga: Saga) -> bool:
        """Wait; hand the saga back, and say so, if the process is to stop meanwhile."""
        if saga.state is not State.RUNNING or not rest.delay_s:
            return False
        nap = asyncio.ensure_future(self._clock.sleep(rest.delay_s))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({nap, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            stop.cancel()
        if not self._stopping.is_set():
            return False
        await self._journal.hand_back(saga)
        return True


def _step_record(
    before: Saga, action: str, outcome: Outcome, began_at: datetime, now: datetime
) -> StepRecord:
    detail = machine.describe(outcome)[: machine.ERROR_LENGTH_MAX]
    took_s = (now - began_at).total_seconds()
    verdict = VERDICTS[type(outcome)]
    return StepRecord(before.step, action, before.attempt, verdict, detail, began_at, took_s)


def _count(action: str, outcome: Outcome, took_s: float) -> None:
    metrics.ACTIONS.labels(action, VERDICTS[type(outcome)]).inc()
    metrics.ACTION_DURATION.labels(action).observe(max(0.0, took_s))


def _log(reference: str, saga: Saga, step: StepRecord) -> None:
    write = log.error if saga.state is State.NEEDS_ATTENTION else log.info
    write(
        "saga_step",
        booking_reference=reference,
        action=step.action,
        outcome=step.verdict,
        detail=step.detail,
        next=saga.step,
        state=saga.state,
    )
