"""`make bench`: what a booking costs, as ratios within one run.

A time says as much about the machine as about the code. So everything is measured beside
the smallest call that there is, a health check of the same server, in the same minute, and
printed as a multiple of it.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path

import grpc.aio
from google.type.decimal_pb2 import Decimal
from grpc_health.v1 import health_pb2, health_pb2_grpc
from holdfast.booking.v1 import booking_pb2, booking_pb2_grpc
from holdfast.inventory.v1 import inventory_pb2, inventory_pb2_grpc
from holdfast.payment.v1 import payment_pb2

from bench import gateway
from bench.http import Get
from cli import signing, stack
from cli.programs import BOOKING, GATEWAY, INVENTORY, Addresses

ROUNDS = 5
CALLS_A_ROUND = 60
CALLERS = 16
NO_DELAY = {"PAYMENT_MOCK_DELAY_MIN_S": "0", "PAYMENT_MOCK_DELAY_MAX_S": "0"}
# One caller is all load here.
NO_LIMIT = {"GATEWAY_RATE_PER_S": "0"}
SEATS = 2 * ROUNDS * CALLS_A_ROUND * 4

Call = Callable[[], Awaitable[object]]


class Buyer:
    """Makes the calls that are measured."""

    def __init__(self, inventory: grpc.aio.Channel, booking: grpc.aio.Channel, token: str) -> None:
        """Call over these channels with this token."""
        self._health = health_pb2_grpc.HealthStub(booking)
        self._inventory = inventory_pb2_grpc.InventoryServiceStub(inventory)
        self._bookings = booking_pb2_grpc.BookingServiceStub(booking)
        self._bearer = token
        self._token = [("authorization", f"Bearer {token}")]
        self._numbers = count()
        self._event_id = 0
        self._booking_id = 0
        self._held: list[int] = []

    async def prepare(self) -> None:
        """Create an event with seats enough, and one booking to read and repeat."""
        seats = [
            inventory_pb2.CreateEventRequest.NewSeat(
                seat_number=f"S{number}", price=Decimal(value="75.00")
            )
            for number in range(SEATS)
        ]
        request = inventory_pb2.CreateEventRequest(name="bench", currency="USD", seats=seats)
        event = await self._inventory.CreateEvent(request, metadata=self._token)
        self._event_id = event.event_id
        self._held = await self._reserve()
        booking = await self._confirm(self._held, "bench-first")
        self._booking_id = booking.booking_id

    async def check_health(self) -> object:
        """The smallest call that there is."""
        return await self._health.Check(health_pb2.HealthCheckRequest())

    def read_by_http(self, port: int) -> Get:
        """Read the same booking through a gateway."""
        headers = {"authorization": f"Bearer {self._bearer}"}
        return Get(port, f"/api/bookings/{self._booking_id}", headers)

    async def read(self) -> object:
        """Read a booking."""
        request = booking_pb2.GetBookingRequest(booking_id=self._booking_id)
        return await self._bookings.GetBooking(request, metadata=self._token)

    async def reserve(self) -> object:
        """Hold a seat."""
        return await self._reserve()

    async def repeat(self) -> object:
        """Send a finished booking again."""
        return await self._confirm(self._held, "bench-first")

    async def book(self) -> object:
        """Hold a seat and book it."""
        held = await self._reserve()
        return await self._confirm(held, f"bench-{held[0]}")

    async def _reserve(self) -> list[int]:
        request = inventory_pb2.ReserveSeatsRequest(
            event_id=self._event_id, seat_numbers=[f"S{next(self._numbers)}"]
        )
        answer = await self._inventory.ReserveSeats(request, metadata=self._token)
        return [one.reservation_id for one in answer.reservations]

    async def _confirm(self, held: Sequence[int], key: str) -> booking_pb2.Booking:
        request = booking_pb2.ConfirmBookingRequest(
            reservation_ids=held,
            payment_method=payment_pb2.PaymentMethod(
                type=payment_pb2.PaymentMethod.CREDIT_CARD,
                card_number="4242424242424242",
                expiry_month=12,
                expiry_year=2030,
                cvv="123",
            ),
        )
        metadata = [*self._token, ("idempotency-key", key)]
        return await self._bookings.ConfirmBooking(request, metadata=metadata)


async def seconds_a_call(call: Call, callers: int) -> float:
    """How long one call takes, with so many callers at once."""

    async def caller() -> None:
        for _ in range(CALLS_A_ROUND // callers):
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return (time.perf_counter() - began) / (CALLS_A_ROUND // callers * callers)


async def measure(buyer: Buyer) -> None:
    """Measure in rounds, each beside its own health checks, and print medians."""
    calls = {
        "read a booking": buyer.read,
        "repeat a booking with its key": buyer.repeat,
        "hold a seat": buyer.reserve,
        "hold a seat and book it": buyer.book,
    }
    print("one call, as a multiple of a health check (median of rounds; lowest to highest)")
    for name, call in calls.items():
        ratios = []
        for _ in range(ROUNDS):
            health_s = await seconds_a_call(buyer.check_health, 1)
            ratios.append(await seconds_a_call(call, 1) / health_s)
        spread = f"({min(ratios):.1f} to {max(ratios):.1f})"
        print(f"  {name:<32} {statistics.median(ratios):6.1f} times  {spread}")
    gains = []
    for _ in range(ROUNDS):
        alone_s = await seconds_a_call(buyer.book, 1)
        gains.append(alone_s / await seconds_a_call(buyer.book, CALLERS))
    print(f"bookings with {CALLERS} callers, as a multiple of those with one caller")
    print(f"  {'hold a seat and book it':<32} {statistics.median(gains):6.1f} times")


def main() -> None:
    """Start a stack of its own, with a provider that does not wait, and measure it."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder, addresses, keys = Path(name), stack.on_free_ports(), signing.throwaway()
        os.environ.update(NO_DELAY | NO_LIMIT)
        environment = {"AUTH_JWT_SECRET": keys.secret, **stack.kept_apart(addresses, folder)}
        with stack.Stack(addresses, environment, folder, print) as running:
            for program, _ in running.ready():
                print(f"{program.name} serves")
            token = keys.minter.mint("bench", "bookings admin", 3600)

            asyncio.run(_run(addresses, token))


async def _run(addresses: Addresses, token: str) -> None:
    gateway_port, booking_port = (
        int(addresses.target(one).rpartition(":")[2]) for one in (GATEWAY, BOOKING)
    )
    async with (
        grpc.aio.insecure_channel(addresses.target(INVENTORY)) as inventory,
        grpc.aio.insecure_channel(addresses.target(BOOKING)) as booking,
    ):
        buyer = Buyer(inventory, booking, token)
        await buyer.prepare()
        await gateway.measure(buyer.read_by_http(gateway_port), booking_port, buyer.read)
        await measure(buyer)


if __name__ == "__main__":
    main()
