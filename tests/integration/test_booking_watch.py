"""Watching a booking: as it is, then each change once, until it is settled."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import grpc
import grpc.aio
import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from support import bookings
from support.bookings import POOR_CARD, WAIT_S, Buyer, Stack, confirm_request
from support.client import refused
from support.databases import Databases
from support.operators import NO, cancellation_parked, operator

from booking_svc import wiring
from booking_svc.saga.machine import PATIENCE
from booking_svc.usecases import watch_booking
from booking_svc.usecases.changes import Changes

stack = bookings.stack
# Of a poll that no test would wait for.
NEVER_S = 3600.0


class Watcher:
    """Reads a stream, one message at a time or all that is left."""

    def __init__(self, stream: Any) -> None:
        self._messages = aiter(stream)
        self.leave = stream.cancel

    async def next(self) -> pb.Booking:
        async with asyncio.timeout(WAIT_S):
            return await anext(self._messages)

    async def rest(self) -> list[pb.Booking]:
        async with asyncio.timeout(WAIT_S):
            return [booking async for booking in self._messages]


def watching(buyer: Buyer, booking: pb.Booking) -> Watcher:
    return Watcher(buyer.watch(booking.booking_id))


def statuses(seen: list[pb.Booking]) -> list[str]:
    return [pb.Booking.Status.Name(one.status) for one in seen]


@asynccontextmanager
async def in_the_middle(
    stack: Stack, buyer: Buyer, card: str = bookings.GOOD_CARD
) -> AsyncIterator[pb.Booking]:
    """A booking whose payment is not answered until the block ends."""
    stack.provider.hold()
    confirming = asyncio.create_task(buyer.asks(confirm_request(await buyer.hold("A1"), card)))
    await stack.provider.asked()
    (booking,) = (await buyer.mine()).bookings
    yield booking
    stack.provider.release()
    await confirming


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> list[Changes]:
    """The bells of each booking service that is made after this."""
    made: list[Changes] = []

    class Noted(Changes):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(wiring, "Changes", Noted)
    return made


async def silent(changes: Changes) -> None:
    """Wait until nobody waits for anything."""
    async with asyncio.timeout(WAIT_S):
        while changes._bells:
            await asyncio.sleep(0.02)
            # What a traceback still holds, for one.
            gc.collect()


async def test_a_settled_booking_is_told_once(stack: Stack) -> None:
    """Of a booking that is settled a watcher sees what GetBooking says, and then the end."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"))
    assert await watching(ann, booking).rest() == [await ann.get(booking.booking_id)]


@pytest.mark.parametrize("card", [bookings.GOOD_CARD, POOR_CARD], ids=["confirmed", "declined"])
async def test_from_the_present_state_to_the_end(stack: Stack, card: str) -> None:
    """A watcher sees the booking as it is, each change once, and the outcome as the last."""
    ann = stack.buyer("ann")
    async with in_the_middle(stack, ann, card) as booking:
        watcher = watching(ann, booking)
        first = await watcher.next()
        assert first == booking
    seen = [first, *await watcher.rest()]
    assert all(one != after for one, after in pairwise(seen))
    outcome = "CONFIRMED" if card == bookings.GOOD_CARD else "FAILED"
    assert statuses(seen) == ["PENDING"] * (len(seen) - 1) + [outcome]
    assert seen[-1] == await ann.get(booking.booking_id)


async def test_what_changes_nothing_is_not_told(stack: Stack) -> None:
    """A step of a saga that changes nothing of the booking is no news to a watcher."""
    booking = await cancellation_parked(stack)
    ann, olga = stack.buyer("ann"), await operator(stack)
    watcher = watching(ann, booking)
    assert statuses([await watcher.next()]) == ["CANCELLING"]
    stack.provider.refund_answers = [NO] * PATIENCE.refusals
    await olga.retry(booking.booking_id)
    await olga.sees(booking.booking_id, "NEEDS_ATTENTION")
    await olga.retry(booking.booking_id)
    assert statuses(await watcher.rest()) == ["CANCELLED"]


async def test_a_bell_and_not_the_poll(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes in the same process is told at once, however rarely the database is asked."""
    monkeypatch.setattr(watch_booking, "POLL_S", NEVER_S)
    ann = stack.buyer("ann")
    async with in_the_middle(stack, ann) as booking:
        watcher = watching(ann, booking)
        await watcher.next()
    assert statuses(await watcher.rest())[-1] == "CONFIRMED"


async def test_many_watch_one_booking(stack: Stack) -> None:
    """Two who watch the same booking both see where it begins and how it ends."""
    ann = stack.buyer("ann")
    async with in_the_middle(stack, ann) as booking:
        watchers = [watching(ann, booking) for _ in range(2)]
        firsts = [await one.next() for one in watchers]
        assert firsts == [booking, booking]
    rests = await asyncio.gather(*(one.rest() for one in watchers))
    assert [rest[-1] for rest in rests] == [await ann.get(booking.booking_id)] * 2


async def test_a_booking_that_another_replica_makes(databases: Databases) -> None:
    """A watcher at one replica sees what another replica makes of the booking."""
    async with bookings.stack_on(databases, replicas=2) as stack:
        async with in_the_middle(stack, stack.buyer("ann")) as booking:
            watcher = watching(stack.buyer("ann", replica=1), booking)
            assert await watcher.next() == booking
        assert statuses(await watcher.rest())[-1] == "CONFIRMED"


async def test_someone_elses_booking_is_not_watched(stack: Stack) -> None:
    """To watch someone else's booking is answered as one that does not exist."""
    ann, bob = stack.buyer("ann"), stack.buyer("bob")
    booking = await ann.confirm(await ann.hold("A1"))
    for booking_id in (booking.booking_id, 4711):
        with refused("BOOKING_NOT_FOUND", bookingId=str(booking_id)):
            await Watcher(bob.watch(booking_id)).rest()


async def test_who_leaves_leaves_nothing_behind(changes: list[Changes], stack: Stack) -> None:
    """After a watcher has left, in the middle or at the end, the server keeps nothing of it."""
    ann = stack.buyer("ann")
    async with in_the_middle(stack, ann) as booking:
        watchers = [watching(ann, booking) for _ in range(3)]
        for one in watchers:
            await one.next()
        assert len(changes[0]._bells) == 1
        watchers[0].leave()
        watchers[1].leave()
    assert statuses(await watchers[2].rest())[-1] == "CONFIRMED"
    await silent(changes[0])


async def test_all_who_watched_have_left(changes: list[Changes], stack: Stack) -> None:
    """A booking that nobody watches any more has no bell, though it still runs."""
    ann = stack.buyer("ann")
    async with in_the_middle(stack, ann) as booking:
        watcher = watching(ann, booking)
        await watcher.next()
        watcher.leave()
        await silent(changes[0])


async def test_a_stop_ends_the_watching(stack: Stack) -> None:
    """A server that stops ends the stream as UNAVAILABLE; the next one goes on from there."""
    booking = await cancellation_parked(stack)
    ann = stack.buyer("ann")
    watcher = watching(ann, booking)
    assert await watcher.next() == booking
    await stack.bookings[0].stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watcher.rest()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await stack.bookings[0].start()
    await ann.sees(booking.booking_id, "CANCELLING")
    watcher = watching(ann, booking)
    assert await watcher.next() == booking
    await (await operator(stack)).retry(booking.booking_id)
    assert statuses(await watcher.rest()) == ["CANCELLED"]
