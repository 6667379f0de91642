"""The database server is killed while bookings are made."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support import mariadb
from support.crash_client import Client
from support.crash_mariadb import MortalMariaDb
from support.crash_world import World
from support.databases import MARIADB, require

CLIENTS = 8
KILLS = 2
# Bookings are under way when it dies, and it is away long enough to be missed.
ALIVE_S = 1.5
DEAD_S = 0.5


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[MortalMariaDb]:
    require(MARIADB)
    if not mariadb.installed():
        pytest.skip("a MariaDB that is not ours is not killed")
    server = MortalMariaDb()
    try:
        monkeypatch.setenv(mariadb.VARIABLE, server.start())
        yield server
    finally:
        server.stop()


async def test_mariadb_may_die_under_load(mortal: MortalMariaDb, worlds: Any) -> None:
    """Killed and started again while bookings are made, the server has kept what was answered."""
    world: World = await worlds(MARIADB)
    await world.start_all()
    numbers = [f"{row}{seat}" for row in range(CLIENTS) for seat in range(100)]
    event_id = await Client(world, "maker").event(*numbers)
    done = asyncio.Event()
    clients = [
        asyncio.create_task(_books_on(Client(world, f"ann-{row}"), event_id, row, done))
        for row in range(CLIENTS)
    ]
    for _ in range(KILLS):
        await asyncio.sleep(ALIVE_S)
        await asyncio.to_thread(mortal.kill)
        await asyncio.sleep(DEAD_S)
        await asyncio.to_thread(mortal.revive)
    await asyncio.sleep(ALIVE_S)
    done.set()
    booked = await asyncio.gather(*clients)
    assert all(booked), booked
    await world.settles()


async def _books_on(client: Client, event_id: int, row: int, done: asyncio.Event) -> int:
    """Book seat after seat, every third one only to cancel it; how many were booked."""
    for seat in range(100):
        if done.is_set():
            return seat
        held = await client.holds(event_id, f"{row}{seat}", key=f"hold-{seat}")
        answer = await client.books(held, key=f"book-{seat}")
        if seat % 3 == 2 and answer == "CONFIRMED":
            await client.cancels(await client.first_booking())
    return 100
