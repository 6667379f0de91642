"""A Redis, its copy, and three sentinels, as `holdfast cluster` starts them."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.cluster.ports import KINDS, STEP, Ports
from cli.cluster.redis import Redis

FIRST, CHOICE = 20_000, 100
SPAN = (len(KINDS) + 4) * STEP


@contextmanager
def sentinels(folder: Path) -> Iterator[Redis]:
    """Started, and all of them in the know, until the block ends."""
    logs = folder / "logs"
    logs.mkdir()
    redis = Redis(free_ports(), folder, logs, "s3cret")
    redis.install()
    parts = [*redis.servers, *redis.sentinels]
    try:
        for part in redis.servers:
            part.start()
            part.wait_ready()
        for part in redis.sentinels:
            part.start()
        for part in redis.sentinels:
            part.wait_ready()
        yield redis
    finally:
        for part in parts:
            part.kill()


def free_ports() -> Ports:
    """Ports of a cluster that nothing listens on now."""
    for number in range(CHOICE):
        # Workers of one run have other numbers, and so begin to look elsewhere.
        first = FIRST + (os.getpid() + number) % CHOICE * SPAN
        if all(_is_free(port) for port in range(first, first + SPAN)):
            return Ports(first)
    message = "no hundred free ports in a row"
    raise RuntimeError(message)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
