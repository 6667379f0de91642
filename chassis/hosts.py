"""A database that several servers have: each new connection goes to the first that can work.

All programs try them in one order, so that mostly one of them is written to at a time. What it
costs, it costs when a connection is opened: two short questions. A transaction costs no more.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiomysql
import structlog
from aiomysql import MySQLError, OperationalError
from sqlalchemy import Engine, ExceptionContext, event
from sqlalchemy.exc import DisconnectionError

from chassis.addresses import Host

log = structlog.get_logger(__name__)

# One that is away must not cost a caller more; they are in one network.
CONNECT_TIMEOUT_S = 2.0
# Who gives up sooner, as a health check does, has seen by then that a server hangs.
SILENCE_S = 1.0
# One that was away is tried last for so long.
AVOID_S = 5.0
# So long a connection lives: those to a later server go back to an earlier one that has returned.
CONNECTION_LIFE_S = 60
SYNCED = "4"
UNABLE = (MySQLError, OSError, TimeoutError)
# What a server that must be left says: not ready (Galera), stopping, read-only.
LEFT = {1047, 1053, 1290, 1836}
VARIABLES = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'wsrep_on')"
STATUS = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')"
NOT_READY = 1047
OPENED = "opened"


class Hosts:
    """Opens connections, each to the first server that may be written to."""

    def __init__(self, hosts: Sequence[Host], now: Callable[[], float] = time.monotonic) -> None:
        """Try these in this order."""
        self._hosts = hosts
        self._now = now
        self._avoided: dict[Host, float] = {}
        # When a server said last that it must be left.
        self._refused = -math.inf
        # When one did not even greet, last.
        self._silent: dict[Host, float] = {}

    def watch(self, engine: Engine) -> None:
        """When a server must be left, leave it with all pooled connections of all these engines.

        Those that only read would not be told: a server that is read-only now, or has lost its
        cluster, goes on to answer them, and with old news. And on a server that does not greet any
        more, each unit would wait for an answer for as long as it may.
        """

        def refused(context: ExceptionContext) -> None:
            error = context.original_exception
            if error.args and error.args[0] in LEFT:
                self._refused = self._now()
                context.is_disconnect = True

        def opened(connection: Any, record: Any) -> None:
            there = connection.driver_connection
            record.info[OPENED] = Host(there.host, there.port), self._now()

        def taken(_connection: object, record: Any, _proxy: object) -> None:
            host, at = record.info[OPENED]
            if at < max(self._refused, self._silent.get(host, self._refused)):
                raise DisconnectionError

        event.listen(engine, "handle_error", refused)
        event.listen(engine, "connect", opened)
        event.listen(engine, "checkout", taken)

    async def connect(self, **options: Any) -> Any:
        """A connection with these options of the driver, whose host and port are not used.

        A node of Galera that gives its data to another is taken when no other is left: its
        commits may have to wait for that.

        Raises:
            MySQLError, OSError, TimeoutError: no server can work; what the last one said.
        """
        error: Exception = OSError("no server")
        busy = None
        for host in self._in_order():
            began = self._now()
            try:
                connection, is_synced = await self._open(host, options)
            except UNABLE as cause:
                self._leave(host, cause)
                error = cause
                continue
            except asyncio.CancelledError:
                if self._now() - began >= SILENCE_S:
                    self._leave(host, TimeoutError("no answer"))
                raise
            self._take_back(host)
            if is_synced:
                if busy is not None:
                    busy.close()
                return connection
            if busy is not None:
                connection.close()
            else:
                busy = connection
        if busy is None:
            raise error
        return busy

    @asynccontextmanager
    async def each(self, **options: Any) -> AsyncIterator[list[Any]]:
        """A connection to each server that answers, in one order, however they were named."""
        async with AsyncExitStack() as stack:
            connections = []
            for host in sorted(self._hosts):
                try:
                    connection = await _connect(host, options)
                except UNABLE as cause:
                    log.warning("database_host_left", host=str(host), cause=_told(cause))
                else:
                    stack.callback(connection.close)
                    connections.append(connection)
            yield connections

    def _leave(self, host: Host, cause: Exception) -> None:
        if host not in self._avoided:
            # Only news: there may be a hundred tries a second.
            log.warning("database_host_left", host=str(host), cause=_told(cause))
        self._avoided[host] = self._now() + AVOID_S

    def _take_back(self, host: Host) -> None:
        if self._avoided.pop(host, None) is not None:
            log.info("database_host_back", host=str(host))

    def _in_order(self) -> list[Host]:
        now = self._now()
        return sorted(self._hosts, key=lambda host: self._avoided.get(host, now) > now)

    async def _open(self, host: Host, options: dict[str, Any]) -> tuple[Any, bool]:
        """A connection to one server, and whether it has nothing else to do.

        Raises:
            MySQLError, OSError, TimeoutError: it cannot work.
        """
        began = self._now()
        try:
            connection = await _connect(host, options)
        except (TimeoutError, asyncio.CancelledError):
            if self._now() - began >= SILENCE_S:
                self._silent[host] = self._now()
            raise
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return connection, await _is_synced(connection)
        except BaseException:
            connection.close()
            raise


async def ask(connection: Any, query: str) -> list[tuple[Any, ...]]:
    """What a query gives, on a connection of the driver's."""
    async with connection.cursor() as cursor:
        await cursor.execute(query)
        return list(await cursor.fetchall())


async def _connect(host: Host, options: dict[str, Any]) -> Any:
    # A server that hangs takes connections, and never says a word.
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        return await aiomysql.connect(**{**options, "host": host.name, "port": host.port})


async def _is_synced(connection: Any) -> bool:
    variables = dict(await ask(connection, VARIABLES))
    if variables.get("read_only", "OFF") != "OFF":
        raise OperationalError(NOT_READY, "the server is read-only")
    if variables.get("wsrep_on", "OFF") != "ON":
        return True
    status = dict(await ask(connection, STATUS))
    if status.get("wsrep_ready") != "ON":
        raise OperationalError(NOT_READY, "the node is not part of its cluster")
    return status.get("wsrep_local_state") == SYNCED


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
