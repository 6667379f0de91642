"""HTTP/2 by hand, for what no client of gRPC would send (RFC 9113, and RFC 7541 without tables)."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
CANCEL = 8
INITIAL_WINDOW_SIZE = 4
# What a frame may carry before anything else was agreed on.
FRAME_BYTES_MAX = 16_384


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    """A block of headers, each of them as it stands."""
    return b"".join(b"\x10" + _text(name.encode()) + _text(value) for name, value in pairs)


def call_headers(path: str, *more: tuple[str, bytes]) -> bytes:
    """Those of a call of gRPC."""
    fixed = {":method": b"POST", ":scheme": b"http", ":path": path.encode(), ":authority": b"x"}
    of_grpc = {"content-type": b"application/grpc", "te": b"trailers"}
    return headers([*fixed.items(), *of_grpc.items(), *more])


def opening(stream: int, block: bytes, *, ended: bool = False) -> bytes:
    """A stream begins with these headers, in as many frames as they need."""
    pieces = [block[at : at + FRAME_BYTES_MAX] for at in range(0, len(block), FRAME_BYTES_MAX)]
    sent = b""
    for number, piece in enumerate(pieces):
        flags = END_HEADERS if number + 1 == len(pieces) else 0
        first = number == 0
        flags |= END_STREAM if first and ended else 0
        sent += frame(HEADERS if first else CONTINUATION, flags, stream, piece)
    return sent


def reset(stream: int) -> bytes:
    """The caller has given a stream up."""
    return frame(RST, 0, stream, struct.pack(">I", CANCEL))


@dataclass
class Connection:
    """A connection to a server, and what came on it, as (kind, flags, stream, payload)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    came: list[tuple[int, int, int, bytes]] = field(default_factory=list)

    async def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def until(self, kind: int) -> tuple[int, int, int, bytes]:
        """The next frame of this kind; raises when the connection ends before it."""
        while True:
            frame_of = await self._next()
            self.came.append(frame_of)
            if frame_of[0] == kind:
                return frame_of

    async def until_closed(self) -> None:
        """Read until the server has had enough."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                self.came.append(await self._next())

    async def _next(self) -> tuple[int, int, int, bytes]:
        head = await self.reader.readexactly(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream & 0x7FFFFFFF, await self.reader.readexactly(length)


@asynccontextmanager
async def connected(address: str, *, greet: bool = True) -> AsyncIterator[Connection]:
    """A connection; with the preface and settings that each begins with, unless told otherwise."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = Connection(reader, writer)
    try:
        if greet:
            await connection.send(PREFACE, frame(SETTINGS), frame(SETTINGS, ACK))
        yield connection
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _text(value: bytes) -> bytes:
    """A string of HPACK, not compressed."""
    return _number(len(value), 7) + value


def _number(value: int, bits: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    out, value = [most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])
