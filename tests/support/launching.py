"""Two ways to run a program: as its users do, and by a process that has imported them all.

The second is what `python -m NAME` does, without the second that its imports take each time.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

IMPORTED = (
    "booking_svc.wiring",
    "gateway.program",
    "inventory_svc.wiring",
    "payment_svc.wiring",
    # By name only when a database is opened.
    "aiomysql",
    "aiosqlite",
    "sqlalchemy.dialects.mysql.aiomysql",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)
FORKS = multiprocessing.get_context("forkserver")


@dataclass
class Forked:
    """A process as `subprocess.Popen` shows one."""

    process: ForkServerProcess

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired(self.process.name, timeout or 0)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[bytes] | Forked
# Runs a program in a folder, with an environment, and writes to a file what it says.
Launch = Callable[[str, Path, dict[str, str], Path], Process]


def execute(name: str, folder: Path, environment: dict[str, str], log: Path) -> Process:
    """Run a program as its users do."""
    with log.open("wb") as output:
        command = [sys.executable, "-m", name]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


def fork(name: str, folder: Path, environment: dict[str, str], log: Path) -> Process:
    """Run a program by a fork."""
    FORKS.set_forkserver_preload(list(IMPORTED))
    process = FORKS.Process(
        target=_become, args=(name, folder, environment, log), name=name, daemon=True
    )
    process.start()
    return Forked(process)


def _become(name: str, folder: Path, environment: dict[str, str], log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [name]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
