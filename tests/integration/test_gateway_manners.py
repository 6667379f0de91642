"""Limits and manners of the gateway: sizes, types, times, numbers, and pages of other origins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from holdfast.booking.v1 import booking_pb2
from support.gateway import Gateway, Seen, gateway, until

from gateway import connection
from gateway.connection import Connection

BOOKING = booking_pb2.Booking(booking_id=5001)
PATH = "/api/bookings/5001"


@pytest.fixture
async def gate() -> AsyncIterator[Gateway]:
    async with gateway(body_bytes_max=1000, headers_bytes_max=2000, body_timeout_s=0.3) as running:
        yield running


def reason(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


async def test_large_bodies(gate: Gateway) -> None:
    """A body that is too large is refused, also when it does not say how large it is."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    assert reason(await gate.post("/api/bookings/confirm", " " * 1001)) == (413, "BODY_TOO_LARGE")
    response = await gate.http.post("/api/bookings/confirm", content=pieces())
    assert reason(response) == (413, "BODY_TOO_LARGE")


async def test_large_headers(gate: Gateway) -> None:
    """Headers that are too large together are refused."""
    assert reason(await gate.get(PATH, x_large="x" * 2001)) == (431, "HEADERS_TOO_LARGE")


async def test_headers_that_no_service_takes() -> None:
    """What is too large for a call's metadata is refused here, not now and then by a service."""
    async with gateway() as gate:
        refused = await gate.get(PATH, authorization="x" * 7100)
        assert reason(refused) == (431, "HEADERS_TOO_LARGE")
        assert gate.services.seen == []
        gate.services.answers.extend([BOOKING] * 10)
        served = [await gate.get(PATH, authorization="x" * 6900) for _ in range(10)]
        assert {one.status_code for one in served} == {200}


async def test_headers_without_an_end(gate: Gateway) -> None:
    """Headers that go on and on are not collected: the connection ends."""
    async with asyncio.timeout(10), gate.connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nlong: ")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x" * 10_000)
                await writer.drain()
                await asyncio.sleep(0)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nlong: "], ids=["nothing", "a part"])
async def test_slow_headers(gate: Gateway, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """A connection on which no request comes, or only a part of one, is not kept."""
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.1)
    async with asyncio.timeout(4), gate.connected() as (reader, writer):
        writer.write(sent)
        await reader.read()


async def test_lines_that_say_nothing(gate: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty line after an answer does not keep its connection."""
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.1)
    async with asyncio.timeout(4), gate.connected() as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"}}")
        writer.write(b"\r\n")
        await reader.read()


async def test_the_beginning_of_another_request(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a request that was sent ahead does not end the one that is served."""
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.05)
    looked = asyncio.Event()
    end_if_idle = Connection._end_if_idle

    def looking(self: Connection) -> None:
        end_if_idle(self)
        looked.set()

    async def held(_context: Any, _seen: Seen) -> Any:
        await looked.wait()
        return BOOKING

    monkeypatch.setattr(Connection, "_end_if_idle", looking)
    gate.services.answers.append(held)
    async with asyncio.timeout(4), gate.connected() as (reader, writer):
        writer.write(f"GET {PATH} HTTP/1.1\r\nhost: x\r\n\r\nGET /".encode())
        answered = await reader.read()
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert answered.endswith(b"}")


async def test_slow_bodies(gate: Gateway) -> None:
    """A body that does not come is not waited for."""

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    headers = {"content-type": "application/json"}
    response = await gate.http.post("/api/bookings/confirm", content=never(), headers=headers)
    assert reason(response) == (408, "BODY_TOO_SLOW")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {},
    ],
    ids=["form", "charset", "compressed", "none"],
)
async def test_types_of_bodies(gate: Gateway, headers: dict[str, str]) -> None:
    """A body that is no JSON in UTF-8 is refused, and so is one that does not say what it is."""
    response = await gate.http.post("/api/bookings/confirm", content="{}", headers=headers)
    assert reason(response) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_where_none_is_read(gate: Gateway) -> None:
    """A body that no rule takes is a 400, not something to be ignored."""
    response = await gate.http.request("GET", PATH, content="{}")
    assert reason(response) == (400, "INVALID_FIELD")


@pytest.mark.parametrize("accept", ["*/*", "application/*;q=0.1", "text/html, application/json"])
async def test_accepted(gate: Gateway, accept: str) -> None:
    """Who takes JSON, by name or by any name, gets it."""
    gate.services.answers.append(BOOKING)
    assert (await gate.get(PATH, accept=accept)).status_code == 200


async def test_not_accepted(gate: Gateway) -> None:
    """Who takes no JSON is told so before a service is asked."""
    assert reason(await gate.get(PATH, accept="text/html")) == (406, "NOT_ACCEPTABLE")
    assert gate.services.seen == []


async def test_headers_given_twice(gate: Gateway) -> None:
    """A header that says who asks must not be given twice."""
    pairs = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    response = await gate.http.get(PATH, headers=pairs)
    assert reason(response) == (400, "INVALID_FIELD")


async def test_requests_at_once() -> None:
    """More requests than are served at once are refused with 429, and no service is asked."""
    async with gateway(requests_max=2) as gate:
        hold = asyncio.Event()

        async def held(_context: Any, _seen: Seen) -> Any:
            await hold.wait()
            return BOOKING

        gate.services.answers.extend([held, held])
        running = [asyncio.create_task(gate.get(PATH)) for _ in range(2)]
        await until(lambda: len(gate.services.seen) == 2)
        response = await gate.get(PATH)
        assert reason(response) == (429, "OVERLOADED")
        assert response.headers["retry-after"] == "1"
        hold.set()
        assert [one.status_code for one in await asyncio.gather(*running)] == [200, 200]


async def test_requests_of_one_caller() -> None:
    """A caller that asks too much is told when to come again; others are served."""
    async with gateway(rate_per_s=0.5, rate_burst=3) as gate:
        gate.services.answers.extend([BOOKING] * 4)
        codes = [(await gate.get(PATH, authorization="Bearer a")).status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        refused = await gate.get(PATH, authorization="Bearer a")
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert (await gate.get(PATH, authorization="Bearer b")).status_code == 200


async def test_no_other_origin(gate: Gateway) -> None:
    """Unless a setting names it, a page of another origin is told nothing."""
    gate.services.answers.append(BOOKING)
    response = await gate.get(PATH, origin="https://shop.example")
    assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_an_origin_that_is_named() -> None:
    """A page of a named origin may call, with the headers that calls need; others may not."""
    async with gateway(cors_origins="https://shop.example https://two.example") as gate:
        gate.services.answers.extend([BOOKING, BOOKING])
        response = await gate.get(PATH, origin="https://shop.example")
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        assert "origin" in response.headers["vary"]
        other = await gate.get(PATH, origin="https://evil.example")
        assert "access-control-allow-origin" not in other.headers
        preflight = await gate.http.options(
            PATH,
            headers={"origin": "https://shop.example", "access-control-request-method": "GET"},
        )
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
        assert "idempotency-key" in preflight.headers["access-control-allow-headers"]


async def test_a_caller_that_reads_nothing() -> None:
    """A stream whose client reads nothing is left, and its call is cancelled."""
    async with gateway(write_timeout_s=0.2) as gate:
        large = booking_pb2.Booking(failure_message="x" * 1_000_000)
        gate.services.answers.append([large] * 100)
        async with gate.http.stream("GET", f"{PATH}/watch") as response:
            assert response.status_code == 200
            seen = await gate.services.last()
            await until(lambda: seen.ended)
            with pytest.raises(httpx.RemoteProtocolError):
                [one async for one in response.aiter_bytes()]
