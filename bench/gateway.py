"""What the gateway costs: beside Envoy, and beside the call that it makes."""

import statistics
import time
from collections.abc import Awaitable, Callable
from importlib import resources

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from bench.envoy import Envoy, NoEnvoy
from bench.http import Get

SERVICE = "holdfast.booking.v1.BookingService"
ROUNDS = 5
CONNECTIONS = 32
EACH = 30
ALONE = 200
WARM_UP = 10


def beside_envoy(server_port: int) -> Envoy:
    """An Envoy in front of the server that the gateway asks for bookings."""
    data = (resources.files("holdfast") / "descriptors.binpb").read_bytes()
    return Envoy(FileDescriptorSet.FromString(data), [SERVICE], server_port)


async def measure(gateway: Get, server_port: int, call: Callable[[], Awaitable[object]]) -> None:
    """Measure in rounds and print medians; `call` is what the gateway calls."""
    print("a GET of one booking through the gateway (median of rounds; lowest to highest)")
    try:
        with beside_envoy(server_port) as envoy:
            peer = Get(envoy.port, gateway.path, gateway.headers)
            shares = await _shares(gateway, peer)
        spread = f"({min(shares):.2f} to {max(shares):.2f})"
        name = f"requests/s of those by Envoy, {CONNECTIONS} connections"
        print(f"  {name:<50} {statistics.median(shares):6.2f} times  {spread}")
    except NoEnvoy as error:
        print(f"  NOT COMPARED WITH ENVOY: {error}")
    ratios, over_ms = [], []
    for _ in range(ROUNDS):
        direct_s = await _median_s(call)
        _, latencies = await gateway.latencies(1, ALONE)
        through_s = statistics.median(latencies)
        ratios.append(through_s / direct_s)
        over_ms.append((through_s - direct_s) * 1000)
    name = "time of the direct gRPC call, one connection"
    print(f"  {name:<50} {statistics.median(ratios):6.2f} times", end="  ")
    print(f"({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"  {'its own time over the direct gRPC call':<50} {statistics.median(over_ms):6.2f} ms")


async def _shares(gateway: Get, peer: Get) -> list[float]:
    shares = []
    for one in (gateway, peer):
        await one.latencies(CONNECTIONS, WARM_UP)
    for _ in range(ROUNDS):
        ours_s, _ = await gateway.latencies(CONNECTIONS, EACH)
        theirs_s, _ = await peer.latencies(CONNECTIONS, EACH)
        shares.append(theirs_s / ours_s)
    return shares


async def _median_s(call: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(ALONE):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
