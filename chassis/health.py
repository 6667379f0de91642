"""Health that means something: SERVING while the service's own database answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

log = structlog.get_logger(__name__)

INTERVAL_S = 2.0
TIMEOUT_S = 1.5
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Asks `ready` on a schedule and answers health checks from what it last said.

    The result is kept, so that checks cost nothing; only changes are logged. An error counts at
    once, silence when it comes twice.
    """

    def __init__(self, services: Sequence[str], ready: Callable[[], Awaitable[None]]) -> None:
        """Report for services by their full names; `ready` raises when it cannot work."""
        self.servicer = _Servicer()
        self._names = ("", *services)
        self._ready = ready
        self._serving: bool | None = None
        self._was_silent = False

    @property
    def is_watched(self) -> bool:
        """Whether somebody is told of changes as they come, such as a caller's channel."""
        return self.servicer.watchers > 0

    async def check(self) -> bool:
        """Ask once, and report."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._ready()
            serving, cause = True, ""
            self._was_silent = False
        except TimeoutError:
            if self._serving and not self._was_silent:
                # A cluster waits some seconds for a node that has died, and then goes on. To
                # refuse all calls meanwhile would be worse than to let them wait.
                self._was_silent = True
                return True
            serving, cause = False, "silence"
        except Exception as error:  # noqa: BLE001 - whatever it is, the service is not ready
            serving, cause = False, type(error).__name__
        if serving != self._serving:
            self._serving = serving
            log.info("health", serving=serving, cause=cause)
            for name in self._names:
                await _soon(self.servicer.set(name, SERVING if serving else NOT_SERVING))
        return serving

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.check()

    async def shut_down(self) -> None:
        """Report NOT_SERVING from now on, whatever `ready` says."""
        await _soon(self.servicer.enter_graceful_shutdown())


class _Servicer(health_aio.HealthServicer):  # type: ignore[misc] # it has no types
    """Counts who watches."""

    def __init__(self) -> None:
        super().__init__()
        self.watchers = 0

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        self.watchers += 1
        try:
            await super().Watch(request, context)
        finally:
            self.watchers -= 1


async def _soon(change: Awaitable[None]) -> None:
    # A watcher that does not read what it is sent holds a lock that the change needs.
    with suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT_S):
            await change
