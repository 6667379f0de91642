"""A MariaDB that a test kills, and that keeps what it has said to be stored."""

import subprocess
from typing import Any

from support import mariadb
from support.mariadb import PrivateMariaDb

# As in production: a commit that was answered survives the death of the server.
DURABLE = ("--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=1")


class MortalMariaDb(PrivateMariaDb):
    """One server, which can be killed and started again with its data."""

    def start(self) -> str:
        """Make it and start it; its URL without a database."""
        url = super().start()
        self.stop_server()
        self.revive()
        return url

    def stop_server(self) -> None:
        """Stop it in order, and keep its data."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(mariadb.START_MAX_S)

    def kill(self) -> None:
        """End it at once, whatever it was about to do."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(mariadb.START_MAX_S)

    def revive(self) -> None:
        """Start it again where it was."""
        user: list[Any] = ["--user=root"] if mariadb.os.geteuid() == 0 else []
        where = [f"--datadir={self._folder / 'data'}", f"--socket={self._folder / 'socket'}"]
        where += [f"--port={self._port}", "--bind-address=127.0.0.1", "--skip-name-resolve"]
        program = [*mariadb._bound_to_us(), mariadb._program(), "--no-defaults", *user]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*program, *where, *mariadb.OPTIONS, *DURABLE], stdout=log, stderr=log
            )
        self._wait(self._process)
