"""What became of all bookings, as a stream: in order, without a gap, from a cursor on."""

import asyncio
from typing import Any, Self

import grpc
import grpc.aio
import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc
from support import bookings
from support.bookings import POOR_CARD, WAIT_S, Stack, confirm_request
from support.client import refused
from support.databases import Databases
from support.operators import cancellation_parked, operator
from support.tokens import metadata_for

stack = bookings.stack


class Reader:
    """Reads the events at one replica, from a cursor on."""

    def __init__(self, channel: grpc.aio.Channel, cursor: str = "", scope: str = "admin") -> None:
        request = pb.StreamBookingEventsRequest(cursor=cursor)
        stub = rpc.BookingServiceStub(channel)
        metadata = metadata_for("search", scope)
        self._stream: Any = stub.StreamBookingEvents(request, metadata=metadata)

    async def take(self, count: int) -> list[pb.BookingEvent]:
        """The next events."""
        async with asyncio.timeout(WAIT_S):
            return [await anext(self._events) for _ in range(count)]

    async def __aenter__(self) -> Self:
        self._events = aiter(self._stream)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stream.cancel()


async def reader(stack: Stack, cursor: str = "", replica: int = 0, **who: str) -> Reader:
    return Reader(await stack.channel(stack.bookings[replica]), cursor, **who)


async def take(stack: Stack, count: int, cursor: str = "") -> list[pb.BookingEvent]:
    async with await reader(stack, cursor) as events:
        return await events.take(count)


def told(events: list[pb.BookingEvent]) -> list[tuple[str, str]]:
    """Type and booking reference of each."""
    name = pb.BookingEvent.Type.Name
    return [(name(one.type), one.booking.booking_reference) for one in events]


async def three_bookings(stack: Stack) -> list[tuple[str, str]]:
    """One is confirmed, one fails, and the first is cancelled; what is to be told of them."""
    ann = stack.buyer("ann")
    first = await ann.confirm(await ann.hold("A1"), "k1")
    await ann.asks(confirm_request(await ann.hold("A2"), POOR_CARD), "k2")
    (second,) = [one for one in (await ann.mine()).bookings if one.status == pb.Booking.FAILED]
    await ann.cancel(first.booking_id)
    return [
        ("CONFIRMED", first.booking_reference),
        ("FAILED", second.booking_reference),
        ("CANCELLED", first.booking_reference),
    ]


async def test_what_becomes_of_bookings(stack: Stack) -> None:
    """What is confirmed, fails and is cancelled is told in that order, and nothing else."""
    expected = await three_bookings(stack)
    ann = stack.buyer("ann")
    last = await ann.confirm(await ann.hold("A3"), "k3")
    events = await take(stack, 4)
    assert told(events) == [*expected, ("CONFIRMED", last.booking_reference)]
    assert len({one.cursor for one in events}) == 4


async def test_an_event_carries_the_booking_as_it_was(stack: Stack) -> None:
    """An event has the booking as it was then, and when that was, though it has changed since."""
    ann = stack.buyer("ann")
    confirmed = await ann.confirm(await ann.hold("A1"))
    stack.clock.move(60)
    cancelled = await ann.cancel(confirmed.booking_id)
    events = await take(stack, 2)
    assert [one.booking for one in events] == [confirmed, cancelled]
    times = [one.occurred_at for one in events]
    assert times == [confirmed.confirmed_at, cancelled.cancelled_at]


async def test_a_booking_that_is_called_off(stack: Stack) -> None:
    """A booking that is cancelled while it is PENDING is told of once, as CANCELLED."""
    ann = stack.buyer("ann")
    stack.provider.hold()
    confirming = asyncio.create_task(ann.asks(confirm_request(await ann.hold("A1"))))
    await stack.provider.asked()
    (booking,) = (await ann.mine()).bookings
    cancelling = asyncio.create_task(ann.cancel(booking.booking_id))
    await ann.sees(booking.booking_id, "CANCELLING")
    stack.provider.release()
    await asyncio.gather(confirming, cancelling)
    await ann.sees(booking.booking_id, "CANCELLED")
    after = await ann.confirm(await ann.hold("A2"), "k2")
    assert told(await take(stack, 2)) == [
        ("CANCELLED", booking.booking_reference),
        ("CONFIRMED", after.booking_reference),
    ]


async def test_a_resolved_saga_is_news_too(stack: Stack) -> None:
    """A booking whose cancellation a person has finished is told of as CANCELLED."""
    booking = await cancellation_parked(stack)
    await (await operator(stack)).retry(booking.booking_id)
    reference = booking.booking_reference
    assert told(await take(stack, 2)) == [("CONFIRMED", reference), ("CANCELLED", reference)]


async def test_from_every_cursor_on(stack: Stack) -> None:
    """From the cursor of any event a reader gets all that came after it, and nothing twice."""
    await three_bookings(stack)
    events = await take(stack, 3)
    for position, event in enumerate(events[:-1], start=1):
        assert await take(stack, 3 - position, event.cursor) == events[position:]


async def test_a_reader_waits_for_what_comes(stack: Stack) -> None:
    """A reader that is at the end is told what happens next, as it happens."""
    ann = stack.buyer("ann")
    async with await reader(stack) as events:
        for number in (1, 2):
            booking = await ann.confirm(await ann.hold(f"A{number}"), f"k{number}")
            assert told(await events.take(1)) == [("CONFIRMED", booking.booking_reference)]


async def test_a_stop_and_a_start(stack: Stack) -> None:
    """A server that stops ends the stream as UNAVAILABLE; from the last cursor nothing is lost."""
    ann = stack.buyer("ann")
    await ann.confirm(await ann.hold("A1"), "k1")
    async with await reader(stack) as events:
        (first,) = await events.take(1)
        await stack.bookings[0].stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await events.take(1)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await stack.bookings[0].start()
    second = await ann.cancel(first.booking.booking_id)
    assert told(await take(stack, 1, first.cursor)) == [("CANCELLED", second.booking_reference)]


async def test_two_replicas_write(databases: Databases) -> None:
    """What two replicas store at once is told at both in the same order, all of it, once."""
    async with bookings.stack_on(databases, replicas=2) as stack:
        seats = [f"S{number}" for number in range(8)]
        event_id = await stack.people.event(seats)
        buyers = [stack.buyer("ann", replica=number % 2) for number in range(len(seats))]

        async def book(number: int) -> str:
            buyer = buyers[number]
            held = await buyer.hold(seats[number], event_id=event_id)
            return (await buyer.confirm(held, f"k{number}")).booking_reference

        readers = [await reader(stack, replica=number) for number in range(2)]
        async with readers[0] as one, readers[1] as other:
            made = await asyncio.gather(*map(book, range(len(seats))))
            at_one, at_other = await one.take(len(seats)), await other.take(len(seats))
        assert at_one == at_other
        assert sorted(told(at_one)) == sorted(("CONFIRMED", reference) for reference in made)


@bookings.on_sqlite
@pytest.mark.parametrize("kind", ["made up", "another stream", "another list"])
async def test_a_cursor_from_elsewhere(stack: Stack, kind: str) -> None:
    """A cursor that is not from the stream of bookings is refused by name."""
    ann = stack.buyer("ann")
    for number in (1, 2):
        await ann.confirm(await ann.hold(f"A{number}"), f"k{number}")
    cursors = {
        "made up": "nothing",
        "another stream": "cGF5bWVudCBldmVudHMKMQ",
        "another list": (await ann.mine(page_size=1)).next_page_token,
    }
    with refused("INVALID_FIELD") as said:
        await take(stack, 1, cursors[kind])
    assert said[0].message.startswith("cursor")


@bookings.on_sqlite
async def test_events_are_not_for_buyers(stack: Stack) -> None:
    """Without the scope `admin` nobody is told what becomes of others' bookings."""
    async with await reader(stack, scope="bookings payments inventory") as events:
        with refused("SCOPE_MISSING"):
            await events.take(1)
