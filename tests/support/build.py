"""Requests that are right in every field that a test does not care about."""

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration
from google.type.decimal_pb2 import Decimal
from holdfast.inventory.v1 import inventory_pb2 as inventory


def decimal(text: str) -> Decimal:
    return Decimal(value=text)


def seconds(count: float) -> Duration:
    return Duration(seconds=int(count), nanos=round(count % 1 * 1e9))


def create_event(
    seat_numbers: Iterable[str] = ("A1", "A2", "A3"), price: str = "75.00", currency: str = "USD"
) -> inventory.CreateEventRequest:
    new = inventory.CreateEventRequest.NewSeat
    seats = [new(seat_number=number, price=decimal(price)) for number in seat_numbers]
    return inventory.CreateEventRequest(name="Gala", currency=currency, seats=seats)


def reserve(event_id: int, *seat_numbers: str, ttl_s: float = 600) -> inventory.ReserveSeatsRequest:
    return inventory.ReserveSeatsRequest(
        event_id=event_id, seat_numbers=seat_numbers, ttl=seconds(ttl_s)
    )


def get(*ids: int) -> inventory.GetReservationsRequest:
    return inventory.GetReservationsRequest(ids=ids)


def extend(*ids: int, ttl_s: float = 600) -> inventory.ExtendReservationsRequest:
    return inventory.ExtendReservationsRequest(reservation_ids=ids, ttl=seconds(ttl_s))


def confirm(*ids: int, booking: str = "BK-1") -> inventory.ConfirmReservationsRequest:
    return inventory.ConfirmReservationsRequest(reservation_ids=ids, booking_reference=booking)


def cancel(*ids: int, booking: str = "BK-1") -> inventory.CancelReservationsRequest:
    return inventory.CancelReservationsRequest(reservation_ids=ids, booking_reference=booking)
