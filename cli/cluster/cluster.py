"""All parts of a cluster together: started in their order, kept alive, stopped in reverse."""

import base64
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from cli.cluster import services
from cli.cluster.galera import Galera
from cli.cluster.parts import LOOK_EVERY_S, Part
from cli.cluster.ports import Ports, require_free
from cli.cluster.redis import Redis
from cli.failure import Failure
from cli.programs import BOOKING, GATEWAY, SERVICES
from cli.stack import SECRET_BYTES, WEBHOOKS, end_like_ctrl_c

LOGS = Path("var/cluster/log")
PASSWORD_BYTES = 18
# Who ended by itself is started again after so long: long enough to see that the rest goes on.
AWAY_S = 3.0


class Cluster:
    """A context: the parts run inside it, and neither they nor their data are left afterwards."""

    def __init__(
        self, ports: Ports, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        """Prepare, with `environment` added to our own.

        Raises:
            Failure: something is not installed.
        """
        self._say = say
        self.ports = ports
        LOGS.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not in our own folder: the database may run as a user who may not look in there.
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-cluster-"))
        self._folder.chmod(0o711)
        try:
            self.galera = Galera(ports, self._folder, LOGS, secrets.token_hex(PASSWORD_BYTES))
            self.redis = Redis(ports, self._folder, LOGS, secrets.token_hex(PASSWORD_BYTES))
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        self._environment = {**self._settings(), **environment}
        self.replicas = services.replicas(ports, LOGS, self._environment)
        self.gateway = services.gateway(ports, LOGS, self._environment)
        self.parts = [
            *self.galera.nodes,
            *self.redis.servers,
            *self.redis.sentinels,
            *self.replicas,
            self.gateway,
        ]

    def __enter__(self) -> Self:
        """Get ready to start.

        Raises:
            Failure: an address is taken.
        """
        end_like_ctrl_c()
        try:
            require_free(port for part in self.parts for port in part.ports)
            for part in self.parts:
                part.log.write_bytes(b"")
            self.galera.install()
            self.redis.install()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the parts, each when it has finished its work; Ctrl-C ends them at once."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: self._kill())
        self._say("stopping, when running work is done; Ctrl-C again: at once")
        for part in reversed(self.parts):
            part.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._say("stopped everything, and removed its data")

    def start(self) -> Iterator[tuple[Part, float]]:
        """Start everything; each part as it begins to work, with the seconds that it took.

        Raises:
            Failure: one ended, or is not ready in time; shows the end of its log.
        """
        first, *others = self.galera.nodes
        yield self._started(first)
        self.galera.create_databases()
        for part in (*others, *self.redis.servers):
            yield self._started(part)
        yield from self._started_together(self.redis.sentinels)
        for service in SERVICES:
            self._migrate(service.name)
        yield from self._started_together(self.replicas)
        yield self._started(self.gateway)

    def keep(self) -> None:
        """Return never: start again what ends, and say so."""
        ended_at: dict[str, float] = {}
        while True:
            for part in self.parts:
                if part.runs:
                    continue
                if part.name not in ended_at:
                    ended_at[part.name] = time.monotonic()
                    self._say(f"{part.name} is gone; it is started again in {AWAY_S:.0f} s")
                elif time.monotonic() - ended_at[part.name] >= AWAY_S:
                    del ended_at[part.name]
                    part.start()
                    self._say(f"{part.name} is started again, as process {part.pid}")
            time.sleep(LOOK_EVERY_S)

    def _settings(self) -> dict[str, str]:
        ports = self.ports
        targets = {
            f"{caller.prefix}_{called.prefix}_TARGET": services.target(ports, called)
            for caller in (BOOKING, GATEWAY)
            for called in SERVICES
            if caller != called
        }
        databases = {
            f"{one.prefix}_DATABASE_URL": self.galera.url(one.prefix.lower()) for one in SERVICES
        }
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
        return {
            **targets,
            **databases,
            "BOOKING_REDIS_URL": self.redis.url,
            "GATEWAY_TARGETS": "",
            "GATEWAY_DESCRIPTORS": "",
            "PAYMENT_PROVIDER": "mock",
            "PAYMENT_MOCK_DATABASE_URL": self.galera.url("provider"),
            "PAYMENT_WEBHOOK_SECRETS": secret,
            "PAYMENT_MOCK_WEBHOOK_URL": f"http://127.0.0.1:{ports.gateway}{WEBHOOKS}",
        }

    def _migrate(self, name: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", name, "migrate"],
            env={**os.environ, **self._environment},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            message = f"{name} could not migrate its database:\n{done.stderr}{done.stdout}"
            raise Failure(message)

    def _started(self, part: Part) -> tuple[Part, float]:
        part.start()
        return part, part.wait_ready()

    def _started_together(self, parts: list[Part]) -> Iterator[tuple[Part, float]]:
        began = time.monotonic()
        for part in parts:
            part.start()
        for part in parts:
            part.wait_ready()
            yield part, time.monotonic() - began

    def _kill(self) -> None:
        for part in self.parts:
            if part.runs:
                part.kill()
