"""The least HTTP/1.1 client with which a server can be measured: one GET, again and again."""

import asyncio
import time
from dataclasses import dataclass
from typing import Self, cast

LENGTH = b"\r\ncontent-length:"
OK = b"HTTP/1.1 200 "


class Unexpected(Exception):
    """An answer that is none to measure; the text is its beginning."""


@dataclass
class Get:
    """One GET over connections that stay open."""

    port: int
    path: str
    headers: dict[str, str]

    async def latencies(self, connections: int, each: int) -> tuple[float, list[float]]:
        """Send it so often on each of so many connections; the seconds of all, and of each one."""
        opened = [await _Connection.to(self.port) for _ in range(connections)]
        data = self._data()
        began = time.perf_counter()
        try:
            found = await asyncio.gather(*(one.repeat(data, each) for one in opened))
        finally:
            whole_s = time.perf_counter() - began
            for one in opened:
                one.close()
        return whole_s, [latency for one in found for latency in one]

    def _data(self) -> bytes:
        headers = {"host": f"127.0.0.1:{self.port}", "accept": "application/json", **self.headers}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        return f"GET {self.path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


class _Connection(asyncio.Protocol):
    """Sends the next request when the last is answered."""

    def __init__(self) -> None:
        self._data = b""
        self._left = 0
        self._sent_at = 0.0
        self._got = b""
        self._latencies: list[float] = []
        self._transport: asyncio.Transport
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def to(cls, port: int) -> Self:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    async def repeat(self, data: bytes, times: int) -> list[float]:
        self._data, self._left = data, times
        self._send()
        await self._done
        return self._latencies

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Connections of TCP can be written to, which this type does not say.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or Unexpected("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return
        _, found, rest = head.lower().partition(LENGTH)
        if not head.startswith(OK) or not found:
            self._fail()
        elif len(body) >= int(rest.partition(b"\r")[0]):
            self._latencies.append(time.perf_counter() - self._sent_at)
            self._got = b""
            self._left -= 1
            if self._left:
                self._send()
            elif not self._done.done():
                self._done.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._data)

    def _fail(self) -> None:
        if not self._done.done():
            self._done.set_exception(Unexpected(self._got[:500].decode("latin-1")))
