"""A whole booking over gRPC: the services and their clients are real, the provider is on paper."""

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from holdfast.booking.v1 import booking_pb2 as pb
from support import bookings, build
from support.bookings import GOOD_CARD, POOR_CARD, Stack, confirm_request, stack_on
from support.client import refused
from support.clock import START
from support.databases import Databases

stack = bookings.stack


def seconds_after_start(moment: Timestamp) -> float:
    return moment.ToMicroseconds() / 1e6 - START.timestamp()


async def test_a_confirmed_booking(stack: Stack) -> None:
    """The answer has the names and shapes that clients know, and the seats are BOOKED."""
    ann = stack.buyer("ann")
    held = await ann.hold("A2", "A1")
    booking = await ann.confirm(held)
    (payment,) = await stack.payments()
    assert MessageToDict(booking) == {
        "bookingId": str(booking.booking_id),
        "bookingReference": booking.booking_reference,
        "eventId": str(stack.event_id),
        "userId": "ann",
        "seats": [
            {"seatNumber": "A2", "price": {"value": "75.00"}, "reservationId": str(held[0])},
            {"seatNumber": "A1", "price": {"value": "75.00"}, "reservationId": str(held[1])},
        ],
        "totalAmount": {"value": "150.00"},
        "currency": "USD",
        "status": "CONFIRMED",
        "paymentId": payment.payment_id,
        "paymentStatus": "SUCCESS",
        "confirmedAt": "2026-11-16T10:30:00Z",
        "createdAt": "2026-11-16T10:30:00Z",
    }
    assert await ann.get(booking.booking_id) == booking
    assert await stack.seats() == {"A1": "BOOKED", "A2": "BOOKED", "A3": "AVAILABLE"}
    assert (payment.booking_reference, payment.amount.value) == (
        booking.booking_reference,
        "150.00",
    )


async def test_a_declined_booking(stack: Stack) -> None:
    """A decline names payment, code and booking; the seats are free, the booking is FAILED."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    answered = await ann.asks(confirm_request(held, POOR_CARD))
    assert answered.reason == "PAYMENT_FAILED"
    (booking,) = (await ann.mine()).bookings
    assert booking.status == pb.Booking.FAILED
    assert MessageToDict(booking)["failureReason"] == "PAYMENT_FAILED"
    assert booking.failure_message == "Payment declined: insufficient funds"
    assert booking.booking_reference.encode() in answered.status
    assert booking.payment_id.encode() in answered.status
    assert b"INSUFFICIENT_FUNDS" in answered.status
    assert (await stack.seats())["A1"] == "AVAILABLE"
    # The seats, not the reservation: that has ended.
    again = await ann.asks(confirm_request(held), "another key")
    assert again.reason == "RESERVATION_NOT_ACTIVE"
    assert (await ann.confirm(await ann.hold("A1"), "a third key")).status == pb.Booking.CONFIRMED


@pytest.mark.parametrize(
    ("request_of_a_card", "field"),
    [
        ({"card": "4242424242424241"}, "payment_method.card_number"),
        ({"expiry_year": 2025}, "payment_method.expiry_year"),
    ],
    ids=["wrong check digit", "expired"],
)
async def test_a_card_that_no_provider_would_take(
    stack: Stack, request_of_a_card: dict[str, object], field: str
) -> None:
    """Such a card is an INVALID_FIELD that names what is wrong, and the hold stays as it was."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    answered = await ann.asks(confirm_request(held, **request_of_a_card))
    assert answered.reason == "INVALID_FIELD"
    assert field.encode() in answered.status
    assert GOOD_CARD.encode()[:-1] not in answered.status
    assert await stack.people.statuses(*held) == ["ACTIVE"]
    assert stack.provider.charges_asked == 0
    assert (await ann.confirm(held)).status == pb.Booking.CONFIRMED


@pytest.mark.parametrize(("ttl_s", "expected_s"), [(10, 90), (600, 600)])
async def test_a_hold_outlives_its_payment(stack: Stack, ttl_s: int, expected_s: int) -> None:
    """A hold too short for the payment is extended before it begins; a longer one is kept."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", ttl_s=ttl_s)
    stack.provider.hold()
    pending = await ann.asks(confirm_request(held), timeout_s=3)
    await stack.provider.asked()
    (reservation,) = (await stack.people.service.GetReservations(build.get(*held))).reservations
    assert seconds_after_start(reservation.expires_at) == expected_s
    stack.provider.release()
    await ann.sees(pending.booking.booking_id, "CONFIRMED")


async def test_a_hold_at_the_end_of_its_life(stack: Stack) -> None:
    """A seat that its holder cannot hold any longer is still held for the payment."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", ttl_s=1800)
    stack.clock.move(1790)
    await stack.people.buyer("ann").ExtendReservations(build.extend(*held, ttl_s=1800))
    stack.clock.move(1795)
    with refused("INVALID_FIELD"):
        await stack.people.buyer("ann").ExtendReservations(build.extend(*held, ttl_s=90))
    assert (await ann.confirm(held)).status == pb.Booking.CONFIRMED


async def test_a_bound_on_extensions_that_is_short(databases: Databases) -> None:
    """What a buyer may ask for in one extension does not bound what a payment needs."""
    async with stack_on(databases, reservation_ttl_max_s=60) as stack:
        ann = stack.buyer("ann")
        held = await ann.hold("A1", ttl_s=60)
        with refused("INVALID_FIELD"):
            await stack.people.buyer("ann").ExtendReservations(build.extend(*held, ttl_s=90))
        assert (await ann.confirm(held)).status == pb.Booking.CONFIRMED


async def test_a_hold_is_not_extended_for_ever(databases: Databases) -> None:
    """Confirms of one key with ever other bodies extend a hold to its bound and no further."""
    # A payment may take an hour more than a holder may hold: 3601 s in all.
    limits = {"reservation_ttl_max_s": 3600, "reservation_lifetime_max_s": 1}
    async with stack_on(databases, **limits) as stack:
        ann = stack.buyer("ann")
        held = await ann.hold("A1", ttl_s=3590)

        async def ends_at_s() -> float:
            found = await stack.people.service.GetReservations(build.get(*held))
            return seconds_after_start(found.reservations[0].expires_at)

        stack.provider.hold()
        stack.clock.move(3500)
        pending = await ann.asks(confirm_request(held), "first", timeout_s=3)
        stack.clock.move(5)
        tied = await ann.asks(confirm_request(held, expiry_year=2031), "another")
        assert (tied.reason, await ends_at_s()) == ("RESERVATION_NOT_ACTIVE", 3595)
        stack.clock.move(10)
        for expiry_year in (2032, 2033):
            late = await ann.asks(confirm_request(held, expiry_year=expiry_year), "another")
            assert (late.code.name, late.reason) == ("FAILED_PRECONDITION", "RESERVATION_EXPIRED")
            assert str(held[0]).encode() in late.status
        assert await ends_at_s() == 3595
        stack.provider.release()
        await ann.sees(pending.booking.booking_id, "CONFIRMED")


async def test_seats_lost_after_the_payment(stack: Stack) -> None:
    """Seats that go while the provider thinks: SEATS_LOST, the money is back, and it stays so."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", "A2")
    stack.provider.hold()
    pending = await ann.asks(confirm_request(held), timeout_s=3)
    await stack.provider.asked()
    await stack.people.service.CancelReservations(build.cancel(held[0], booking=""))
    stack.provider.release()
    booking = await ann.sees(pending.booking.booking_id, "FAILED")
    assert MessageToDict(booking)["failureReason"] == "SEATS_LOST"
    assert MessageToDict(booking)["paymentStatus"] == "REFUNDED"
    assert set((await stack.seats()).values()) == {"AVAILABLE"}
    replays = [await ann.asks(confirm_request(held)) for _ in range(2)]
    assert replays[0].reason == "SEATS_LOST"
    assert replays[0] == replays[1]
    (payment,) = await stack.payments()
    assert (payment.refunded_amount.value, payment.amount.value) == ("150.00", "150.00")
