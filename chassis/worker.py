"""Background work: `run_once`, and a loop that knows nothing about it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

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

    async def run(self) -> None:
        """Work until cancelled. A failure is logged and the loop goes on."""
        while True:
            more = False
            try:
                more = await self.run_once()
            except Exception:
                log.exception("worker_failed", worker=self.name)
            if not more:
                await asyncio.sleep(self.interval_s * random.uniform(1 - JITTER, 1 + JITTER))
