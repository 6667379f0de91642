"""Several things at once, and not too many."""

import asyncio

import pytest

from payment_svc.usecases.parallel import AT_ONCE, for_each


async def test_no_more_than_some_at_once() -> None:
    """Of many things as many as are allowed are done at a time, and all in the end."""
    running, most, done = 0, 0, []

    async def do(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(item)

    await for_each(range(3 * AT_ONCE), do)
    assert (most, sorted(done)) == (AT_ONCE, list(range(3 * AT_ONCE)))


async def test_a_failure_stops_nothing_else() -> None:
    """When one fails the others are done all the same, and then its error is raised."""
    done = []

    async def do(item: int) -> None:
        if item == 1:
            raise LookupError(item)
        done.append(item)

    with pytest.raises(LookupError, match="1"):
        await for_each(range(4), do)
    assert done == [0, 2, 3]


async def test_what_is_cancelled_from_within_has_failed() -> None:
    """One that ends as cancelled, though nobody cancelled it, is a failure like any other."""
    done = []

    async def do(item: int) -> None:
        if item == 1:
            raise asyncio.CancelledError
        done.append(item)

    with pytest.raises(RuntimeError, match="cancelled from within"):
        await for_each(range(4), do)
    assert done == [0, 2, 3]


async def test_what_is_cancelled_from_outside_ends() -> None:
    """Cancelling who waits for many things cancels those things, and is seen as that."""
    cut = []

    async def do(item: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut.append(item)

    working = asyncio.create_task(for_each(range(3), do))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert cut == [0, 1, 2]
