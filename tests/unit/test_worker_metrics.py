"""Background work and breakers, as the metrics tell them."""

import asyncio
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs
from support.telemetry import Tally, value

from chassis.bell import Bell
from chassis.breaker import Breaker
from chassis.errors import CircuitOpen, DependencyUnavailable
from chassis.worker import Worker

ROUNDS, LAST = "holdfast_worker_rounds_total", "holdfast_worker_last_success_timestamp_seconds"
WAIT_S = 20.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "error", [LookupError(), DependencyUnavailable("away"), asyncio.CancelledError()]
)
async def test_a_worker(error: BaseException) -> None:
    """Rounds of a worker are counted, ok or failed, and when one last went well is known."""
    results: list[BaseException | None] = [None, error, None]
    ended = asyncio.Event()

    async def run_once() -> bool:
        if not results:
            ended.set()
            await asyncio.Event().wait()
        result = results.pop()
        if result is not None:
            raise result
        return True

    bell, tally, before = Bell(), Tally(), time.time()
    worker = Worker("of a test", run_once, 3600, bell)
    with capture_logs():
        task = asyncio.ensure_future(worker.run())
        await until(lambda: len(results) == 1)
        await until(lambda: sum(tally.of(ROUNDS).values()) == 2)
        bell.ring()
        await ended.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert tally.of(ROUNDS) == {("of a test", "ok"): 2, ("of a test", "failed"): 1}
    assert before <= value(LAST, "of a test") <= time.time()


async def test_a_worker_that_fails_is_late_from_its_start() -> None:
    """A worker that never succeeds is as late as it is old: a failed round moves no time."""
    started: list[float] = []

    async def fail() -> bool:
        started.append(value(LAST, "that fails"))
        raise LookupError

    tally = Tally()
    with capture_logs():
        task = asyncio.ensure_future(Worker("that fails", fail, 3600).run())
        await until(lambda: tally.of(ROUNDS) == {("that fails", "failed"): 1})
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert started == [value(LAST, "that fails")]


def test_a_breaker() -> None:
    """A breaker is closed, 0; open, 2, when calls fail; half-open, 1, for a trial; and closed."""
    now, seen = [0.0], []
    breaker = Breaker("of a test", failures_max=2, open_s=2.0, now=lambda: now[0])

    def state() -> float:
        return value("holdfast_breaker_state", "of a test")

    def fail() -> None:
        def call() -> None:
            seen.append(state())
            raise ConnectionError

        with pytest.raises(ConnectionError), breaker.guard():
            call()

    assert state() == 0
    fail()
    assert state() == 0
    with capture_logs():
        fail()
        assert state() == 2
        with pytest.raises(CircuitOpen), breaker.guard():
            pass
        now[0] = 2.0
        assert state() == 2
        fail()
        assert seen == [0, 0, 1]
        assert state() == 2
        now[0] = 4.0
        with breaker.guard():
            assert state() == 1
    assert state() == 0
