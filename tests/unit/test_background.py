"""Work that outlives its caller, and work that is done again and again."""

import asyncio

import pytest
from structlog.testing import capture_logs

from chassis import context
from chassis.tasks import Tasks
from chassis.worker import Worker


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


async def test_work_that_fails_is_logged() -> None:
    """An error that nobody waits for is in the log, with the name of the work."""

    async def fail() -> None:
        raise LookupError

    with capture_logs() as lines:
        task = Tasks().spawn(fail(), "saga")
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
    assert [(line["event"], line["task"]) for line in lines] == [("work_failed", "saga")]


async def test_a_failure_does_not_stop_the_loop() -> None:
    """A worker whose round fails logs it, and goes on with the next."""
    rounds: list[int] = []

    async def run_once() -> bool:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise LookupError
        if len(rounds) == 3:
            raise asyncio.CancelledError
        return False

    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await Worker("sweeper", run_once, 0).run()
    assert rounds == [0, 1, 2]
    assert [(line["event"], line["worker"]) for line in lines] == [("worker_failed", "sweeper")]


async def test_a_worker_rests_only_when_there_is_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is more to do, rounds follow at once; then it rests about its interval."""
    more, rests = [True, True, False], []

    async def run_once() -> bool:
        return more.pop(0)

    async def rest(delay_s: float) -> None:
        rests.append(delay_s)
        raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", rest)
    with pytest.raises(asyncio.CancelledError):
        await Worker("sweeper", run_once, 10).run()
    assert more == []
    assert 8 <= rests[0] <= 12
