"""Health that means something: SERVING while the service's own database answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.tasks import heeding_cancellation

log = structlog.get_logger(__name__)

INTERVAL_S = 2.0
TIMEOUT_S = 1.5
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Asks `ready` on a schedule and answers health checks from what it last said.

    The result is kept, so that checks cost nothing; only changes are logged. An error counts at
    once, silence when it comes twice.
    """

    def __init__(self, services: Sequence[str], ready: Callable[[], Awaitable[None]]) -> None:
        """Report for services by their full names; `ready` raises when it cannot work."""
        self.servicer = _Servicer(("", *services))
        self._ready = ready
        self._serving: bool | None = None
        self._was_silent = False
        self._is_over = False

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
            self._tell()
        return serving

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            with heeding_cancellation():
                await self.check()

    def shut_down(self) -> None:
        """Report NOT_SERVING from now on, whatever `ready` says."""
        self._is_over = True
        self._tell()

    def _tell(self) -> None:
        self.servicer.tell(SERVING if self._serving and not self._is_over else NOT_SERVING)


class _Servicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # it has no types
    """Counts who watches, and tells each for itself: who does not read keeps nobody waiting.

    That of grpc_health writes to all of a service under one lock, and anybody may watch.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.watchers = 0
        self._names = names
        self._status = NOT_SERVING
        self._changed = asyncio.Event()

    def tell(self, status: int) -> None:
        self._status = status
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=self._status)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        self.watchers += 1
        told = None
        try:
            while True:
                changed = self._changed
                status = self._status if request.service in self._names else SERVICE_UNKNOWN
                if status != told:
                    await context.write(health_pb2.HealthCheckResponse(status=status))
                    told = status
                else:
                    await changed.wait()
        finally:
            self.watchers -= 1
