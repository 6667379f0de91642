"""Several things at once, and not too many."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

AT_ONCE = 10

Item = TypeVar("Item")


async def for_each(items: Iterable[Item], do: Callable[[Item], Awaitable[None]]) -> None:
    """Do it for each, some at a time. All are tried; then the first error is raised.

    One that was cancelled from within has failed: we are not cancelled, and nobody who waits
    for us is to believe that.
    """
    free = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> None:
        async with free:
            await do(item)

    ended = await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
    for error in ended:
        if isinstance(error, asyncio.CancelledError):
            message = "cancelled from within"
            raise RuntimeError(message) from error  # noqa: TRY004 - its type is not the fault
        if error is not None:
            raise error
