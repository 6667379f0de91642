"""A process that has imported everything and started nothing: forks programs in milliseconds.

It reads one order a line from its standard input, and writes what happens, one fact a line, to
its standard output: `forked`, whatever the child tells, `ended`. When its input ends, whatever it
forked is killed. It knows nothing of the programs: they may be of any version.
"""

import contextlib
import gc
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

FACTS_FD = 1

Tell = Callable[[str, object], None]
# Becomes a program, which tells what happens there; its exit code.
Serve = Callable[[dict[str, Any], Tell], int]


class Zygote:
    """Forks on order, and says what becomes of the children."""

    def __init__(self, serve: Serve) -> None:
        self._become = serve
        self._tickets: dict[int, int] = {}
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def run(self) -> None:
        gc.freeze()
        try:
            self._obey()
        finally:
            # Also when nobody listens any more, because whoever gave the orders was killed.
            for pid in self._tickets:
                os.kill(pid, signal.SIGKILL)

    def _obey(self) -> None:
        pending = b""
        while True:
            ready, _, _ = select.select([0, self._woken], [], [])
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
            self._reap()
            if 0 in ready:
                chunk = os.read(0, 65536)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    self._fork(json.loads(line))

    def _fork(self, order: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            self._serve(order)
        self._tickets[pid] = order["ticket"]
        _tell(order["ticket"], "forked", pid)

    def _reap(self) -> None:
        while self._tickets:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _tell(self._tickets.pop(pid), "ended", os.waitstatus_to_exitcode(status))

    def _serve(self, order: dict[str, Any]) -> None:
        """Become a program. Never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            facts = os.dup(FACTS_FD)
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            os.environ.update(order["environment"])
            code = self._become(order, lambda what, fact: _tell(order["ticket"], what, fact, facts))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _tell(ticket: int, what: str, fact: object, to: int = FACTS_FD) -> None:
    # One write a line: shorter than what a pipe takes whole.
    os.write(to, json.dumps([ticket, what, fact]).encode() + b"\n")
