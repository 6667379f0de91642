"""Work that goes on when its caller has left."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

import structlog

from chassis import context
from chassis.errors import DomainError, Overloaded

log = structlog.get_logger(__name__)
Result = TypeVar("Result")

# A caller that leaves frees its place among the calls, and what it has begun goes on: without a
# bound of its own that would pile up. Beyond what the pool of a database keeps busy.
LIMIT = 1000
TOO_MUCH = "too much is being finished here; try again in a moment"


def is_cancelled() -> bool:
    """Whether this task is cancelled itself, and not only something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Surround what may lose a cancellation of this task, and be cancelled nevertheless.

    `asyncio.wait_for` of CPython 3.11 loses one that comes in the moment in which it ends, and
    drivers connect with it. A worker that went on then would never end.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0

    def is_lost() -> bool:
        return task is not None and task.cancelling() > before

    try:
        yield
    except Exception:
        if is_lost():
            raise asyncio.CancelledError from None
        raise
    if is_lost():
        raise asyncio.CancelledError


class Tasks:
    """Tracks tasks that outlive a call, so that a stop can wait for them.

    grpc.aio cancels a handler when its caller leaves; what must not stop half-way
    runs here, and the handler waits for it.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        """Start with none; `finish` takes on no more than `limit` at once."""
        self._limit = limit
        self._running: set[asyncio.Task[Any]] = set()
        # Those of them that were begun by `finish`.
        self._finishing: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        """Start work that keeps the caller's request id and drops the caller's deadline.

        There is no bound here: whoever spawns counts what it spawns.
        """
        surroundings = copy_context()
        surroundings.run(context.deadline.set, None)
        task = asyncio.get_running_loop().create_task(work, name=name, context=surroundings)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def finish(self, work: Coroutine[Any, Any, Result], name: str) -> Result:
        """Do work that goes on to its end when the caller leaves, and wait for it.

        Raises:
            Overloaded: as much as may be goes on already. Nothing was begun.
        """
        if len(self._finishing) >= self._limit:
            work.close()
            raise Overloaded(TOO_MUCH)
        task = self.spawn(work, name)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return await asyncio.shield(task)

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
