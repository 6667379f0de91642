"""Streams through the gateway: as lines, as events, to their end, their failure or their stop."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from holdfast.booking.v1 import booking_pb2
from support.gateway import Gateway, Seen, gateway

from booking_svc.domain.errors import BookingNotFound
from chassis.errors import DependencyUnavailable
from gateway import streams

WATCH = "/api/bookings/5001/watch"
EVENTS = {"accept": "text/event-stream"}
PENDING = booking_pb2.Booking(booking_id=5001, status="PENDING")
CONFIRMED = booking_pb2.Booking(booking_id=5001, status="CONFIRMED")


@pytest.fixture
async def gate() -> AsyncIterator[Gateway]:
    async with gateway(heartbeat_s=0.05) as running:
        yield running


async def forever(_context: Any, _seen: Seen) -> Any:
    await asyncio.Event().wait()


async def test_lines(gate: Gateway) -> None:
    """Without a wish a stream is a line of JSON for each message."""
    gate.services.answers.append([PENDING, CONFIRMED])
    response = await gate.get(WATCH)
    assert response.headers["content-type"] == "application/x-ndjson"
    read = [json.loads(line)["status"] for line in response.text.splitlines()]
    assert read == ["PENDING", "CONFIRMED"]


async def test_events(gate: Gateway) -> None:
    """Who accepts events gets one for each message."""
    gate.services.answers.append([PENDING, CONFIRMED])
    response = await gate.http.get(WATCH, headers=EVENTS)
    assert response.headers["content-type"] == "text/event-stream"
    data = [line for line in response.text.splitlines() if line.startswith("data: ")]
    read = [json.loads(line.removeprefix("data: "))["status"] for line in data]
    assert read == ["PENDING", "CONFIRMED"]


async def test_it_takes_neither(gate: Gateway) -> None:
    """Who takes neither lines nor events is told so, and no service is asked."""
    response = await gate.get(WATCH, accept="image/png")
    assert (response.status_code, response.json()["error"]) == (406, "NOT_ACCEPTABLE")
    assert gate.services.seen == []


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
async def test_a_failure_before_the_first_message(gate: Gateway, accept: str) -> None:
    """A stream that fails before its first message has the status of its failure."""
    gate.services.answers.append([BookingNotFound(5001)])
    response = await gate.get(WATCH, accept=accept)
    assert (response.status_code, response.json()["error"]) == (404, "BOOKING_NOT_FOUND")


async def test_a_failure_after_it(gate: Gateway) -> None:
    """A stream that fails later ends with a record that says so."""
    gate.services.answers.append([PENDING, DependencyUnavailable("stopping")])
    lines = (await gate.get(WATCH)).text.splitlines()
    assert json.loads(lines[-1])["error"] == "DEPENDENCY_UNAVAILABLE"
    gate.services.answers.append([PENDING, DependencyUnavailable("stopping")])
    events = (await gate.http.get(WATCH, headers=EVENTS)).text
    assert "\n\nevent: error\ndata: {" in events


async def test_signs_of_life(gate: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet stream of events begins, and shows that it lives."""
    monkeypatch.setattr(streams, "FIRST_WAIT_S", 0.01)
    gate.services.answers.append([forever])
    async with gate.http.stream("GET", WATCH, headers=EVENTS) as response:
        chunks = response.aiter_text()
        assert await anext(chunks) == ": still here\n\n"
        assert await anext(chunks) == ": still here\n\n"


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
async def test_a_client_that_leaves_a_stream(gate: Gateway, accept: str) -> None:
    """When the client leaves, the stream of the service is cancelled."""
    gate.services.answers.append([PENDING, forever])
    async with gate.http.stream("GET", WATCH, headers={"accept": accept}) as response:
        await anext(response.aiter_text())
    seen = await gate.services.last()
    async with asyncio.timeout(10):
        await seen.cancelled.wait()


async def test_the_head_of_a_quiet_stream(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """HEAD of a stream that says nothing yet ends in order, and its call with it."""
    monkeypatch.setattr(streams, "FIRST_WAIT_S", 0.01)
    gate.services.answers.append([forever])
    assert (await gate.http.head(WATCH)).status_code == 200
    async with asyncio.timeout(10):
        await (await gate.services.last()).cancelled.wait()
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_a_client_that_has_sent_more_and_leaves(gate: Gateway) -> None:
    """A stream ends with its connection also when another request waits behind it there."""
    gate.services.answers.append([PENDING, forever])
    async with gate.connected() as (reader, writer):
        for path in (WATCH, "/healthz"):
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        await reader.readuntil(b"PENDING")
    async with asyncio.timeout(10):
        await (await gate.services.last()).cancelled.wait()


async def test_a_stop_ends_streams(gate: Gateway) -> None:
    """When the gateway stops, streams end in order, and their calls are cancelled."""
    gate.services.answers.append([PENDING, forever])
    async with gate.http.stream("GET", WATCH, headers=EVENTS) as response:
        chunks = response.aiter_text()
        await anext(chunks)
        gate.stopping.set()
        async with asyncio.timeout(10):
            assert [one async for one in chunks if not one.startswith(":")] == []
    async with asyncio.timeout(10):
        await (await gate.services.last()).cancelled.wait()


async def test_streams_have_places_of_their_own() -> None:
    """More streams than may be are refused with 429, while other requests are served."""
    async with gateway(streams_max=1) as gate:
        gate.services.answers.extend([[PENDING, forever], CONFIRMED])
        async with gate.http.stream("GET", WATCH) as response:
            await anext(response.aiter_text())
            refused = await gate.get(WATCH)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert (await gate.get("/api/bookings/5001")).status_code == 200


async def test_streams_of_one_caller() -> None:
    """One caller has only some of the streams; another gets its own."""
    async with gateway(streams_each_max=1) as gate:
        gate.services.answers.extend([[PENDING, forever], [CONFIRMED]])
        ann, bob = ({"authorization": f"Bearer {name}"} for name in ("ann", "bob"))
        async with gate.http.stream("GET", WATCH, headers=ann) as response:
            await anext(response.aiter_text())
            assert (await gate.http.get(WATCH, headers=ann)).status_code == 429
            assert (await gate.http.get(WATCH, headers=bob)).status_code == 200
