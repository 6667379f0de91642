"""A MariaDB of the tests' own: a fresh folder, a free port, gone afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql

VARIABLE = "HOLDFAST_TEST_MYSQL_URL"
START_MAX_S = 30
# Nothing of a test must survive a power cut.
OPTIONS = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=32M",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--max-connections=600",
    # A test that leaves a transaction open fails when its database is dropped, and does not hang.
    "--lock-wait-timeout=5",
)


class PrivateMariaDb:
    """One server, started and stopped by the process that runs the session."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-mariadb-"))
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it, wait for its first answer, and give its URL without a database."""
        user = ["--user=root"] if os.geteuid() == 0 else []
        data = f"--datadir={self._folder / 'data'}"
        log = (self._folder / "log").open("wb")
        with log:
            install = ["mariadb-install-db", "--no-defaults", *user, data, "--skip-test-db"]
            install.append("--auth-root-authentication-method=normal")
            subprocess.run(install, check=True, stdout=log, stderr=log)
            where = [f"--socket={self._folder / 'socket'}", f"--port={self._port}"]
            where += ["--bind-address=127.0.0.1", "--skip-name-resolve"]
            # Its own: temporary files of servers on one machine have the same names.
            where.append(f"--tmpdir={self._folder / 'data'}")
            serve = [*_bound_to_us(), _program(), "--no-defaults", *user, data, *where, *OPTIONS]
            self._process = subprocess.Popen(serve, stdout=log, stderr=log)
        self._wait(self._process)
        return f"mysql+aiomysql://root@127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Stop it by its own process id, and remove its folder."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=START_MAX_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        ends_at = time.monotonic() + START_MAX_S
        while True:
            try:
                pymysql.connect(host="127.0.0.1", port=self._port, user="root").close()
            except pymysql.err.OperationalError:
                if process.poll() is not None or time.monotonic() > ends_at:
                    log = (self._folder / "log").read_text(errors="replace")
                    message = f"MariaDB did not start:\n{log[-2000:]}"
                    raise RuntimeError(message) from None
                time.sleep(0.02)
            else:
                return


def installed() -> bool:
    return bool(shutil.which("mariadb-install-db") and _program())


def _program() -> str:
    return shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def _bound_to_us() -> list[str]:
    """End it when this process is killed; only Linux can."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
