"""May touch nothing but memory and the test's own folder: no network, no database, no waiting."""

import asyncio
import socket
import sqlite3
import time

import hypothesis
import pytest

# A slow moment of the machine is not a failure.
hypothesis.settings.register_profile("holdfast", deadline=None)
hypothesis.settings.load_profile("holdfast")


@pytest.fixture(autouse=True)
def _memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        message = "a unit test touches no network, no database, and does not wait"
        raise AssertionError(message)

    async def yield_only(delay_s: float, result: object = None) -> object:
        if delay_s > 0:
            refuse()
        await real_sleep(0)
        return result

    real_sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", yield_only)
    monkeypatch.setattr(time, "sleep", refuse)
    monkeypatch.setattr(sqlite3, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
