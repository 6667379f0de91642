"""Cancelling, reading and listing: one's own bookings, and nobody else's."""

import pytest
from google.protobuf.json_format import MessageToDict
from holdfast.booking.v1 import booking_pb2 as pb
from support import bookings
from support.bookings import POOR_CARD, Stack, confirm_request
from support.client import refused

from payment_svc.domain.outcome import DeclineCode, Declined, Unknown

stack = bookings.stack


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
        present = await ann.cancel(booking.booking_id, timeout_s=1.5)
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


@pytest.mark.parametrize("status", ["PENDING", "FAILED"])
async def test_what_cannot_be_cancelled(stack: Stack, status: str) -> None:
    """A booking that is PENDING or FAILED has nothing to cancel, and says so."""
    ann = stack.buyer("ann")
    stack.provider.hold()
    await ann.asks(confirm_request(await ann.hold("A1"), POOR_CARD), timeout_s=1.5)
    (booking,) = (await ann.mine()).bookings
    if status == "FAILED":
        stack.provider.release()
        await ann.sees(booking.booking_id, "FAILED")
    facts = {"bookingId": str(booking.booking_id), "status": status}
    with refused("BOOKING_NOT_CANCELLABLE", **facts):
        await ann.cancel(booking.booking_id)


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
