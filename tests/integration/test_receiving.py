"""A request comes in time or not at all, and nobody waits for one whose caller may send none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from support.client import reason_of, refused
from support.databases import SQLITE, Databases
from support.http2 import (
    DATA,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST,
    SETTINGS,
    Connection,
    call_headers,
    connected,
    frame,
    opening,
)
from support.inventory import hosted_inventory
from support.serving import GRACE_S
from support.tokens import metadata_for, verifier

from chassis import server
from chassis.errors import InvalidField
from chassis.interceptors import receiving
from chassis.interceptors.admission import Limits
from chassis.interceptors.around import Context
from payment_svc import servicer as payments

METHOD = "/holdfast.inventory.v1.InventoryService/GetReservations"
HEALTH = "/grpc.health.v1.Health/Check"
WEBHOOK = "/holdfast.payment.v1.PaymentService/HandleWebhook"
WAIT_S = 20.0
SHORT_S = 0.2
# The head of a message of a thousand bytes.
HEAD = b"\0" + (1000).to_bytes(4, "big")
TOKEN = tuple((name, value.encode()) for name, value in metadata_for("ann"))
# What a caller may send, and then send no more of.
BEGINNINGS = {
    "nothing": b"",
    "half of a head": HEAD[:3],
    "half of a message": HEAD + b"x" * 500,
}


class Webhooks(rpc.PaymentServiceServicer):
    """Takes them, unless they are late."""

    async def HandleWebhook(
        self, request: pb.HandleWebhookRequest, _context: Context
    ) -> pb.HandleWebhookResponse:
        if request.provider == "late":
            raise InvalidField(("provider", "a late one"))
        return pb.HandleWebhookResponse()


@pytest.fixture
async def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The inventory, which is in a hurry, and has room for one call."""
    monkeypatch.setattr(receiving, "RECEIVE_S", SHORT_S)
    monkeypatch.setattr(server, "GREETING_TIMEOUT_MS", int(SHORT_S * 1000))
    async with Databases(SQLITE, tmp_path) as databases:
        hosted = await hosted_inventory(await databases.fresh("inventory_svc"))
        limits = Limits(calls_max=1, streams_max=1)
        async with server.running(hosted, "127.0.0.1:0", verifier(), GRACE_S, limits) as port:
            yield f"127.0.0.1:{port}"


async def ended(connection: Connection) -> bytes:
    """What ends a stream: its trailers."""
    async with asyncio.timeout(WAIT_S):
        while True:
            _, flags, _, payload = await connection.until(HEADERS)
            if flags & END_STREAM:
                return payload


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("method", [METHOD, HEALTH])
async def test_a_request_that_does_not_come(address: str, method: str, beginning: str) -> None:
    """A call whose request does not come, or only in part, ends after a while, and says why."""
    async with connected(address) as connection:
        await connection.send(opening(1, call_headers(method, *TOKEN)))
        await connection.send(frame(DATA, 0, 1, BEGINNINGS[beginning]))
        told = await ended(connection)
    assert b"the request must come within 0.2 s of its call" in told


async def test_one_byte_at_a_time(address: str) -> None:
    """A request of which a byte comes now and then is not waited for longer."""
    async with connected(address) as connection:
        await connection.send(opening(1, call_headers(METHOD, *TOKEN)))

        async def drip() -> None:
            for one in HEAD + b"x" * 990:
                await connection.send(frame(DATA, 0, 1, bytes([one])))
                await asyncio.sleep(SHORT_S / 4)

        dripping = asyncio.create_task(drip())
        told = await ended(connection)
        dripping.cancel()
    assert b"the request must come" in told


async def test_its_place_is_free_again(address: str) -> None:
    """Who opens a call and sends nothing has a place for no longer than a request may take."""
    async with grpc.aio.insecure_channel(address) as channel:
        pairs = metadata_for("ann")
        silent = channel.stream_unary(METHOD)(metadata=pairs, timeout=WAIT_S)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await silent
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert reason_of(caught.value) == "DEADLINE_TOO_SHORT"
        with refused("INVALID_FIELD"):
            await channel.unary_unary(METHOD)(b"", metadata=pairs, timeout=WAIT_S)


async def test_a_stranger_is_not_waited_for(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token a call is refused before its request has come."""
    monkeypatch.setattr(receiving, "RECEIVE_S", 3600.0)
    async with grpc.aio.insecure_channel(address) as channel:
        with refused("TOKEN_MISSING"):
            await channel.stream_unary(METHOD)(timeout=WAIT_S)


async def test_a_silent_webhook_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens a call that needs no token, and sends nothing, keeps nobody else from being served.

    It is no call that is served before its request is there; then it is served as any other.
    """
    monkeypatch.setattr(receiving, "RECEIVE_S", 3600.0)

    async def done() -> None:
        pass

    hosted = server.Hosted(
        name=payments.NAME,
        register=lambda one: rpc.add_PaymentServiceServicer_to_server(Webhooks(), one),
        access=payments.ACCESS,
        ready=done,
        close=done,
    )
    limits = Limits(calls_max=1, streams_max=1)
    async with server.running(hosted, "127.0.0.1:0", verifier(), GRACE_S, limits) as port:
        address = f"127.0.0.1:{port}"
        async with connected(address) as silent, grpc.aio.insecure_channel(address) as channel:
            await silent.send(opening(1, call_headers(WEBHOOK)), frame(PING, payload=bytes(8)))
            async with asyncio.timeout(WAIT_S):
                await silent.until(PING)
            stub = rpc.PaymentServiceStub(channel)
            for _ in range(3):
                answer = await stub.HandleWebhook(
                    pb.HandleWebhookRequest(provider="mock"), timeout=WAIT_S
                )
                assert answer == pb.HandleWebhookResponse()
            request = pb.HandleWebhookRequest(provider="late").SerializeToString()
            head = b"\0" + len(request).to_bytes(4, "big")
            await silent.send(frame(DATA, END_STREAM, 1, head + request))
            told = await ended(silent)
    assert b"a late one" in told


async def test_a_call_without_a_request(address: str) -> None:
    """A call that its caller ends without a request is INVALID_ARGUMENT, of health, too."""

    async def nothing() -> AsyncIterator[bytes]:
        for none in ():
            yield none

    async with grpc.aio.insecure_channel(address) as channel:
        with refused("INVALID_FIELD"):
            await channel.stream_unary(METHOD)(
                nothing(), metadata=metadata_for("ann"), timeout=WAIT_S
            )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.stream_unary(HEALTH)(nothing(), timeout=WAIT_S)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "greeting", [b"", PREFACE[:10], PREFACE, PREFACE + frame(SETTINGS)[:5]], ids=repr
)
async def test_who_does_not_speak_is_left(address: str, greeting: bytes) -> None:
    """A connection on which HTTP/2 does not begin, or only half of it, is ended."""
    async with connected(address, greet=False) as connection:
        await connection.send(greeting)
        async with asyncio.timeout(WAIT_S):
            await connection.until_closed()


async def test_streams_of_one_connection_are_bounded(address: str) -> None:
    """One connection is told how many streams it may open, and those beyond are refused."""
    most = 1 + 1 + server.STREAMS_SPARE
    async with connected(address) as connection:
        settings = await connection.until(SETTINGS)
        assert (3).to_bytes(2, "big") + most.to_bytes(4, "big") in settings[3]
        for number in range(most * 3):
            await connection.send(opening(2 * number + 1, call_headers(METHOD, *TOKEN)))
        async with asyncio.timeout(WAIT_S):
            *_, why = await connection.until(RST)
    # REFUSED_STREAM: it may be tried again, nothing was done.
    assert why == (7).to_bytes(4, "big")
