"""Where the parts of a cluster listen: all near one number, and on loopback only."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from cli.failure import Failure

# Some way from one kind of part to the next.
STEP = 10
KINDS = ("booking", "payment", "inventory", "database", "group", "increment", "transfer")
LAST = 65_535


@dataclass(frozen=True)
class Ports:
    """The gateway has the first one; the others follow in tens."""

    first: int

    @property
    def gateway(self) -> int:
        """The only one that callers need."""
        return self.first

    def service(self, name: str, number: int) -> int:
        """Of a replica, `name` is booking, payment or inventory."""
        return self._of(KINDS.index(name), number)

    def database(self, number: int) -> int:
        """Of a node, for its clients."""
        return self._of(KINDS.index("database"), number)

    def group(self, number: int) -> int:
        """Of a node, for the other nodes."""
        return self._of(KINDS.index("group"), number)

    def increment(self, number: int) -> int:
        """Of a node that has to catch up a little."""
        return self._of(KINDS.index("increment"), number)

    def transfer(self, number: int) -> int:
        """Of a node that is given everything."""
        return self._of(KINDS.index("transfer"), number)

    def redis(self, number: int) -> int:
        """Of a Redis."""
        return self._of(len(KINDS), number)

    def sentinel(self, number: int) -> int:
        """Of a sentinel."""
        return self._of(len(KINDS) + 1, number)

    def _of(self, kind: int, number: int) -> int:
        return self.first + (kind + 1) * STEP + number


def require_free(ports: Iterable[int]) -> None:
    """Make sure that nothing listens there.

    Raises:
        Failure: something does, or there is no such port.
    """
    for port in ports:
        try:
            with socket.socket() as probe:
                # As the servers do: connections that have just ended do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            message = (
                f"nothing can listen on 127.0.0.1:{port}: {why}. Stop what uses it (another"
                " 'holdfast cluster'?), or choose other ports, for example: --port 27400"
            )
            raise Failure(message) from None
