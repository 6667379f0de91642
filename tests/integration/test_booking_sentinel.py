"""Answers in a Redis that sentinels look after: another takes its place without a restart."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import redis
from support.sentinel import sentinels

from booking_svc.persistence import answers
from booking_svc.persistence.answers import RedisAnswers
from booking_svc.ports import KeptAnswer
from cli.cluster.redis import Redis

KEPT = KeptAnswer("f", b"\x00answer")
WAIT_S = 40.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Redis]:
    redis.require()
    with sentinels(tmp_path) as cluster:
        yield cluster


async def until_kept(known: RedisAnswers, key: str) -> None:
    """Wait until a Redis is there that keeps what it is told."""
    async with asyncio.timeout(WAIT_S):
        while True:
            await known.keep("ann", key, KEPT, 60)
            if await known.look_up_or_claim("ann", key) == KEPT:
                return
            await asyncio.sleep(0.05)


async def test_another_primary_is_found(cluster: Redis) -> None:
    """The primary and a sentinel die: looks stay short, and soon the next primary answers."""
    known = answers.answers_in(cluster.url)
    assert isinstance(known, RedisAnswers)
    first, second = cluster.servers
    try:
        await until_kept(known, "k1")
        cluster.sentinels[0].kill()
        first.kill()
        seen, took = [], []
        for _ in range(20):
            began = time.monotonic()
            seen.append(await known.look_up_or_claim("ann", "another"))
            took.append(time.monotonic() - began)
        # Ten times the budget: this machine may have other things to do.
        assert max(took) < 10 * answers.BUDGET_S
        assert seen == [None] * 20
        await until_kept(known, "k2")
        assert cluster.is_primary(second)
    finally:
        await known.close()
