"""Between messages and domain objects. Only this, `servicer` and `clients` see messages."""

from collections.abc import Mapping

from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import saga_pb2
from holdfast.privacy.v1 import privacy_pb2 as privacy

from booking_svc.domain.booking import Booking, BookingStatus
from booking_svc.saga.machine import State
from booking_svc.saga.runner import StepRecord
from booking_svc.usecases.confirm_booking import BookingRequest
from booking_svc.usecases.operate_sagas import SagaPage, SagaView
from booking_svc.usecases.read_bookings import BookingPage
from chassis import tracing
from chassis.events import Event
from chassis.messages import decimal, duration, payment_method, struct, timestamp
from chassis.privacy import Record


def booking_request(request: pb.ConfirmBookingRequest, user_id: str, key: str) -> BookingRequest:
    """The booking to make."""
    card = payment_method(request.payment_method)
    return BookingRequest(user_id, key, tuple(request.reservation_ids), card)


def booking(value: Booking) -> pb.Booking:
    """A booking as a message."""
    return pb.Booking(
        booking_id=value.booking_id,
        booking_reference=value.booking_reference,
        event_id=value.event_id,
        user_id=value.user_id,
        seats=[
            pb.Booking.BookedSeat(
                seat_number=seat.seat_number,
                price=decimal(seat.price_minor, value.currency),
                reservation_id=seat.reservation_id,
            )
            for seat in value.seats
        ],
        total_amount=decimal(value.total_minor, value.currency),
        currency=value.currency,
        status=value.status,
        payment_id=value.payment_id,
        payment_status=value.payment_status,
        confirmed_at=timestamp(value.confirmed_at),
        failure_reason=value.failure.reason if value.failure else None,
        failure_message=value.failure.message if value.failure else "",
        created_at=timestamp(value.created_at),
        cancelled_at=timestamp(value.cancelled_at),
    )


def encode(value: Booking) -> bytes:
    """A booking as the bytes of its message."""
    return booking(value).SerializeToString(deterministic=True)


def booking_page(page: BookingPage) -> pb.ListMyBookingsResponse:
    """A page of bookings as a message."""
    return pb.ListMyBookingsResponse(
        bookings=[booking(one) for one in page.bookings], next_page_token=page.next_page_token
    )


def booking_status(status: int) -> BookingStatus | None:
    """The status to list; none for all."""
    return BookingStatus(pb.Booking.Status.Name(status)) if status else None


def all_bookings_page(page: BookingPage) -> pb.ListBookingsResponse:
    """A page of everyone's bookings as a message."""
    return pb.ListBookingsResponse(
        bookings=[booking(one) for one in page.bookings], next_page_token=page.next_page_token
    )


def booking_event(event: Event, cursor: str) -> pb.BookingEvent:
    """An event as a message, with where to go on after it."""
    return pb.BookingEvent(
        cursor=cursor,
        type=event.kind,
        booking=pb.Booking.FromString(event.payload),
        occurred_at=timestamp(event.occurred_at),
    )


def saga_state(state: int) -> State | None:
    """The state to list; none for all."""
    return State(saga_pb2.Saga.State.Name(state)) if state else None


def saga(view: SagaView) -> saga_pb2.Saga:
    """A saga as a message."""
    value = view.saga
    return saga_pb2.Saga(
        booking_id=value.booking_id,
        booking_reference=view.booking_reference,
        name=value.definition,
        state=value.state,
        step=value.step,
        direction=value.direction,
        tries=value.tries,
        refusals=value.refusals,
        attempt=value.attempt,
        owner=value.lease.owner,
        leased_until=timestamp(value.lease.until),
        began_at=timestamp(value.began_at),
        last_error=value.last_error,
        timeline=[_step(one) for one in view.timeline],
        request_id=value.request_id,
        trace_id=tracing.trace_id(value.traceparent),
        booking=booking(view.booking) if view.booking else None,
    )


def saga_page(page: SagaPage) -> saga_pb2.ListSagasResponse:
    """A page of sagas as a message."""
    return saga_pb2.ListSagasResponse(
        sagas=[saga(one) for one in page.sagas], next_page_token=page.next_page_token
    )


def _step(record: StepRecord) -> saga_pb2.Saga.StepRecord:
    return saga_pb2.Saga.StepRecord(
        step=record.step,
        action=record.action,
        attempt=record.attempt,
        outcome=record.verdict,
        detail=record.detail,
        began_at=timestamp(record.began_at),
        took=duration(record.took_s),
    )


def without_person(stored: bytes, user_id: str) -> bytes:
    """A stored booking, of this user instead of another."""
    message = pb.Booking.FromString(stored)
    message.user_id = user_id
    return message.SerializeToString()


def user_record(record: Record) -> privacy.UserRecord:
    """A row of a person's as a message."""
    fields = struct(record.fields, pb.Booking.FromString)
    return privacy.UserRecord(kind=record.kind, name=record.name, fields=fields)


def erased(counts: Mapping[str, int]) -> privacy.EraseUserResponse:
    """Rows by table as a message."""
    rows = [privacy.EraseUserResponse.Count(kind=kind, rows=rows) for kind, rows in counts.items()]
    return privacy.EraseUserResponse(counts=rows)
