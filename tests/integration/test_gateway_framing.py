"""Where a request ends is never in doubt: no proxy can be made to see another one than we do."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from holdfast.booking.v1 import booking_pb2
from support.gateway import WAIT_S, Gateway, gateway

from gateway import connection

HEAD = b"POST /api/bookings/confirm HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
LENGTH = b"content-length: 2\r\n"
# What would be another request, to who reads the first in another way.
SECOND = b"GET /api/second HTTP/1.1\r\nhost: x\r\nx-request-id: second\r\nconnection: close\r\n\r\n"
DOUBTFUL = {
    "a length and chunks": LENGTH + CHUNKED + b"\r\n0\r\n\r\n",
    "chunks and a length": CHUNKED + LENGTH + b"\r\n0\r\n\r\n",
    "two lengths": LENGTH + b"content-length: 3\r\n\r\n{}",
    "the same length twice": LENGTH + LENGTH + b"\r\n{}",
    "a list of lengths": b"content-length: 2, 2\r\n\r\n{}",
    "a length with a sign": b"content-length: +2\r\n\r\n{}",
    "a length below nothing": b"content-length: -1\r\n\r\n{}",
    "a length in hexadecimal": b"content-length: 0x2\r\n\r\n{}",
    "a length beyond all numbers": b"content-length: 99999999999999999999999\r\n\r\n{}",
    "nearly chunked": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks, and not to the end": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked, and then not": CHUNKED + b"transfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "a tab of another kind": b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"x: y\r\n transfer-encoding: chunked\r\n\r\n",
    "a folded value": b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a chunk below nothing": CHUNKED + b"\r\n-1\r\n\r\n",
    "a chunk beyond all numbers": CHUNKED + b"\r\nfffffffffffffffff\r\n{}",
    "a chunk with a prefix": CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"\r\n2\r\n{}xx\r\n0\r\n\r\n",
    "chunks in lines of another system": CHUNKED + b"\r\n2\n{}\n0\n\n",
    "an extension that ends a line": CHUNKED + b"\r\n2;a\n{}\r\n0\r\n\r\n",
    "a line that ends with CR": b"x: a\rcontent-length: 2\r\n\r\n{}",
    "NUL in a header": b"x: a\0b\r\n" + LENGTH + b"\r\n{}",
    "a name with a control character": b"x\x01y: a\r\n" + LENGTH + b"\r\n{}",
    "a name that is no ASCII": "\u0445: a\r\n".encode() + LENGTH + b"\r\n{}",
    "a header without a name": b": a\r\n" + LENGTH + b"\r\n{}",
    "a line without a colon": b"abc\r\n" + LENGTH + b"\r\n{}",
}


@pytest.fixture
async def served() -> AsyncIterator[Gateway]:
    async with gateway(rate_per_s=0) as running:
        yield running


async def answers(served: Gateway, *sent: bytes) -> bytes:
    """All that is answered on a connection, until it is closed."""
    async with served.connected() as (reader, writer):
        for one in sent:
            writer.write(one)
        async with asyncio.timeout(WAIT_S):
            return await reader.read()


def statuses(answered: bytes) -> list[int]:
    return [int(one[:3]) for one in answered.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("kind", DOUBTFUL)
async def test_a_request_that_ends_in_doubt(served: Gateway, kind: str) -> None:
    """A request that others may read in another way is 400, and nothing behind it is served."""
    answered = await answers(served, HEAD + DOUBTFUL[kind] + SECOND)
    assert statuses(answered) == [400]
    assert served.services.seen == []


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"chunked, chunked", b"CHUNKED, gzip"])
async def test_a_coding_that_is_not_undone(served: Gateway, coding: bytes) -> None:
    """A body in a transfer coding that is not undone here is refused, not read as it came."""
    sent = HEAD + b"transfer-encoding: " + coding + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    answered = await answers(served, sent + SECOND)
    assert statuses(answered)[0] == 400
    assert served.services.seen == []


async def test_what_comes_behind_a_body_is_no_header(served: Gateway) -> None:
    """Trailers say nothing about who asks, or what: they are read over."""
    served.services.answers.append(booking_pb2.Booking())
    trailers = b"authorization: Bearer x\r\nhost: y\r\nx-request-id: forged\r\n"
    sent = HEAD + CHUNKED + b"idempotency-key: k\r\n\r\n2\r\n{}\r\n0\r\n" + trailers + b"\r\n"
    answered = await answers(served, sent + SECOND)
    assert statuses(answered) == [201, 404]
    assert b"forged" not in answered
    (seen,) = served.services.seen
    assert "authorization" not in seen.metadata
    assert seen.metadata["idempotency-key"] == "k"


async def test_trailers_without_end(served: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of trailers nothing is kept, and who sends them without end is not waited for."""
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", 0.2)
    served.services.answers.append(booking_pb2.Booking())
    many = b"".join(b"x-%d: %s\r\n" % (one, b"a" * 900) for one in range(2000))
    async with served.connected() as (reader, writer):
        writer.write(b"GET /api/nothing HTTP/1.1\r\nhost: x\r\n" + CHUNKED + b"\r\n0\r\n" + many)
        async with asyncio.timeout(WAIT_S):
            answered = await reader.read()
    assert statuses(answered) == [404]


async def test_a_request_without_a_host(served: Gateway) -> None:
    """A request of HTTP/1.1 that names no host is 400."""
    answered = await answers(served, b"GET /api/bookings/me HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert statuses(answered) == [400]
    assert json.loads(answered.partition(b"\r\n\r\n")[2])["error"] == "INVALID_FIELD"


@pytest.mark.parametrize(
    "part", [b"/" + b"a" * 100_000, b"/api/bookings/me?pageToken=" + b"a" * 99_999]
)
async def test_an_address_without_end(served: Gateway, part: bytes) -> None:
    """A path or a query that goes on and on is not collected: the connection ends."""
    answered = await answers(served, b"GET " + part + b" HTTP/1.1\r\nhost: x\r\n\r\n" + SECOND)
    assert statuses(answered) in ([], [400], [431])
    assert served.services.seen == []


async def test_requests_sent_ahead(served: Gateway) -> None:
    """Thousands of requests that are sent ahead are answered one after the other, each once."""
    one = b"GET /api/nothing HTTP/1.1\r\nhost: x\r\n\r\n"
    answered = await answers(served, one * 2000, SECOND)
    assert statuses(answered) == [404] * 2001
    assert answered.count(b"x-request-id: second") == 1


@pytest.mark.parametrize("wanted", [b"websocket", b"h2c"])
async def test_another_protocol(served: Gateway, wanted: bytes) -> None:
    """Who wants another protocol is answered in this one."""
    served.services.answers.append(booking_pb2.ListMyBookingsResponse())
    upgrade = b"connection: upgrade\r\nupgrade: " + wanted + b"\r\n\r\n"
    async with served.connected() as (reader, writer):
        writer.write(b"GET /api/bookings/me HTTP/1.1\r\nhost: x\r\n" + upgrade)
        async with asyncio.timeout(WAIT_S):
            answered = await reader.readuntil(b"\r\n")
    assert answered == b"HTTP/1.1 200 OK\r\n"
