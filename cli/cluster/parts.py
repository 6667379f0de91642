"""The processes of a cluster: each can be started, killed and started again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.failure import Failure

LOOK_EVERY_S = 0.1
READY_MAX_S = 90.0
STOP_MAX_S = 60.0
LOG_LINES_SHOWN = 15


@dataclass
class Part:
    """One process: how it is started, where it listens, and whether it works."""

    name: str
    command: Sequence[str]
    ports: Sequence[int]
    log: Path
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    # Only the first time, as a node that begins a cluster is told to.
    at_first: Sequence[str] = ()
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def pid(self) -> int:
        """Its process; 0: it was never started."""
        return self._process.pid if self._process else 0

    @property
    def port(self) -> int:
        """Where it is called."""
        return self.ports[0]

    @property
    def runs(self) -> bool:
        """Whether there is a process, be it ready or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or start it again."""
        more = self.at_first if self._process is None else ()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - what this cluster is made of
                [*self.command, *more],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # The terminal's Ctrl-C is for this program, which stops the others in order.
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it at once, as a fault would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it in order; at once, if it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def wait_ready(self) -> float:
        """Wait until it works; the seconds that it took.

        Raises:
            Failure: it ended, or does not work in time; shows the end of its log.
        """
        began = time.monotonic()
        while not self.is_ready():
            if not self.runs:
                raise Failure(self._why("ended by itself"))
            if time.monotonic() - began > READY_MAX_S:
                raise Failure(self._why(f"does not work after {READY_MAX_S:.0f} s"))
            time.sleep(LOOK_EVERY_S)
        return time.monotonic() - began

    def _why(self, what: str) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        end = "\n".join(f"  {line}" for line in lines)
        return f"{self.name} {what}. The end of its log, {self.log}:\n{end}"


def bound_to_us(user: str = "") -> list[str]:
    """What goes before a command so that it ends when this program is gone; only Linux can.

    `user`: who runs it. A change of user after that would undo it.
    """
    program = shutil.which("setpriv")
    if program is None:
        return []
    as_user = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    return [program, *as_user, f"--pdeathsig={signal.SIGTERM.name.removeprefix('SIG')}", "--"]


def program(name: str, package: str) -> str:
    """Where a program is.

    Raises:
        Failure: it is not here; says what to install.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Failure(missing(name, package))
    return found


def missing(what: str, package: str) -> str:
    """What to do about something that is not installed."""
    return (
        f"there is no {what} here. On Debian: apt-get install --no-install-recommends"
        f" mariadb-server galera-4 rsync redis-server ({what} is in {package})"
    )
