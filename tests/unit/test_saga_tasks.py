"""Sagas run beside the calls that began them: a stop waits for all of them."""

import asyncio

from chassis.tasks import Tasks


async def test_a_stop_waits_for_what_running_work_starts() -> None:
    """Work that is started by work that was running when the stop began is waited for, too."""
    tasks, ended = Tasks(), []

    async def saga() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        ended.append("saga")

    async def begin() -> None:
        await asyncio.sleep(0)
        tasks.spawn(saga(), "saga")

    tasks.spawn(begin(), "begin")
    await tasks.drain(5)
    assert ended == ["saga"]
