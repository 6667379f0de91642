"""Work that goes on when its caller has left."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

import structlog

from chassis import context
from chassis.errors import DomainError

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class Tasks:
    """Tracks tasks that outlive a call, so that a stop can wait for them.

    grpc.aio cancels a handler when its caller leaves; what must not stop half-way
    runs here, and the handler waits for it.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        """Start work that keeps the caller's request id and drops the caller's deadline."""
        surroundings = copy_context()
        surroundings.run(context.deadline.set, None)
        task = asyncio.get_running_loop().create_task(work, name=name, context=surroundings)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def finish(self, work: Coroutine[Any, Any, Result], name: str) -> Result:
        """Do work that goes on to its end when the caller leaves, and wait for it."""
        return await asyncio.shield(self.spawn(work, name))

    async def drain(self, timeout_s: float) -> None:
        """Wait for all work to end, and for what it starts; what is left by then is cancelled."""
        clock = asyncio.get_running_loop().time
        ends_at = clock() + timeout_s
        while self._running and clock() < ends_at:
            await asyncio.wait(self._running, timeout=ends_at - clock())
        late = tuple(self._running)
        for task in late:
            log.warning("work_cut_short", task=task.get_name())
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled() or isinstance(task.exception(), DomainError):
            # A refusal is an answer; whoever waits for it gets it.
            return
        if task.exception() is not None:
            log.error("work_failed", task=task.get_name(), exc_info=task.exception())
