"""What belongs to a user is not there for any other: neither to be seen nor to be changed."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import grpc.aio
from google.protobuf.message import Message
from holdfast.booking.v1 import booking_pb2 as pb
from support import bookings, build
from support.audit import read_tables
from support.bookings import Stack, confirm_request, on_sqlite
from support.databases import url_of
from support.methods import CONTRACTS, METHODS, path_of
from support.tokens import metadata_for

from chassis.status import from_rpc_error

stack = bookings.stack
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Things:
    """Ids of what is somebody's; or of what there is not."""

    booking_id: int
    booking_reference: str
    # Held, and not part of a booking yet.
    reservation_ids: tuple[int, ...]


NOTHING = Things(4711, "BK-2026-2222222222", (4712,))
# The answer of a list in which there is nothing.
EMPTY = "empty"
FOUND = "found"
# Methods that take or list what belongs to a user, as a buyer calls them. Ann calls them from the
# last to the first: what is booked can no longer be extended.
OWNED: dict[str, Callable[[Things], Message]] = {
    "ConfirmBooking": lambda of: confirm_request(of.reservation_ids, key="a new key"),
    "ListMyBookings": lambda of: pb.ListMyBookingsRequest(booking_reference=of.booking_reference),
    "GetBooking": lambda of: pb.GetBookingRequest(booking_id=of.booking_id),
    "CancelBooking": lambda of: pb.CancelBookingRequest(booking_id=of.booking_id),
    "WatchBooking": lambda of: pb.WatchBookingRequest(booking_id=of.booking_id),
    "GetReservations": lambda of: build.get(*of.reservation_ids),
    "ExtendReservations": lambda of: build.extend(*of.reservation_ids, ttl_s=900),
}
# The others, and why they make no difference between users.
NOT_OWNED = {
    "ProcessPayment": "for services, who say whose payment it is",
    "GetPayment": "for services: all payments",
    "ListPayments": "for services: all payments",
    "RefundPayment": "for services: all payments",
    "CancelPayment": "for services: all payments",
    "HandleWebhook": "a provider's",
    "ListTestCards": "nobody's",
    "StreamPaymentEvents": "for services: all payments",
    "ListBookings": "for operators: all bookings",
    "StreamBookingEvents": "for operators: all bookings",
    "ListSagas": "for operators: all sagas",
    "GetSaga": "for operators: all sagas",
    "RetrySaga": "for operators: all sagas",
    "ResolveSaga": "for operators: all sagas",
    "ExportUser": "for operators: of any user",
    "EraseUser": "for operators: of any user",
    "CreateEvent": "for operators",
    "ListEvents": "an event is for everyone",
    "ListSeats": "an event is for everyone",
    "ReserveSeats": "what it makes is the caller's",
    "ConfirmReservations": "for services: all reservations",
    "CancelReservations": "for services: all reservations",
}
NOT_FOUND = {
    "ConfirmBooking": "RESERVATION_NOT_FOUND",
    "ListMyBookings": EMPTY,
    "GetBooking": "BOOKING_NOT_FOUND",
    "CancelBooking": "BOOKING_NOT_FOUND",
    "WatchBooking": "BOOKING_NOT_FOUND",
    "GetReservations": "RESERVATION_NOT_FOUND",
    "ExtendReservations": "RESERVATION_NOT_FOUND",
}


class Person:
    """A user with a token for buyers, who asks any service for anything."""

    def __init__(self, stack: Stack, user_id: str) -> None:
        self._stack = stack
        self._user_id = user_id

    async def ask(self, name: str, things: Things) -> Any:
        """What is answered, in full but for the ids that were sent."""
        method = next(one for one in METHODS if one.name == name)
        is_booking = method.containing_service in CONTRACTS["booking_svc"]
        service = self._stack.bookings[0] if is_booking else self._stack.inventory
        request = OWNED[name](things)
        async with grpc.aio.insecure_channel(service.address) as channel:
            shape = channel.unary_stream if method.server_streaming else channel.unary_unary
            call = shape(path_of(method))(
                request.SerializeToString(),
                metadata=metadata_for(self._user_id),
                timeout=TIMEOUT_S,
            )
            try:
                found = await (call.read() if method.server_streaming else call)
            except grpc.aio.AioRpcError as error:
                info = from_rpc_error(error)
                told = {**info.metadata, "code": info.code.name, "text": info.message}
                return info.reason, re.sub(r"\b\d{4,}\b", "ID", json.dumps(told, sort_keys=True))
        return (EMPTY, "") if found == b"" else (FOUND, "")


async def rows(stack: Stack) -> dict[str, Any]:
    return {name: await read_tables(url_of(one)) for name, one in stack.databases.items()}


async def anns(stack: Stack) -> Things:
    """A booking of Ann's that is done, and a reservation that she holds."""
    ann = stack.buyer("ann")
    booked = await ann.confirm(await ann.hold("A1"))
    held = await ann.hold("A2")
    return Things(booked.booking_id, booked.booking_reference, tuple(held))


def test_every_method_says_whether_it_is_somebodys() -> None:
    """Each method is one that takes what belongs to a user, or one that does not, and why."""
    assert OWNED.keys().isdisjoint(NOT_OWNED)
    assert OWNED.keys() | NOT_OWNED.keys() == {method.name for method in METHODS}
    assert OWNED.keys() == NOT_FOUND.keys()


@on_sqlite
async def test_what_is_anns_is_there_for_her_alone(stack: Stack) -> None:
    """Another user is told the same of Ann's things as of what there is not; nothing changes."""
    of_ann = await anns(stack)
    bobs = tuple(await stack.buyer("bob").hold("A3"))
    # With one of Bob's own among them it is no different.
    mixed = replace(of_ann, reservation_ids=bobs + of_ann.reservation_ids)
    none = replace(NOTHING, reservation_ids=bobs + NOTHING.reservation_ids)
    await stack.rests()
    before = await rows(stack)
    bob = Person(stack, "bob")
    for name, reason in NOT_FOUND.items():
        told = await bob.ask(name, of_ann)
        assert (name, told[0]) == (name, reason)
        assert reason == EMPTY or '"code": "NOT_FOUND"' in told[1]
        assert (name, told) == (name, await bob.ask(name, NOTHING))
        assert (
            (name, told) == (name, await bob.ask(name, mixed)) == (name, await bob.ask(name, none))
        )
    assert await rows(stack) == before
    ann = Person(stack, "ann")
    found = {name: await ann.ask(name, of_ann) for name in reversed(OWNED)}
    assert found == dict.fromkeys(OWNED, (FOUND, ""))
