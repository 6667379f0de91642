"""Starts the services as processes of their own, and kills, stops and wakes them."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from support.crash_world import Nursery, World, urls_of_fresh
from support.databases import Databases, require


class Worlds(Protocol):
    """Makes worlds of a kind of database, gone after the test."""

    async def __call__(self, kind: str, **settings: str) -> World: ...


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
async def worlds(nursery: Nursery, tmp_path: Path) -> AsyncIterator[Worlds]:
    async with AsyncExitStack() as stack:
        numbers = itertools.count()

        async def make(kind: str, **settings: str) -> World:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            databases = await stack.enter_async_context(Databases(require(kind), folder))
            urls = await urls_of_fresh(databases)
            world = World(nursery, folder, urls, settings)
            stack.push_async_callback(world.close)
            return world

        yield make
