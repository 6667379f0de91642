"""Many callers at once, at two replicas over one database: one booking, one charge, one answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from support.bookings import GOOD_CARD, POOR_CARD, Stack, confirm_request, stack_on
from support.databases import Databases

CALLERS = 40
IN_USE, NOT_ACTIVE = "IDEMPOTENCY_KEY_IN_USE", "RESERVATION_NOT_ACTIVE"


@pytest.fixture
async def stack(databases: Databases) -> AsyncIterator[Stack]:
    async with stack_on(databases, replicas=2) as stack:
        yield stack


@pytest.mark.parametrize("card", [GOOD_CARD, POOR_CARD], ids=["confirmed", "declined"])
async def test_forty_identical_confirms(stack: Stack, card: str) -> None:
    """Forty calls with one key: one booking, one charge; who is not ABORTED gets the same bytes."""
    anns = [stack.buyer("ann", replica) for replica in (0, 1)]
    held = await anns[0].hold("A1", "A2")
    request = confirm_request(held, card)
    answers = await asyncio.gather(*(anns[call % 2].asks(request) for call in range(CALLERS)))
    final = await anns[1].asks(request)
    assert final.replayed
    assert {one.same for one in answers if one.reason != IN_USE} == {final.same}
    assert {one.code.name for one in answers if one.reason == IN_USE} <= {"ABORTED"}
    assert [one.replayed for one in answers if one.reason != IN_USE].count(False) == 1
    assert len((await anns[0].mine()).bookings) == 1
    assert stack.provider.charges_asked == len(await stack.payments()) == 1


async def test_forty_keys_on_one_reservation(stack: Stack) -> None:
    """Forty keys for one reservation: exactly one is CONFIRMED and charged, and has the seat."""
    anns = [stack.buyer("ann", replica) for replica in (0, 1)]
    held = await anns[0].hold("A1")
    answers = await asyncio.gather(
        *(anns[call % 2].asks(confirm_request(held), f"k{call}") for call in range(CALLERS))
    )
    assert Counter(one.reason for one in answers) == {"": 1, NOT_ACTIVE: CALLERS - 1}
    (booking,) = (one.booking for one in answers if not one.reason)
    assert booking.status == pb.Booking.CONFIRMED
    assert (await stack.seats())["A1"] == "BOOKED"
    assert stack.provider.charges_asked == len(await stack.payments()) == 1


async def test_forty_keys_after_one_that_is_declined(stack: Stack) -> None:
    """Others ask for a reservation whose payment is being declined: nothing of it gets stuck."""
    anns = [stack.buyer("ann", replica) for replica in (0, 1)]
    held = await anns[0].hold("A1", "A2")
    stack.provider.hold()
    first = asyncio.create_task(anns[0].asks(confirm_request(held, POOR_CARD), "first"))
    await stack.provider.asked()
    others = [
        asyncio.create_task(anns[call % 2].asks(confirm_request(held[call % 2 :]), f"k{call}"))
        for call in range(CALLERS)
    ]
    await asyncio.wait(others, timeout=0.3)
    stack.provider.release()
    assert (await first).reason == "PAYMENT_FAILED"
    assert {(await one).reason for one in others} == {NOT_ACTIVE}
    assert (await stack.seats())["A1"] == "AVAILABLE"
    bob = stack.buyer("bob", 1)
    assert (await bob.confirm(await bob.hold("A1", "A2"))).status == pb.Booking.CONFIRMED


async def test_overlapping_reservations(stack: Stack) -> None:
    """Pairs that overlap, in either order: every reservation ends in one booking at most."""
    anns = [stack.buyer("ann", replica) for replica in (0, 1)]
    a, b, c = await anns[0].hold("A1", "A2", "A3")
    wanted = [[a, b], [b, a], [b, c], [c, b], [c, a], [a, c]] * 4
    answers = await asyncio.gather(
        *(anns[call % 2].asks(confirm_request(w), f"k{call}") for call, w in enumerate(wanted))
    )
    assert Counter(one.reason for one in answers) == {"": 1, NOT_ACTIVE: len(wanted) - 1}


async def test_twenty_cancellations(stack: Stack) -> None:
    """Twenty calls to cancel one booking give its payment back once, and all agree in the end."""
    anns = [stack.buyer("ann", replica) for replica in (0, 1)]
    booking = await anns[0].confirm(await anns[0].hold("A1", "A2"))
    answers = await asyncio.gather(
        *(anns[call % 2].cancel(booking.booking_id) for call in range(20))
    )
    assert {one.status for one in answers} <= {pb.Booking.CANCELLING, pb.Booking.CANCELLED}
    cancelled = await anns[1].sees(booking.booking_id, "CANCELLED")
    assert await anns[0].cancel(booking.booking_id) == cancelled
    assert list(stack.provider.returned.values()) == [15000]
    assert set((await stack.seats()).values()) == {"AVAILABLE"}


async def test_cancelled_while_they_are_confirmed(stack: Stack) -> None:
    """A cancellation at any moment of a confirmation, at the other replica, wins and keeps nothing.

    Unless it comes before there is a booking: then there is nothing to cancel.
    """
    seats = [f"R{number}" for number in range(20)]
    event_id = await stack.people.event(seats)

    async def one(number: int) -> None:
        ann, elsewhere = stack.buyer(f"ann{number}", 0), stack.buyer(f"ann{number}", 1)
        held = await ann.hold(seats[number], event_id=event_id)
        confirm = asyncio.create_task(ann.asks(confirm_request(held)))
        await asyncio.sleep(number * 0.01)
        for booking in (await elsewhere.mine()).bookings:
            cancelled = await elsewhere.cancel(booking.booking_id)
            assert cancelled.status in (pb.Booking.CANCELLING, pb.Booking.CANCELLED)
            await stack.passing(elsewhere.sees(booking.booking_id, "CANCELLED"), step_s=0.1)
        await confirm

    await asyncio.gather(*(one(number) for number in range(len(seats))))
    assert sum(stack.provider.taken.values()) >= sum(stack.provider.returned.values())
