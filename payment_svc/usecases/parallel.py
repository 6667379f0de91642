"""Several things at once, and not too many."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

AT_ONCE = 10

Item = TypeVar("Item")


async def for_each(items: Iterable[Item], do: Callable[[Item], Awaitable[None]]) -> None:
    """Do it for each, some at a time. All are tried; then the first error is raised."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> None:
        async with free:
            await do(item)

    ended = await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error
