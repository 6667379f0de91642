"""What one booking costs a cluster: processor time of its parts, and work of the database."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, text

from cli.cluster.galera import USER
from cli.cluster.parts import Part

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Of /proc/PID/stat after the name of the program, which may hold anything: user, and system.
TIMES = slice(11, 13)
COUNTERS = {
    "Com_commit": "transactions",
    "Questions": "statements",
    "wsrep_replicated_bytes": "bytes replicated",
}


class Cost:
    """Measures from when it is made."""

    def __init__(self, parts: Sequence[Part], password: str) -> None:
        """Look at these parts; the first one is the node that is written to."""
        self._parts = parts
        port = parts[0].port
        self._url = URL.create("mysql+pymysql", USER, password, "127.0.0.1", port)
        self._began_s, self._began = self._seconds(), self._counters()

    def told(self, bookings: int) -> list[str]:
        """A line for each kind of part, for one of so many bookings."""
        spent, counted = self._seconds(), self._counters()
        lines = [
            f"| {kind} | {(spent[kind] - self._began_s[kind]) * 1000 / bookings:.1f} ms |"
            for kind in spent
        ]
        lines += [
            f"| {meaning}, node written to | {(counted[name] - self._began[name]) / bookings:.0f} |"
            for name, meaning in COUNTERS.items()
        ]
        return ["| of one booking | |", "|---|---|", *lines]

    def _seconds(self) -> dict[str, float]:
        """Processor time so far, of all parts of a kind together."""
        spent: dict[str, float] = defaultdict(float)
        for part in self._parts:
            stat = Path(f"/proc/{part.pid}/stat")
            if not stat.exists():
                continue
            times = stat.read_text().rpartition(")")[2].split()[TIMES]
            kind = "galera, node written to" if part is self._parts[0] else _kind(part)
            spent[kind] += sum(map(int, times)) * TICK_S
        return spent

    def _counters(self) -> dict[str, int]:
        engine = create_engine(self._url, poolclass=NullPool)
        names = ", ".join(f"'{name}'" for name in COUNTERS)
        with engine.connect() as connection:
            found = connection.execute(
                text(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")
            ).all()
        return {name: int(value) for name, value in found}


def _kind(part: Part) -> str:
    kind = part.name.rpartition("-")[0] or part.name
    return {
        "galera": "galera, both others together",
        "redis": "redis, both together",
        "sentinel": "sentinels, all together",
        "gateway": "gateway",
    }.get(kind, f"{kind}, both together")
