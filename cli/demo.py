"""A whole booking, step by step, with what should come of each step."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
GOOD_CARD = "4242424242424242"
POOR_CARD = "4000000000009995"
SEATS_MAX = 1000


@dataclass
class Demo:
    """One buyer, and what it has got so far. Each method is a step and returns what it saw."""

    inventory: grpc.Channel
    booking: grpc.Channel
    token: str
    event_id: int
    key: str = field(default_factory=lambda: f"demo-{uuid.uuid4()}")
    free: list[str] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    made: booking_pb.Booking = field(default_factory=booking_pb.Booking)

    def list_seats(self) -> str:
        """See which seats are free."""
        statuses = self._seats()
        available = inventory_pb.Seat.AVAILABLE
        self.free = [number for number, status in statuses.items() if status == available]
        _expect(len(self.free) >= 4, "four free seats; 'make clean' starts anew")  # noqa: PLR2004
        return f"{len(self.free)} of {len(statuses)} seats are free"

    def reserve(self) -> str:
        """Hold two seats."""
        self.held = self._reserve(self.free[:2])
        return f"{' and '.join(self.free[:2])} are held for ten minutes"

    def confirm(self) -> str:
        """Pay and book."""
        made = self._confirm(self.held, GOOD_CARD, self.key)
        self.made = made.message
        status = booking_pb.Booking.Status.Name(self.made.status)
        _expect(status == "CONFIRMED", f"CONFIRMED, and not {status}")
        paid = f"{self.made.total_amount.value} {self.made.currency}"
        return f"CONFIRMED: {self.made.booking_reference}, {paid} by {self.made.payment_id}"

    def confirm_again(self) -> str:
        """Send the same request with the same idempotency key."""
        again = self._confirm(self.held, GOOD_CARD, self.key)
        _expect(again.replayed and again.message == self.made, "the stored answer")
        return "idempotent-replayed: true; the same booking, and no second charge"

    def decline(self) -> str:
        """Book two more seats with a card that has no money."""
        held = self._reserve(self.free[2:4])
        try:
            self._confirm(held, POOR_CARD, f"{self.key}-declined")
        except calls.Refused as refused:
            if refused.info.reason != "PAYMENT_FAILED":
                raise
            return f"PAYMENT_FAILED, as it should: {refused.info.message}"
        _expect(None, "a decline")
        return ""

    def released(self) -> str:
        """See that the seats of the declined booking are free again."""
        return self._require_free(self.free[2:4])

    def cancel(self) -> str:
        """Cancel the booking."""
        cancel = booking_rpc.BookingServiceStub(self.booking).CancelBooking
        request = booking_pb.CancelBookingRequest(booking_id=self.made.booking_id)
        now = calls.call(cancel, request, token=self.token).message
        status = booking_pb.Booking.Status.Name(now.status)
        payment = payment_pb.Payment.Status.Name(now.payment_status)
        _expect((status, payment) == ("CANCELLED", "REFUNDED"), f"both, and not {status}/{payment}")
        return f"CANCELLED, and {now.total_amount.value} {now.currency} are REFUNDED"

    def freed(self) -> str:
        """See that its seats are free again."""
        return self._require_free(self.free[:2])

    def _seats(self) -> dict[str, inventory_pb.Seat.Status]:
        listing = inventory_rpc.InventoryServiceStub(self.inventory).ListSeats
        request = inventory_pb.ListSeatsRequest(event_id=self.event_id, page_size=SEATS_MAX)
        answer = calls.call(listing, request, token=self.token)
        return {seat.seat_number: seat.status for seat in answer.message.seats}

    def _reserve(self, seat_numbers: Sequence[str]) -> list[int]:
        reserve = inventory_rpc.InventoryServiceStub(self.inventory).ReserveSeats
        request = inventory_pb.ReserveSeatsRequest(
            event_id=self.event_id, seat_numbers=seat_numbers
        )
        answer = calls.call(reserve, request, token=self.token)
        return [one.reservation_id for one in answer.message.reservations]

    def _confirm(
        self, reservation_ids: Sequence[int], card: str, key: str
    ) -> calls.Answer[booking_pb.Booking]:
        confirm = booking_rpc.BookingServiceStub(self.booking).ConfirmBooking
        request = booking_pb.ConfirmBookingRequest(
            reservation_ids=reservation_ids,
            payment_method=payment_pb.PaymentMethod(
                type=payment_pb.PaymentMethod.CREDIT_CARD,
                card_number=card,
                expiry_month=12,
                expiry_year=2030,
                cvv="123",
            ),
        )
        return calls.call(confirm, request, token=self.token, key=key)

    def _require_free(self, seat_numbers: Sequence[str]) -> str:
        statuses = self._seats()
        for number in seat_numbers:
            status = inventory_pb.Seat.Status.Name(statuses[number])
            _expect(status == "AVAILABLE", f"{number} to be AVAILABLE, and not {status}")
        return f"{' and '.join(seat_numbers)} are AVAILABLE"


STEPS: tuple[Callable[[Demo], str], ...] = (
    Demo.list_seats,
    Demo.reserve,
    Demo.confirm,
    Demo.confirm_again,
    Demo.decline,
    Demo.released,
    Demo.cancel,
    Demo.freed,
)


def _expect(met: object, what: str) -> None:
    if not met:
        message = f"this step should have given {what}"
        raise Failure(message)
