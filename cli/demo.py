"""A whole booking, step by step, with what should come of each step."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.booking.v1 import booking_pb2 as booking_pb
from holdfast.payment.v1 import payment_pb2 as payment_pb

from cli import calls
from cli.buyer import AVAILABLE, Buyer, by_card, expect

GOOD_CARD = "4242424242424242"
POOR_CARD = "4000000000009995"


@dataclass
class Demo:
    """What a buyer has got so far. Each method is a step and returns what it saw."""

    buyer: Buyer
    key: str = field(default_factory=lambda: f"demo-{uuid.uuid4()}")
    free: list[str] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    made: booking_pb.Booking = field(default_factory=booking_pb.Booking)

    def list_seats(self) -> str:
        """See which seats are free."""
        statuses = self.buyer.seats()
        self.free = [number for number, status in statuses.items() if status == AVAILABLE]
        expect(len(self.free) >= 4, "four free seats; 'make clean' starts anew")  # noqa: PLR2004
        return f"{len(self.free)} of {len(statuses)} seats are free"

    def reserve(self) -> str:
        """Hold two seats."""
        self.held = self.buyer.reserve(self.free[:2])
        return f"{' and '.join(self.free[:2])} are held for ten minutes"

    def confirm(self) -> str:
        """Pay and book."""
        self.made = self.buyer.confirm(self.held, by_card(GOOD_CARD), self.key).message
        status = booking_pb.Booking.Status.Name(self.made.status)
        expect(status == "CONFIRMED", f"CONFIRMED, and not {status}")
        paid = f"{self.made.total_amount.value} {self.made.currency}"
        return f"CONFIRMED: {self.made.booking_reference}, {paid} by {self.made.payment_id}"

    def confirm_again(self) -> str:
        """Send the same request with the same idempotency key."""
        again = self.buyer.confirm(self.held, by_card(GOOD_CARD), self.key)
        expect(again.replayed and again.message == self.made, "the stored answer")
        return "idempotent-replayed: true; the same booking, and no second charge"

    def decline(self) -> str:
        """Book two more seats with a card that has no money."""
        held = self.buyer.reserve(self.free[2:4])
        try:
            self.buyer.confirm(held, by_card(POOR_CARD), f"{self.key}-declined")
        except calls.Refused as refused:
            if refused.info.reason != "PAYMENT_FAILED":
                raise
            return f"PAYMENT_FAILED, as it should: {refused.info.message}"
        expect(None, "a decline")
        return ""

    def released(self) -> str:
        """See that the seats of the declined booking are free again."""
        return self.buyer.require_free(self.free[2:4])

    def cancel(self) -> str:
        """Cancel the booking."""
        now = self.buyer.cancel(self.made.booking_id)
        status = booking_pb.Booking.Status.Name(now.status)
        payment = payment_pb.Payment.Status.Name(now.payment_status)
        expect((status, payment) == ("CANCELLED", "REFUNDED"), f"both, and not {status}/{payment}")
        return f"CANCELLED, and {now.total_amount.value} {now.currency} are REFUNDED"

    def freed(self) -> str:
        """See that its seats are free again."""
        return self.buyer.require_free(self.free[:2])


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
