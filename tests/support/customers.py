"""People who book, cancel and ask again, for as long as a test goes on, and keep each answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc.aio
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc

from chassis.status import from_rpc_error
from support.bookings import GOOD_CARD, POOR_CARD, confirm_request
from support.crash_client import Client
from support.crash_scenarios import ANSWER_LOST_CARD, SLOW_CARD
from support.crash_world import BOOKING
from support.tokens import metadata_for

CARDS = (*(GOOD_CARD,) * 6, POOR_CARD, ANSWER_LOST_CARD, SLOW_CARD)
PEOPLE = 4
SEATS = 400
CALL_S = 20.0
# However busy the machine is.
MORE_S = 100.0


@dataclass
class Purchase:
    """What was booked with a key, and in what it ended."""

    user_id: str
    key: str
    held: list[int]
    card: str
    ended: str = ""
    booking_id: int = 0


@dataclass
class Crowd:
    """Some customers of a world."""

    world: Any
    event_id: int = 0
    purchases: list[Purchase] = field(default_factory=list)
    cancelled: int = 0
    _seats: int = 0

    async def opens(self) -> None:
        """Make the event that they go to."""
        seats = [f"S{number}" for number in range(SEATS)]
        self.event_id = await Client(self.world).event(*seats)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Let them come for as long as the block goes on; what they began they finish."""
        closing = asyncio.Event()
        async with asyncio.TaskGroup() as people:
            for number in range(PEOPLE):
                people.create_task(self._comes_again(Random(number), closing))
            try:
                yield
            finally:
                closing.set()

    async def more(self, purchases: int) -> None:
        """Wait until so many more have been made."""
        wanted = self._done + purchases
        async with asyncio.timeout(MORE_S):
            while self._done < wanted:  # noqa: ASYNC110 - nothing tells when it is
                await asyncio.sleep(0.01)

    def purchase(self, card: str) -> Purchase:
        """A purchase that nobody has made."""
        number = len(self.purchases)
        one = Purchase(f"user-{number}", f"key-{number}", [], card)
        self.purchases.append(one)
        return one

    async def makes(self, one: Purchase, world: Any = None) -> str:
        """Hold a seat and book it, until there is an answer; repeated, it is the same answer."""
        client = Client(world or self.world, one.user_id)
        if not one.held:
            self._seats += 1
            one.held = await client.holds(self.event_id, f"S{self._seats}")
        one.ended = await client.books(one.held, one.card, one.key)
        return one.ended

    @property
    def _done(self) -> int:
        return sum(bool(one.ended) for one in self.purchases)

    async def _comes_again(self, chance: Random, closing: asyncio.Event) -> None:
        while not closing.is_set() and self._seats < SEATS - PEOPLE:
            one = self.purchase(chance.choice(CARDS))
            await self.makes(one)
            if one.ended == "CONFIRMED" and chance.random() < 1 / 3:
                client = Client(self.world, one.user_id)
                assert await client.cancels(await client.first_booking()) == "CANCELLED"
                self.cancelled += 1


async def waiting(one: Purchase, world: Any) -> int:
    """Wait until a purchase waits for nothing but its payment; the id of its booking.

    Before that, with the card in one process and the charge in another, to kill both is to have
    it called off.
    """
    stub = rpc.BookingServiceStub(world.channel(BOOKING))
    async with asyncio.timeout(CALL_S):
        while True:
            request, metadata = pb.ListMyBookingsRequest(), metadata_for(one.user_id)
            found = (await stub.ListMyBookings(request, metadata=metadata)).bookings
            if found and found[0].payment_id:
                return int(found[0].booking_id)
            await asyncio.sleep(0.01)


async def answer_to(one: Purchase, world: Any) -> tuple[object, bool]:
    """What its key is answered now, and whether that is said to be a repeat.

    A booking byte for byte; a refusal by its facts, which are a map.
    """
    metadata = metadata_for(one.user_id, idempotency_key=one.key)
    book = world.channel(BOOKING).unary_unary(
        "/holdfast.booking.v1.BookingService/ConfirmBooking",
        request_serializer=pb.ConfirmBookingRequest.SerializeToString,
    )
    call = book(confirm_request(one.held, one.card), metadata=metadata, timeout=CALL_S)
    try:
        said: object = await call
    except grpc.aio.AioRpcError as error:
        said = from_rpc_error(error)
    found = [*(await call.initial_metadata()), *(await call.trailing_metadata())]
    return said, ("idempotent-replayed", "true") in found
