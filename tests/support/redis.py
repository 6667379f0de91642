"""A Redis of the tests' own: empty, on a free port, gone afterwards, and easy to break."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

VARIABLE = "HOLDFAST_TEST_REDIS_URL"
START_MAX_S = 30
# As many as a Redis has that nobody has configured.
DATABASES = 16
# Nothing is written to disk: a restart begins empty.
OPTIONS = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1")


class RedisServer:
    """A Redis by its URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def flush(self) -> None:
        """Forget everything."""
        with Redis.from_url(self.url) as client:
            client.flushdb()

    def names(self) -> list[bytes]:
        """The keys that there are."""
        with Redis.from_url(self.url) as client:
            return list(client.keys())

    def values(self) -> list[bytes]:
        """What the keys hold."""
        with Redis.from_url(self.url) as client:
            return [client.get(name) for name in self.names()]

    def put(self, value: bytes | list[bytes]) -> None:
        """Hold something else under the only key that there is."""
        (name,) = self.names()
        with Redis.from_url(self.url) as client:
            client.delete(name)
            if isinstance(value, bytes):
                client.set(name, value)
            else:
                client.rpush(name, *value)

    def left_s(self) -> float:
        """For how long the only key that there is will stay, in seconds."""
        (name,) = self.names()
        with Redis.from_url(self.url) as client:
            return client.pttl(name) / 1000


class PrivateRedis(RedisServer):
    """One that is a process of ours: it can be killed, frozen and started again, empty."""

    def __init__(self, password: str = "") -> None:
        self._port = _free_port()
        self._password = password
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(self.url_with(password))

    def url_with(self, password: str) -> str:
        """Its URL, with this password."""
        return f"redis://{f':{password}@' if password else ''}127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, empty, and wait for its first answer."""
        secret = ["--requirepass", self._password] if self._password else []
        where = ["--port", str(self._port), "--dir", str(self._folder)]
        with (self._folder / "log").open("wb") as log:
            serve = [*_bound_to_us(), _program(), *where, *OPTIONS, *secret]
            self._process = subprocess.Popen(serve, stdout=log, stderr=log)
        ends_at = time.monotonic() + START_MAX_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > ends_at:
                message = f"Redis did not start:\n{(self._folder / 'log').read_text()[-2000:]}"
                raise RuntimeError(message)
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, without a word to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=START_MAX_S)
            self._process = None

    def freeze(self) -> None:
        """Let it accept connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was, with all that it was sent meanwhile."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it by its own process id, and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url) as client:
                return bool(client.ping())
        except RedisError:
            return False


@pytest.fixture
def private_redis() -> Iterator[PrivateRedis]:
    """A Redis that the test may break. Modules take it over by `private_redis = …`."""
    require()
    server = PrivateRedis()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def redis_server(request: pytest.FixtureRequest) -> RedisServer:
    """A Redis that is there: a private one, or else the given one."""
    given = os.environ.get(VARIABLE)
    if installed() or not given:
        return request.getfixturevalue("private_redis")
    # Each worker of a parallel run has a database of its own there.
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % DATABASES
    server = RedisServer(f"{given.rstrip('/')}/{number}")
    server.flush()
    return server


def installed() -> bool:
    return bool(_program())


def require() -> None:
    """Go on only if there can be one of our own; in CI its absence is a failure."""
    if not installed():
        _missing("install redis-server")


def _missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must test with Redis: {what}")
    pytest.skip(f"no Redis: {what}")


def _program() -> str:
    return shutil.which("redis-server") or ""


def _bound_to_us() -> list[str]:
    """End it when this process is killed; only Linux can."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
