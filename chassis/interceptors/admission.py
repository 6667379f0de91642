"""As many calls at once as the server can serve, and no queue before the door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis import metrics
from chassis.errors import Overloaded
from chassis.interceptors.around import AroundInterceptor, Call


@dataclass(frozen=True)
class Limits:
    """How much one process takes on at once."""

    calls_max: int = 256
    streams_max: int = 100


class AdmissionInterceptor(AroundInterceptor):
    """Refuses a call at once when the server has its hands full; nothing of it is begun.

    It stands before authentication: a refusal must cost less than the work that it saves, and
    to check a signature is work. Nobody without a token can fill the room: authentication waits
    for nothing, so a stranger is out again before the next call comes in.

    No queue of a server is without a bound: the calls here; those of them that wait for a
    connection of the database, there (`chassis.database.POOL_WAIT_S`, then Overloaded).
    """

    def __init__(self, limits: Limits) -> None:
        """Let in so many."""
        self._calls = _Room("calls", limits.calls_max)
        self._streams = _Room("streams", limits.streams_max)

    async def empty(self) -> None:
        """Wait until no call is being served."""
        await self._calls.empty.wait()
        await self._streams.empty.wait()

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        room = self._streams if call.streams else self._calls
        room.enter()
        try:
            yield
        finally:
            room.leave()


class _Room:
    def __init__(self, what: str, most: int) -> None:
        self._what = what
        self._most = most
        self._inside = 0
        self._seen = metrics.IN_PROGRESS.labels(what)
        metrics.IN_PROGRESS_MAX.labels(what).set(most)
        self.empty = asyncio.Event()
        self.empty.set()

    def enter(self) -> None:
        if self._inside >= self._most:
            message = f"the server is busy with {self._inside} {self._what}; retry it in a moment"
            raise Overloaded(message)
        self._inside += 1
        self._seen.set(self._inside)
        self.empty.clear()

    def leave(self) -> None:
        self._inside -= 1
        self._seen.set(self._inside)
        if not self._inside:
            self.empty.set()
