"""What cannot be booked is refused before anything is stored, and the key stays free."""

from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.json_format import ParseDict
from holdfast.booking.v1 import booking_pb2 as pb
from support import bookings, build
from support.bookings import Stack, confirm_request

stack = bookings.stack
Spoil = Callable[[Stack, list[int]], Awaitable[list[int]]]


async def foreign(stack: Stack, held: list[int]) -> list[int]:
    return [*held, *await stack.buyer("bob").hold("A3")]


async def unknown(_stack: Stack, held: list[int]) -> list[int]:
    return [*held, 4711]


async def expired(stack: Stack, held: list[int]) -> list[int]:
    short = await stack.buyer("ann").hold("A3", ttl_s=60)
    stack.clock.move(60)
    return [*held, *short]


async def cancelled(stack: Stack, held: list[int]) -> list[int]:
    ended = await stack.buyer("ann").hold("A3")
    await stack.people.service.CancelReservations(build.cancel(*ended, booking=""))
    return [*held, *ended]


async def booked(stack: Stack, held: list[int]) -> list[int]:
    ann = stack.buyer("ann")
    taken = await ann.hold("A3")
    await ann.confirm(taken, "another key")
    return [*held, *taken]


async def mixed(stack: Stack, held: list[int]) -> list[int]:
    other = await stack.people.event()
    return [*held, *await stack.buyer("ann").hold("A1", event_id=other)]


@pytest.mark.parametrize(
    ("spoil", "code", "reason"),
    [
        (foreign, "NOT_FOUND", "RESERVATION_NOT_FOUND"),
        (unknown, "NOT_FOUND", "RESERVATION_NOT_FOUND"),
        (expired, "FAILED_PRECONDITION", "RESERVATION_EXPIRED"),
        (cancelled, "FAILED_PRECONDITION", "RESERVATION_NOT_ACTIVE"),
        (booked, "FAILED_PRECONDITION", "RESERVATION_NOT_ACTIVE"),
        (mixed, "FAILED_PRECONDITION", "RESERVATIONS_MIXED"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_reservations_that_cannot_be_booked(
    stack: Stack, spoil: Spoil, code: str, reason: str
) -> None:
    """One reservation that is wrong refuses all, by name; the good ones and the key stay free."""
    ann = stack.buyer("ann")
    good = await ann.hold("A1", "A2")
    spoilt = await spoil(stack, good)
    charged = stack.provider.charges_asked
    answered = await ann.asks(confirm_request(spoilt))
    assert (answered.code.name, answered.reason) == (code, reason)
    assert str(spoilt[-1]).encode() in answered.status
    assert stack.provider.charges_asked == charged
    assert await stack.people.statuses(*good) == ["ACTIVE", "ACTIVE"]
    assert (await ann.confirm(good)).status == pb.Booking.CONFIRMED


@bookings.on_sqlite
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reservationIds": []}, "reservation_ids"),
        ({"reservationIds": [7, 7]}, "reservation_ids"),
        ({"reservationIds": [-1]}, "reservation_ids[0]"),
        ({"reservationIds": list(range(1, 52))}, "reservation_ids"),
        ({"paymentMethod": None}, "payment_method"),
        ({"paymentMethod": {"cardNumber": "4242"}}, "payment_method.card_number"),
    ],
    ids=str,
)
async def test_requests_against_the_contract(
    stack: Stack, change: dict[str, object], field: str
) -> None:
    """A request that breaks a rule of the contract is refused with the name of the field."""
    request = confirm_request([1])
    for name in change:
        request.ClearField({"reservationIds": "reservation_ids"}.get(name, "payment_method"))
    answered = await stack.buyer().asks(ParseDict(change, request))
    assert (answered.code.name, answered.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert field.encode() in answered.status
