"""A Redis, another that copies it, and three sentinels who decide which of them is the primary."""

from pathlib import Path

import redis
from redis.exceptions import RedisError

from cli.cluster.parts import Part, bound_to_us, program
from cli.cluster.ports import Ports

SERVERS = (1, 2)
# Two cannot outvote each other.
SENTINELS = (1, 2, 3)
QUORUM = 2
NAME = "holdfast"
ASK_TIMEOUT_S = 1.0


class Redis:
    """The servers and the sentinels, with their files in a folder."""

    def __init__(self, ports: Ports, folder: Path, logs: Path, password: str) -> None:
        """Prepare; nothing is started.

        Raises:
            Failure: a program is not installed.
        """
        self._ports = ports
        self._folder = folder / "redis"
        self._password = password
        self._program = program("redis-server", "redis-server")
        self.servers = [self._server(number, logs) for number in SERVERS]
        self.sentinels = [self._sentinel(number, logs) for number in SENTINELS]

    @property
    def url(self) -> str:
        """Where bookings find the primary."""
        hosts = ",".join(f"127.0.0.1:{self._ports.sentinel(number)}" for number in SENTINELS)
        return f"redis+sentinel://:{self._password}@{hosts}/{NAME}"

    def install(self) -> None:
        """Write the files: a password has no place in the list of processes."""
        self._folder.mkdir(mode=0o700)
        first = self._ports.redis(SERVERS[0])
        for number in SERVERS:
            folder = self._folder / f"redis-{number}"
            folder.mkdir(mode=0o700)
            lines = [
                f"port {self._ports.redis(number)}",
                "bind 127.0.0.1",
                f"dir {folder}",
                # Nothing has to outlive it.
                'save ""',
                "appendonly no",
                "repl-diskless-sync-delay 0",
                f"requirepass {self._password}",
                f"masterauth {self._password}",
            ]
            if number != SERVERS[0]:
                lines.append(f"replicaof 127.0.0.1 {first}")
            self._write(f"redis-{number}", lines)
        for number in SENTINELS:
            lines = [
                f"port {self._ports.sentinel(number)}",
                "bind 127.0.0.1",
                f"dir {self._folder}",
                f"sentinel monitor {NAME} 127.0.0.1 {first} {QUORUM}",
                f"sentinel auth-pass {NAME} {self._password}",
                f"sentinel down-after-milliseconds {NAME} 1000",
                f"sentinel failover-timeout {NAME} 5000",
            ]
            self._write(f"sentinel-{number}", lines)

    def is_primary(self, part: Part) -> bool:
        """Whether a server is the one that is written to."""
        return str(self._info(part.port).get("role")) == "master"

    def _server(self, number: int, logs: Path) -> Part:
        port = self._ports.redis(number)
        return Part(
            name=f"redis-{number}",
            command=[*bound_to_us(), self._program, str(self._file(f"redis-{number}"))],
            ports=(port,),
            log=logs / f"redis-{number}.log",
            is_ready=lambda: self._is_up(port),
        )

    def _sentinel(self, number: int, logs: Path) -> Part:
        port, file = self._ports.sentinel(number), self._file(f"sentinel-{number}")
        return Part(
            name=f"sentinel-{number}",
            command=[*bound_to_us(), self._program, str(file), "--sentinel"],
            ports=(port,),
            log=logs / f"sentinel-{number}.log",
            is_ready=lambda: self._knows_others(port),
        )

    def _is_up(self, port: int) -> bool:
        info = self._info(port)
        return info.get("role") == "master" or info.get("master_link_status") == "up"

    def _knows_others(self, port: int) -> bool:
        try:
            with redis.Redis(port=port, socket_timeout=ASK_TIMEOUT_S) as client:
                known = client.sentinel_master(NAME)
        except (RedisError, OSError):
            return False
        return bool(known["num-slaves"]) and known["num-other-sentinels"] == len(SENTINELS) - 1

    def _info(self, port: int) -> dict[str, object]:
        try:
            with redis.Redis(
                port=port, password=self._password, socket_timeout=ASK_TIMEOUT_S
            ) as client:
                return dict(client.info("replication"))
        except (RedisError, OSError):
            return {}

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.conf"

    def _write(self, name: str, lines: list[str]) -> None:
        file = self._file(name)
        file.touch(mode=0o600)
        file.write_text("\n".join(lines) + "\n")
