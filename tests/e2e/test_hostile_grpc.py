"""Callers of gRPC that mean harm: what they send is refused, and others are served meanwhile."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from support.client import reason_of
from support.http2 import (
    ACK,
    CONTINUATION,
    HEADERS,
    PING,
    RST,
    SETTINGS,
    Connection,
    call_headers,
    connected,
    frame,
    headers,
    opening,
    reset,
)
from support.tokens import metadata_for

from .conftest import BOOKING, INVENTORY, PAYMENT, Programs

METHODS = {
    INVENTORY: "/holdfast.inventory.v1.InventoryService/GetReservations",
    PAYMENT: "/holdfast.payment.v1.PaymentService/GetPayment",
    BOOKING: "/holdfast.booking.v1.BookingService/GetBooking",
}
TOKEN = metadata_for("ann", "bookings payments")
MIB = 1 << 20
# What a server may grow by, whatever is sent to it: several of the largest messages.
GROWTH_MIB = 100
# Some 100 KiB, compressed.
BOMB = bytes(110 * MIB)
WAIT_S = 30.0
FLOOD_S = 0.5
STREAMS = 20_000
Flood = Callable[[Connection, int], Awaitable[None]]


@pytest.fixture(params=METHODS)
def attacked(request: pytest.FixtureRequest) -> str:
    return request.param


def memory_mib(programs: Programs, name: str) -> int:
    pid = str(programs.running[name].process.pid)
    command = ["ps", "-o", "rss=", "-p", pid]
    told = subprocess.run(command, capture_output=True, check=True)
    return int(told.stdout) // 1024


@asynccontextmanager
async def unharmed(programs: Programs, name: str) -> AsyncIterator[None]:
    """What is in the block neither blows a program up, nor keeps it from serving the next call."""
    before = memory_mib(programs, name)
    yield
    assert await honest_call(programs, name) == "INVALID_FIELD"
    assert memory_mib(programs, name) < before + GROWTH_MIB
    lines = programs.running[name].log.read_text()
    assert "Traceback" not in lines, lines


async def honest_call(programs: Programs, name: str) -> str:
    """A call of another client; how it is answered: with a request that is empty, as that."""
    try:
        async with grpc.aio.insecure_channel(programs.running[name].address) as channel:
            await channel.unary_unary(METHODS[name])(b"", metadata=TOKEN, timeout=WAIT_S)
    except grpc.aio.AioRpcError as error:
        return reason_of(error) or error.code().name
    return "answered"


async def refusal(
    programs: Programs, name: str, request: bytes, metadata: Any = (), **options: Any
) -> grpc.StatusCode:
    allowing = [("grpc.max_send_message_length", -1), ("grpc.max_metadata_size", 1 << 30)]
    async with grpc.aio.insecure_channel(programs.running[name].address, allowing) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHODS[name])(
                request, metadata=(*TOKEN, *metadata), timeout=WAIT_S, **options
            )
    return caught.value.code()


async def test_a_message_that_is_too_large(rest_stack: Programs, attacked: str) -> None:
    """A message over 16 MiB is RESOURCE_EXHAUSTED, and so is one that is that when inflated."""
    async with unharmed(rest_stack, attacked):
        plain = await refusal(rest_stack, attacked, bytes(16 * MIB + 1))
        assert plain is grpc.StatusCode.RESOURCE_EXHAUSTED
        for algorithm in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            bomb = await refusal(rest_stack, attacked, BOMB, compression=algorithm)
            assert bomb is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metadata_that_is_too_much(rest_stack: Programs, attacked: str) -> None:
    """Metadata over 16 KiB, in one pair or in thousands, is RESOURCE_EXHAUSTED."""
    many = [(f"x-{number}", "a") for number in range(5000)]
    async with unharmed(rest_stack, attacked):
        for pairs in ([("x-long", "a" * 20_000)], [("x-long-bin", bytes(MIB))], many):
            refused = await refusal(rest_stack, attacked, b"", pairs)
            assert refused is grpc.StatusCode.RESOURCE_EXHAUSTED


async def rapid_resets(connection: Connection, number: int) -> None:
    stream = 2 * number + 1
    await connection.send(opening(stream, call_headers(METHODS[INVENTORY])), reset(stream))


async def streams_without_end(connection: Connection, number: int) -> None:
    await connection.send(opening(2 * number + 1, call_headers(METHODS[INVENTORY])))


async def settings(connection: Connection, _number: int) -> None:
    window = (4).to_bytes(2, "big") + (65_535).to_bytes(4, "big")
    await connection.send(frame(SETTINGS, 0, 0, window))


async def pings(connection: Connection, _number: int) -> None:
    await connection.send(frame(PING, 0, 0, b"harmless"))


async def acknowledgements(connection: Connection, _number: int) -> None:
    await connection.send(frame(PING, ACK, 0, b"not ours"))


async def headers_without_end(connection: Connection, number: int) -> None:
    if not number:
        await connection.send(frame(HEADERS, 0, 1, call_headers(METHODS[INVENTORY])))
    await connection.send(frame(CONTINUATION, 0, 1, headers([(f"x-{number}", b"a" * 8000)])))


async def unknown_frames(connection: Connection, _number: int) -> None:
    await connection.send(frame(0xEE, 0xFF, 0, b"x" * 1000))


FLOODS = [
    rapid_resets, streams_without_end, settings, pings, acknowledgements, headers_without_end,
    unknown_frames,
]  # fmt: skip


@pytest.mark.parametrize("flood", FLOODS, ids=lambda one: one.__name__)
async def test_a_flood_of_frames(rest_stack: Programs, flood: Flood) -> None:
    """While one connection floods the server with frames, calls of others are answered."""
    address = rest_stack.running[INVENTORY].address
    async with unharmed(rest_stack, INVENTORY), connected(address) as connection:
        reading = asyncio.create_task(connection.until_closed())
        flooding = asyncio.create_task(flooded(connection, flood))
        answers = set()
        ends_at = time.monotonic() + FLOOD_S
        while time.monotonic() < ends_at:
            answers.add(await honest_call(rest_stack, INVENTORY))
        for one in (flooding, reading):
            one.cancel()
        sent, *_ = await asyncio.gather(flooding, reading, return_exceptions=True)
    assert answers == {"INVALID_FIELD"}
    assert not isinstance(sent, Exception)


async def flooded(connection: Connection, flood: Flood) -> None:
    """Send as fast as the server takes it, until it has had enough."""
    try:
        for number in range(STREAMS):
            await flood(connection, number)
            if connection.writer.is_closing():
                return
            if number % 50 == 0:
                await asyncio.sleep(0)
    except ConnectionError:
        pass


async def test_calls_that_nobody_ends(rest_stack: Programs) -> None:
    """Thousands of calls whose requests do not come leave room for others."""
    address = rest_stack.running[INVENTORY].address
    block = call_headers(METHODS[INVENTORY])
    async with unharmed(rest_stack, INVENTORY):
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(opened(address, block))
        assert await honest_call(rest_stack, INVENTORY) == "INVALID_FIELD"


async def opened(address: str, block: bytes) -> None:
    """Open streams on a connection until all are refused, for who sends no token."""
    async with connected(address) as connection:
        for number in range(200):
            await connection.send(opening(2 * number + 1, block))
        async with asyncio.timeout(WAIT_S):
            while sum(kind in (HEADERS, RST) for kind, *_ in connection.came) < 200:
                await connection.until(HEADERS)
