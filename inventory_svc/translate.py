"""Between messages and domain objects. Nothing else in this service sees a message."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.privacy.v1 import privacy_pb2 as privacy

from chassis.messages import decimal, seconds, struct, timestamp
from chassis.privacy import Record
from inventory_svc.domain.event import Event
from inventory_svc.domain.reservation import Reservation
from inventory_svc.usecases.events import EventPage, NewEvent, SeatPage
from inventory_svc.usecases.reservations import SeatRequest

TTL_DEFAULT_S = 600.0


def new_event(request: pb.CreateEventRequest) -> NewEvent:
    """The event to create."""
    seats = [(seat.seat_number, seat.price.value) for seat in request.seats]
    return NewEvent(request.name, request.currency, seats)


def seat_request(request: pb.ReserveSeatsRequest, user_id: str, key: str) -> SeatRequest:
    """The seats to hold."""
    numbers = tuple(request.seat_numbers)
    return SeatRequest(user_id, request.event_id, numbers, ttl(request), key)


def ttl(request: pb.ReserveSeatsRequest | pb.ExtendReservationsRequest) -> float:
    """For how long to hold, in seconds."""
    return seconds(request.ttl) if request.HasField("ttl") else TTL_DEFAULT_S


def event(value: Event) -> pb.Event:
    """An event as a message."""
    return pb.Event(
        event_id=value.event_id,
        name=value.name,
        currency=value.currency,
        seat_count=value.seat_count,
        created_at=timestamp(value.created_at),
    )


def event_page(page: EventPage) -> pb.ListEventsResponse:
    """A page of events as a message."""
    return pb.ListEventsResponse(
        events=[event(one) for one in page.events], next_page_token=page.next_page_token
    )


def seat_page(page: SeatPage) -> pb.ListSeatsResponse:
    """A page of seats as a message."""
    return pb.ListSeatsResponse(
        seats=[
            pb.Seat(
                seat_id=seat.seat_id,
                seat_number=seat.seat_number,
                price=decimal(seat.price_minor, page.event.currency),
                status=seat.status_at(page.as_of),
            )
            for seat in page.seats
        ],
        next_page_token=page.next_page_token,
        currency=page.event.currency,
    )


def reservations(values: Sequence[Reservation], now: datetime) -> list[pb.Reservation]:
    """Reservations as messages, as they are at a moment."""
    return [
        pb.Reservation(
            reservation_id=one.reservation_id,
            event_id=one.event_id,
            user_id=one.user_id,
            status=one.status_at(now),
            expires_at=timestamp(one.expires_at),
            seat=pb.Reservation.ReservedSeat(
                seat_id=one.seat_id,
                seat_number=one.seat_number,
                price=decimal(one.price_minor, one.currency),
            ),
            currency=one.currency,
            booking_reference=one.booking_reference,
            created_at=timestamp(one.created_at),
            confirmed_at=timestamp(one.confirmed_at),
            ended_at=timestamp(one.ended_at),
        )
        for one in values
    ]


def without_person(stored: bytes, user_id: str) -> bytes:  # noqa: ARG001
    """What it is given: the inventory stores no messages."""
    return stored


def user_record(record: Record) -> privacy.UserRecord:
    """A row of a person's as a message."""
    fields = struct(record.fields)
    return privacy.UserRecord(kind=record.kind, name=record.name, fields=fields)


def erased(counts: Mapping[str, int]) -> privacy.EraseUserResponse:
    """Rows by table as a message."""
    rows = [privacy.EraseUserResponse.Count(kind=kind, rows=rows) for kind, rows in counts.items()]
    return privacy.EraseUserResponse(counts=rows)
