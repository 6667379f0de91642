"""Several replicas behind one target: calls go to those that serve, and to no other."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from support import http2, tokens

from chassis import health
from chassis.channels import open_channel
from chassis.interceptors.admission import Limits
from chassis.server import Hosted, running
from payment_svc.servicer import ACCESS, NAME

SERVICE = pb.DESCRIPTOR.services_by_name["PaymentService"]
REQUEST = pb.GetPaymentRequest(payment_id="PAY-1")
TOKEN = tokens.metadata_for("ann", "payments")
GRACE_S = 5.0
# Of streams and of calls: what watches the health must take no place of either.
LIMITS = Limits(calls_max=4, streams_max=1)


class Payments(rpc.PaymentServiceServicer):
    """Says which replica it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        # Calls wait for it.
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def GetPayment(self, _request: pb.GetPaymentRequest, _context: Any) -> pb.Payment:
        await self.goes_on.wait()
        return pb.Payment(payment_id=self._name)


@dataclass
class Replica:
    """A server that can be broken, drained and killed, all by itself."""

    name: str
    port: int = 0
    broken: bool = False
    payments: Payments = field(init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        self.payments = Payments(self.name)
        hosted = Hosted(
            name=NAME,
            register=lambda server: rpc.add_PaymentServiceServicer_to_server(self.payments, server),
            access=ACCESS,
            ready=self._ready,
            close=_nothing,
        )
        listen = f"127.0.0.1:{self.port}"
        served = running(hosted, listen, tokens.verifier(), GRACE_S, LIMITS)
        self.port = await self._stack.enter_async_context(served)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _ready(self) -> None:
        if self.broken:
            raise ConnectionError


async def _nothing() -> None:
    pass


@dataclass
class Pair:
    """Two replicas, and one channel to both."""

    replicas: dict[str, Replica]
    channel: grpc.aio.Channel

    async def ask(self) -> str:
        """Who answers, or the code of a failure."""
        stub = rpc.PaymentServiceStub(self.channel)
        try:
            return (await stub.GetPayment(REQUEST, metadata=TOKEN, timeout=20)).payment_id
        except grpc.aio.AioRpcError as error:
            return error.code().name

    async def answered_by(self, calls: int = 20) -> set[str]:
        return {await self.ask() for _ in range(calls)}

    async def until_answered_by(self, *names: str) -> None:
        async with asyncio.timeout(20):
            while True:
                if await self.answered_by() == set(names):
                    return
                await asyncio.sleep(0.01)


@asynccontextmanager
async def _pair() -> AsyncIterator[Pair]:
    replicas = {name: Replica(name) for name in "ab"}
    async with AsyncExitStack() as stack:
        for one in replicas.values():
            await one.start()
            stack.push_async_callback(one.stop)
        addresses = ",".join(f"127.0.0.1:{one.port}" for one in replicas.values())
        channel = await stack.enter_async_context(open_channel(f"ipv4:{addresses}", SERVICE))
        pair = Pair(replicas, channel)
        await pair.until_answered_by("a", "b")
        yield pair


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr(health, "INTERVAL_S", 0.02)
    async with _pair() as pair:
        yield pair


async def test_calls_go_to_each_replica_in_turn(pair: Pair) -> None:
    """Of two replicas that serve, each gets half of the calls."""
    assert Counter([await pair.ask() for _ in range(40)]) == {"a": 20, "b": 20}


async def test_a_replica_that_does_not_serve_gets_no_calls(pair: Pair) -> None:
    """One that says NOT_SERVING is left, without an error, and taken back when it serves."""
    seen: Counter[str] = Counter()
    for is_broken, expected in ((True, {"a"}), (False, {"a", "b"})):
        pair.replicas["b"].broken = is_broken
        async with asyncio.timeout(20):
            while (answered := await pair.answered_by()) != expected:
                seen.update(answered)
                await asyncio.sleep(0.01)
        assert await pair.answered_by() == expected
    assert seen.keys() <= {"a", "b"}


async def test_a_replica_that_stops_is_left_before_it_stops(pair: Pair) -> None:
    """While one of two drains under load, the call it has is answered and none fails."""
    answers: Counter[str] = Counter()
    replica = pair.replicas["b"]

    async def load() -> None:
        while True:
            answers[await pair.ask()] += 1

    held = []
    replica.payments.goes_on.clear()
    async with asyncio.timeout(20):
        while sum(not one.done() for one in held) < 1:
            held.append(asyncio.create_task(pair.ask()))
            await asyncio.sleep(0.05)
    loads = [asyncio.create_task(load()) for _ in range(2)]
    stopping = asyncio.create_task(replica.stop())
    await asyncio.sleep(0)
    replica.payments.goes_on.set()
    await stopping
    await pair.until_answered_by("a")
    for one in loads:
        one.cancel()
    await asyncio.gather(*loads, return_exceptions=True)
    assert set(await asyncio.gather(*held)) <= {"a", "b"}
    assert answers.keys() <= {"a", "b"}


async def test_a_replica_that_comes_back_is_taken_back(pair: Pair) -> None:
    """One that was away gets calls again soon after it serves."""
    await pair.replicas["b"].stop()
    await pair.until_answered_by("a")
    await pair.replicas["b"].start()
    await pair.until_answered_by("a", "b")


async def test_to_watch_the_health_takes_no_place(pair: Pair) -> None:
    """More watchers than streams may be served leave room for calls, and need no token."""
    async with AsyncExitStack() as stack:
        for _ in range(LIMITS.calls_max + LIMITS.streams_max):
            target = f"127.0.0.1:{pair.replicas['a'].port}"
            # A connection of its own each, as other processes have.
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = grpc.aio.insecure_channel(target, options=options)
            await stack.enter_async_context(channel)
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert await pair.answered_by() == {"a", "b"}


async def test_a_watcher_who_does_not_read_is_not_waited_for(pair: Pair) -> None:
    """A stranger who watches the health and takes no byte of it keeps no caller from a replica."""
    port = pair.replicas["a"].port
    window = struct.pack(">HI", http2.INITIAL_WINDOW_SIZE, 0)
    async with http2.connected(f"127.0.0.1:{port}", greet=False) as stranger:
        await stranger.send(http2.PREFACE, http2.frame(http2.SETTINGS, payload=window))
        path = http2.call_headers("/grpc.health.v1.Health/Watch")
        empty = http2.frame(http2.DATA, http2.END_STREAM, 1, bytes(5))
        await stranger.send(http2.opening(1, path), empty)
        await stranger.until(http2.HEADERS)
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            async with asyncio.timeout(20):
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
                pair.replicas["a"].broken = True
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
                await pair.until_answered_by("b")
