"""Work that outlives its caller, and work that is done again and again."""

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from chassis import context
from chassis.bell import Bell
from chassis.errors import DependencyUnavailable, Overloaded
from chassis.tasks import Tasks, heeding_cancellation
from chassis.worker import Worker

WAIT_S = 20


async def test_work_keeps_the_request_id_and_drops_the_deadline() -> None:
    """A spawned task knows which request it is for, and has all the time that it needs."""
    context.request_id.set("r-1")
    context.deadline.set(asyncio.get_running_loop().time() - 1)

    async def work() -> tuple[str, float]:
        return context.request_id.get(), context.remaining_s(30)

    assert await Tasks().spawn(work(), "work") == ("r-1", 30)
    assert context.remaining_s(30) == 0


async def test_work_goes_on_when_its_caller_leaves() -> None:
    """Cancelling who waits, shielded, does not cancel the work."""
    tasks, may_end, ended = Tasks(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        ended.set()

    async def handler() -> None:
        await asyncio.shield(tasks.spawn(work(), "work"))

    waiting = asyncio.create_task(handler())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    may_end.set()
    await tasks.drain(5)
    assert ended.is_set()


async def test_a_drain_waits_then_cuts_short() -> None:
    """Work that ends in time ends; what does not is cancelled and named in the log."""
    tasks, ended = Tasks(), []

    async def short() -> None:
        await asyncio.sleep(0)
        ended.append("short")

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cut")

    tasks.spawn(short(), "short")
    tasks.spawn(endless(), "endless")
    with capture_logs() as lines:
        await tasks.drain(0.01)
    assert ended == ["short", "cut"]
    assert [line["task"] for line in lines] == ["endless"]
    await tasks.drain(0)


async def test_no_more_than_some_is_finished_at_once() -> None:
    """Work beyond the limit is refused before it begins, until some ends; spawned work is not."""
    tasks, may_end, begun = Tasks(limit=2), asyncio.Event(), []

    async def work(name: str) -> None:
        begun.append(name)
        await may_end.wait()

    tasks.spawn(work("spawned"), "spawned")
    callers = [asyncio.create_task(tasks.finish(work(name), name)) for name in "ab"]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    with pytest.raises(Overloaded):
        await tasks.finish(work("c"), "c")
    assert begun == ["spawned", "a", "b"]
    may_end.set()
    await tasks.drain(5)
    await tasks.finish(work("d"), "d")
    assert begun[3:] == ["d"]


async def test_work_that_fails_is_logged() -> None:
    """An error that nobody waits for is in the log, with the name of the work."""

    async def fail() -> None:
        raise LookupError

    with capture_logs() as lines:
        task = Tasks().spawn(fail(), "saga")
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
    assert [(line["event"], line["task"]) for line in lines] == [("work_failed", "saga")]


@pytest.mark.parametrize("failure", [LookupError, asyncio.CancelledError])
async def test_a_failure_does_not_stop_the_loop(failure: type[BaseException]) -> None:
    """A worker whose round fails, or is cancelled from within, logs it and does the next."""
    rounds: list[int] = []

    async def run_once() -> bool:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise failure
        if len(rounds) == 3:
            worker = asyncio.current_task()
            assert worker is not None
            worker.cancel()
            await asyncio.Event().wait()
        return False

    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await Worker("sweeper", run_once, 0).run()
    assert rounds == [0, 1, 2]
    assert [(line["event"], line["worker"]) for line in lines] == [("worker_failed", "sweeper")]


class NotedBell(Bell):
    """Notes how long it was waited for; does not wait, and ends the worker after some rests."""

    def __init__(self, rests_max: int = 1) -> None:
        super().__init__()
        self.rests: list[float] = []
        self.woken: list[bool] = []
        self._rests_max = rests_max

    async def wait(self, timeout_s: float, heard: int | None = None) -> bool:
        self.rests.append(timeout_s)
        self.woken.append(await super().wait(0, heard))
        if len(self.rests) == self._rests_max:
            raise asyncio.CancelledError
        return self.woken[-1]


async def test_other_cancellations_stay() -> None:
    """What is lost to nobody is as it was: errors and answers, also in a task once cancelled."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    with heeding_cancellation():
        answer = "kept"
    with pytest.raises(DependencyUnavailable), heeding_cancellation():
        raise DependencyUnavailable(answer)
    task.uncancel()


async def test_a_worker_rests_only_when_there_is_no_more() -> None:
    """While there is more to do, rounds follow at once; then it rests about its interval."""
    more, bell = [True, True, False], NotedBell()

    async def run_once() -> bool:
        return more.pop(0)

    with pytest.raises(asyncio.CancelledError):
        await Worker("sweeper", run_once, 10, bell).run()
    assert more == []
    assert 8 <= bell.rests[0] <= 12


async def test_a_ring_wakes_a_worker() -> None:
    """A worker that rests for an hour works at once when its bell rings."""
    rounds: asyncio.Queue[None] = asyncio.Queue()
    bell = Bell()

    async def run_once() -> bool:
        rounds.put_nowait(None)
        return False

    working = asyncio.create_task(Worker("outbox", run_once, 3600, bell).run())
    async with asyncio.timeout(WAIT_S):
        await rounds.get()
        bell.ring()
        await rounds.get()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert rounds.empty()


async def test_a_ring_during_the_work_is_one_more_round() -> None:
    """However often the bell rings while a worker works, it works once more, and then rests."""
    bell = NotedBell(rests_max=2)
    rounds: list[int] = []

    async def run_once() -> bool:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            bell.ring()
            bell.ring()
        return False

    with pytest.raises(asyncio.CancelledError):
        await Worker("outbox", run_once, 3600, bell).run()
    assert (rounds, bell.woken) == ([0, 1], [True, False])


async def test_a_ring_wakes_all_who_wait() -> None:
    """Everyone who waits now hears a ring; who begins to wait afterwards does not."""
    bell = Bell()
    waiting = [asyncio.create_task(bell.wait(WAIT_S)) for _ in range(3)]
    await asyncio.sleep(0)
    bell.ring()
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert not await bell.wait(0)


async def test_a_ring_between_the_look_and_the_wait_is_heard() -> None:
    """A wait since a moment ends at once when the bell has rung after that moment."""
    bell = Bell()
    heard = bell.rings
    bell.ring()
    assert await bell.wait(WAIT_S, heard)
    assert not await bell.wait(0, bell.rings)
