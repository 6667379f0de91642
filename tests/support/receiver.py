"""Who receives webhooks: a small HTTP server on loopback that answers as a test tells it to."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

WAIT_S = 20.0
# Instead of a status: no answer at all, or an answer that never ends.
HANG, ENDLESS = 0, -1
LOCATION = "location: {url}/elsewhere\r\n"


@dataclass(frozen=True)
class Delivery:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """Keeps what comes, and answers 200 unless told otherwise."""

    def __init__(self) -> None:
        # What is answered next: statuses, HANG or ENDLESS.
        self.answers: deque[int] = deque()
        self.deliveries: list[Delivery] = []
        self._came = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks"

    async def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be down: who comes is refused."""
        if self._server is not None:
            self._server.close()
        for one in self._connections:
            one.transport.abort()
        await asyncio.sleep(0)

    async def came(self, count: int) -> list[Delivery]:
        """Wait until so many deliveries have come; all of them, in order."""
        async with asyncio.timeout(WAIT_S), self._came:
            await self._came.wait_for(lambda: len(self.deliveries) >= count)
        return self.deliveries

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.rstrip("\r\n").split("\r\n")
                pairs = (line.split(": ", 1) for line in lines)
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers["content-length"]))
                answer = self.answers.popleft() if self.answers else 200
                async with self._came:
                    self.deliveries.append(Delivery(first.split()[1], headers, body))
                    self._came.notify_all()
                await self._answer(answer, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, answer: int, writer: asyncio.StreamWriter) -> None:
        if answer == HANG:
            await asyncio.Event().wait()
        status = 200 if answer == ENDLESS else answer
        length = 10**9 if answer == ENDLESS else 0
        location = LOCATION.format(url=self.url) if 300 <= status < 400 else ""
        writer.write(f"HTTP/1.1 {status} X\r\n{location}content-length: {length}\r\n\r\n".encode())
        await writer.drain()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver, until the block ends."""
    receiver = Receiver()
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()
