"""Background work: `run_once`, and a loop that knows nothing about it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from chassis import metrics
from chassis.bell import Bell
from chassis.errors import DependencyUnavailable, Overloaded
from chassis.tasks import heeding_cancellation, is_cancelled

log = structlog.get_logger(__name__)

# Replicas that were started together drift apart, so that they do not all ask the database at once.
JITTER = 0.2


@dataclass(frozen=True)
class Worker:
    """Something to do again and again."""

    name: str
    # Does one batch; true if there is more to do at once.
    run_once: Callable[[], Awaitable[bool]]
    interval_s: float
    # A ring ends the pause early; a ring during the work leads to one more round.
    bell: Bell = field(default_factory=Bell)

    async def run(self) -> None:
        """Work until cancelled. A failure is logged and the loop goes on.

        So it is when something that the work waits for is cancelled, and not the work.
        """
        # One that never succeeds must be seen to be late, too.
        metrics.LAST_SUCCESS.labels(self.name).set_to_current_time()
        while True:
            more, outcome = False, "failed"
            heard = self.bell.rings
            try:
                with heeding_cancellation():
                    more = await self.run_once()
                outcome = "ok"
                metrics.LAST_SUCCESS.labels(self.name).set_to_current_time()
            except (DependencyUnavailable, Overloaded) as error:
                # It comes back, and the next round finds the same work.
                log.warning("worker_waits", worker=self.name, cause=error.message)
            except (Exception, asyncio.CancelledError):
                if is_cancelled():
                    raise
                log.exception("worker_failed", worker=self.name)
            metrics.ROUNDS.labels(self.name, outcome).inc()
            if not more:
                pause_s = self.interval_s * random.uniform(1 - JITTER, 1 + JITTER)
                await self.bell.wait(pause_s, heard)
