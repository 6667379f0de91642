"""Between messages and domain objects. Only this, `servicer` and `clients` see messages."""

from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.payment.v1 import payment_pb2

from booking_svc.domain.booking import Booking
from booking_svc.usecases.confirm_booking import BookingRequest
from booking_svc.usecases.read_bookings import BookingPage
from chassis.cards import Card
from chassis.messages import decimal, timestamp


def booking_request(request: pb.ConfirmBookingRequest, user_id: str, key: str) -> BookingRequest:
    """The booking to make."""
    method = request.payment_method
    card = Card(
        type=payment_pb2.PaymentMethod.Type.Name(method.type),
        number=method.card_number,
        expiry_month=method.expiry_month,
        expiry_year=method.expiry_year,
        cvv=method.cvv,
    )
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
