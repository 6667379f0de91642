"""Cancelling, reading and listing: one's own bookings, and nobody else's."""

import asyncio
import functools

import pytest
from google.protobuf.json_format import MessageToDict
from holdfast.booking.v1 import booking_pb2 as pb
from support import bookings
from support.bookings import GOOD_CARD, POOR_CARD, Buyer, Stack, confirm_request, until
from support.client import refused

from payment_svc.domain.outcome import DeclineCode, Declined, Unknown

stack = bookings.stack
# The provider decides about it when it is told to.
PENDING_CARD = "4000000000003188"


async def test_cancelled(stack: Stack) -> None:
    """A cancelled booking has its payment back in full, and its seats can be booked again."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1", "A2"))
    stack.clock.move(60)
    cancelled = MessageToDict(await ann.cancel(booking.booking_id))
    assert cancelled == {
        **MessageToDict(booking),
        "status": "CANCELLED",
        "paymentStatus": "REFUNDED",
        "cancelledAt": "2026-11-16T10:31:00Z",
    }
    (payment,) = await stack.payments()
    assert MessageToDict(payment)["status"] == "REFUNDED"
    assert payment.refunded_amount.value == "150.00"
    assert set((await stack.seats()).values()) == {"AVAILABLE"}
    bob = stack.buyer("bob")
    assert (await bob.confirm(await bob.hold("A1", "A2"))).status == pb.Booking.CONFIRMED
    # After the seats went to someone else, too.
    assert MessageToDict(await ann.cancel(booking.booking_id)) == cancelled
    assert list(stack.provider.returned.values()) == [15000]
    assert (await stack.seats())["A1"] == "BOOKED"


async def test_a_cancellation_that_takes_time(stack: Stack) -> None:
    """A caller without time gets CANCELLING, and so does a repeat, until it is CANCELLED."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"))
    stack.provider.hold()
    for _ in range(2):
        present = await ann.cancel(booking.booking_id, timeout_s=3)
        assert present.status == pb.Booking.CANCELLING
    stack.provider.release()
    assert (await ann.cancel(booking.booking_id)).status == pb.Booking.CANCELLED
    assert len(stack.provider.returned) == 1


async def test_a_refund_that_the_provider_declines(stack: Stack) -> None:
    """A declined refund is asked for again as another, and the money goes back once."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1", "A2"))
    stack.provider.refund_answers = [Declined(DeclineCode.CARD_DECLINED)]
    cancelled = MessageToDict(await ann.cancel(booking.booking_id))
    assert (cancelled["status"], cancelled["paymentStatus"]) == ("CANCELLED", "REFUNDED")
    first, second = stack.provider.refunds_asked
    assert first != second
    assert stack.provider.returned == {second: 15000}
    (payment,) = await stack.payments()
    assert (payment.status, payment.refunded_amount.value) == (payment.REFUNDED, "150.00")


async def test_a_refund_without_an_answer(stack: Stack) -> None:
    """A refund whose outcome is unknown is asked for again as the same refund."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"))
    stack.provider.refund_answers = [Unknown("timeout")] * 2
    assert (await ann.cancel(booking.booking_id)).status == pb.Booking.CANCELLED
    (reference,) = set(stack.provider.refunds_asked)
    assert len(stack.provider.refunds_asked) == 3
    assert stack.provider.returned == {reference: 7500}


@pytest.mark.parametrize("card", [GOOD_CARD, POOR_CARD], ids=["taken", "declined"])
async def test_cancelled_in_the_middle(stack: Stack, card: str) -> None:
    """A booking that is cancelled while it is charged ends CANCELLED, and keeps nothing."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", "A2")
    stack.provider.hold()
    first = asyncio.create_task(ann.asks(confirm_request(held, card)))
    await stack.provider.asked()
    (pending,) = (await ann.mine()).bookings
    cancelling = await ann.cancel(pending.booking_id, timeout_s=3)
    assert cancelling.status == pb.Booking.CANCELLING
    stack.provider.release()
    cancelled = await stack.passing(ann.sees(pending.booking_id, "CANCELLED"), step_s=1)
    assert (await first).booking.status in (pb.Booking.CANCELLING, pb.Booking.CANCELLED)
    assert sum(stack.provider.taken.values()) == sum(stack.provider.returned.values())
    assert set((await stack.seats()).values()) == {"AVAILABLE"}
    again = [await ann.asks(confirm_request(held, card)) for _ in range(2)]
    assert [(one.booking, one.replayed) for one in again] == [(cancelled, True)] * 2
    assert again[0].same == again[1].same
    assert await ann.cancel(pending.booking_id) == cancelled


async def test_cancelled_while_it_waits(stack: Stack) -> None:
    """A booking whose payment is not decided is cancelled at once, and takes no money later."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    pending = await ann.asks(confirm_request(held, PENDING_CARD))
    await stack.rests()
    assert (await ann.cancel(pending.booking.booking_id)).status == pb.Booking.CANCELLED
    stack.provider.settle()
    assert not stack.provider.taken
    assert set((await stack.seats()).values()) == {"AVAILABLE"}


async def test_what_cannot_be_cancelled(stack: Stack) -> None:
    """A booking that fails or has failed is given back already, and says so."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.hold()
    call = asyncio.create_task(ann.asks(confirm_request(held, POOR_CARD), timeout_s=3))
    await stack.provider.asked()
    # Its seats cannot be released now.
    await stack.inventory.stop()
    stack.provider.release()
    (booking,) = (await ann.mine()).bookings
    await until(functools.partial(has_a_reason, ann, booking.booking_id))
    with refused("BOOKING_NOT_CANCELLABLE", bookingId=str(booking.booking_id), status="PENDING"):
        await ann.cancel(booking.booking_id)
    await stack.inventory.start()
    await stack.passing(ann.sees(booking.booking_id, "FAILED"))
    with refused("BOOKING_NOT_CANCELLABLE", bookingId=str(booking.booking_id), status="FAILED"):
        await ann.cancel(booking.booking_id)
    await call


async def has_a_reason(ann: Buyer, booking_id: int) -> bool:
    return bool((await ann.get(booking_id)).failure_message)


async def test_foreign_and_unknown_look_the_same(stack: Stack) -> None:
    """Someone else's booking is answered as one that does not exist, to read and to cancel."""
    ann, bob = stack.buyer("ann"), stack.buyer("bob")
    booking = await ann.confirm(await ann.hold("A1"))
    for booking_id in (booking.booking_id, 4711):
        for call in (bob.get, bob.cancel):
            with refused("BOOKING_NOT_FOUND", bookingId=str(booking_id)) as said:
                await call(booking_id)
            assert said[0].message == f"there is no booking {booking_id}"
    assert not (await bob.mine()).bookings
    assert (await ann.get(booking.booking_id)).status == pb.Booking.CONFIRMED


async def test_my_bookings(stack: Stack) -> None:
    """All of one's bookings and no others, newest first, each once, page by page."""
    ann, bob = stack.buyer("ann"), stack.buyer("bob")
    event_id = await stack.people.event([f"S{number}" for number in range(6)])
    made = []
    for number in range(5):
        stack.clock.move(1)
        held = await ann.hold(f"S{number}", event_id=event_id)
        made.append(await ann.confirm(held, f"k{number}"))
    await bob.confirm(await bob.hold("S5", event_id=event_id))
    newest_first = made[::-1]
    assert list((await ann.mine()).bookings) == newest_first
    pages, token = [], ""
    while token or not pages:
        page = await ann.mine(page_size=2, page_token=token)
        token = page.next_page_token
        pages.append(list(page.bookings))
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]


@bookings.on_sqlite
@pytest.mark.parametrize("token", ["not a token", "bXkgYm9va2luZ3MKeA", "cGF5bWVudHMKMQ"])
async def test_a_token_from_elsewhere(stack: Stack, token: str) -> None:
    """A page token that is not from this list is refused by name."""
    with refused("INVALID_FIELD") as said:
        await stack.buyer("ann").mine(page_token=token)
    assert said[0].message.startswith("page_token")
