"""Somebody who buys seats, as the demos need one."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from holdfast.booking.v1 import booking_pb2 as booking_pb
from holdfast.booking.v1 import booking_pb2_grpc as booking_rpc
from holdfast.inventory.v1 import inventory_pb2 as inventory_pb
from holdfast.inventory.v1 import inventory_pb2_grpc as inventory_rpc
from holdfast.payment.v1 import payment_pb2 as payment_pb

from cli import calls
from cli.failure import Failure

# Whom `holdfast up` gives a token.
USER = "demo"
SEATS_MAX = 1000
AVAILABLE = inventory_pb.Seat.AVAILABLE


@dataclass(frozen=True)
class Buyer:
    """A user with a token, and the event of which seats are bought."""

    inventory: grpc.Channel
    booking: grpc.Channel
    token: str
    event_id: int

    def seats(self) -> dict[str, inventory_pb.Seat.Status]:
        """Where each seat stands."""
        listing = inventory_rpc.InventoryServiceStub(self.inventory).ListSeats
        request = inventory_pb.ListSeatsRequest(event_id=self.event_id, page_size=SEATS_MAX)
        answer = calls.call(listing, request, token=self.token)
        return {seat.seat_number: seat.status for seat in answer.message.seats}

    def reserve(self, seat_numbers: Sequence[str]) -> list[int]:
        """Hold seats; the ids of the reservations."""
        reserve = inventory_rpc.InventoryServiceStub(self.inventory).ReserveSeats
        request = inventory_pb.ReserveSeatsRequest(
            event_id=self.event_id, seat_numbers=seat_numbers
        )
        answer = calls.call(reserve, request, token=self.token)
        return [one.reservation_id for one in answer.message.reservations]

    def confirm(
        self,
        reservation_ids: Sequence[int],
        method: payment_pb.PaymentMethod,
        key: str,
        timeout_s: float = calls.CALL_TIMEOUT_S,
    ) -> calls.Answer[booking_pb.Booking]:
        """Pay and book."""
        confirm = booking_rpc.BookingServiceStub(self.booking).ConfirmBooking
        request = booking_pb.ConfirmBookingRequest(
            reservation_ids=reservation_ids, payment_method=method
        )
        return calls.call(confirm, request, token=self.token, key=key, timeout_s=timeout_s)

    def cancel(
        self, booking_id: int, timeout_s: float = calls.CALL_TIMEOUT_S
    ) -> booking_pb.Booking:
        """Cancel a booking."""
        cancel = booking_rpc.BookingServiceStub(self.booking).CancelBooking
        request = booking_pb.CancelBookingRequest(booking_id=booking_id)
        return calls.call(cancel, request, token=self.token, timeout_s=timeout_s).message

    def require_free(self, seat_numbers: Sequence[str]) -> str:
        """That seats are free, in words.

        Raises:
            Failure: one is not.
        """
        statuses = self.seats()
        for number in seat_numbers:
            status = inventory_pb.Seat.Status.Name(statuses[number])
            expect(status == "AVAILABLE", f"{number} to be AVAILABLE, and not {status}")
        return f"{' and '.join(seat_numbers)} are AVAILABLE"


def by_card(number: str) -> payment_pb.PaymentMethod:
    """A card of the mock provider, with what goes with any of them."""
    return payment_pb.PaymentMethod(
        type=payment_pb.PaymentMethod.CREDIT_CARD,
        card_number=number,
        expiry_month=12,
        expiry_year=2030,
        cvv="123",
    )


def expect(met: object, what: str) -> None:
    """Require that a step gave what it should.

    Raises:
        Failure: it did not.
    """
    if not met:
        message = f"this step should have given {what}"
        raise Failure(message)
