"""Streams as lines and as events: ids, where to go on, and what is accepted."""

from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from holdfast.booking.v1 import booking_pb2
from holdfast.payment.v1 import payment_pb2

from gateway import streams
from gateway.errors import NotAcceptable
from gateway.upstream import Failed

EVENT = payment_pb2.PaymentEvent(cursor="c7", payment={"payment_id": "pay_1"})


def encode(message: Message) -> bytes:
    return MessageToJson(message, indent=None).encode()


async def three(fails: Failed | None = None) -> AsyncIterator[Message]:
    for number in range(3):
        yield payment_pb2.PaymentEvent(cursor=f"c{number}")
    if fails is not None:
        raise fails


def away() -> Failed:
    return Failed(grpc.StatusCode.UNAVAILABLE, "AWAY", "it is away", {}, (), None, ())


async def test_an_event_has_its_cursor_as_its_id() -> None:
    """A message with a cursor is an event with that id; one without is an event without."""
    read = [one async for one in streams.events(three(), encode, 60)]
    assert [one.splitlines()[0] for one in read] == [b"id: c0", b"id: c1", b"id: c2"]

    async def bookings() -> AsyncIterator[Message]:
        yield booking_pb2.Booking(booking_id=1)

    (only,) = [one async for one in streams.events(bookings(), encode, 60)]
    assert only.startswith(b"data: ")
    assert only.endswith(b"\n\n")


def test_a_client_that_comes_back() -> None:
    """`Last-Event-ID` becomes the cursor of a request that has one, and nothing of any other."""
    headers = {"last-event-id": "c7"}
    request = payment_pb2.StreamPaymentEventsRequest(cursor="c1")
    streams.go_on_after(request, {})
    assert request.cursor == "c1"
    streams.go_on_after(request, headers)
    assert request.cursor == "c7"
    watch = booking_pb2.WatchBookingRequest(booking_id=5)
    streams.go_on_after(watch, headers)
    assert watch == booking_pb2.WatchBookingRequest(booking_id=5)


async def test_how_a_failure_ends_a_stream() -> None:
    """What came before a failure is told, and the failure last of all, in both forms."""
    lines = [one async for one in streams.lines(three(away()), encode)]
    assert len(lines) == 4
    assert lines[-1].startswith(b'{"error":"AWAY"')
    events = [one async for one in streams.events(three(away()), encode, 60)]
    assert len(events) == 4
    assert events[-1].startswith(b'event: error\ndata: {"error":"AWAY"')


@pytest.mark.parametrize(
    ("accepted", "kind"),
    [
        ("", "application/x-ndjson"),
        ("*/*", "application/x-ndjson"),
        ("application/json", "application/x-ndjson"),
        ("text/event-stream", "text/event-stream"),
        ("text/html, Text/Event-Stream;q=0.5", "text/event-stream"),
    ],
)
def test_what_is_accepted(accepted: str, kind: str) -> None:
    """Events go to who names them, lines to everybody else who takes JSON."""
    assert streams.kind_of(accepted) == kind


def test_what_is_not() -> None:
    """Who takes neither is refused."""
    with pytest.raises(NotAcceptable):
        streams.kind_of("text/html")
