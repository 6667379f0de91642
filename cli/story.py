"""The story of a booking: what three services say of it, and what that comes to. Pure.

Each service tells the time by its own clock: what happened within the difference between two
clocks may stand in the wrong order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from holdfast.booking.v1 import booking_pb2, saga_pb2
from holdfast.errors.v1.reason_pb2 import Reason
from holdfast.inventory.v1 import inventory_pb2
from holdfast.payment.v1 import payment_pb2

from cli.programs import BOOKING
from cli.screen import name_of

Booking = booking_pb2.Booking
Saga = saga_pb2.Saga
Record = saga_pb2.Saga.StepRecord
Payment = payment_pb2.Payment
Said = payment_pb2.PaymentLogEntry
Refund = payment_pb2.Refund
Reservation = inventory_pb2.Reservation

# The call that begins each saga.
CALLS = {"confirm_booking": "ConfirmBooking", "cancel_booking": "CancelBooking"}
CONFIRM, CANCEL = CALLS
SETTLED = (Booking.CONFIRMED, Booking.FAILED, Booking.CANCELLED)
# Done by an operator: these come with an attempt of their own, and take no time.
BY_HAND = (Record.RETRIED, Record.RESOLVED)
# More than these the contract does not give.
TIMELINE_MAX, LOG_MAX = 500, 1000


@dataclass(frozen=True)
class Facts:
    """What the services say of a booking; of one that was not heard, none."""

    sagas: Sequence[Saga] | None = None
    payments: Sequence[Payment] | None = None
    reservations: Sequence[Reservation] | None = None

    @property
    def booking(self) -> Booking | None:
        """The booking, as the saga that was read last has it."""
        told = [saga.booking for saga in self.sagas or () if saga.HasField("booking")]
        return told[-1] if told else None

    @property
    def reference(self) -> str:
        """What the customer quotes."""
        told = [saga.booking_reference for saga in self.sagas or ()]
        told += [payment.booking_reference for payment in self.payments or ()]
        return told[0] if told else ""


@dataclass(frozen=True)
class Entry:
    """Something that happened, or that began and took a time."""

    at: datetime
    service: str
    what: str
    # What it came to, as the contract names it.
    outcome: str = ""
    details: tuple[str, ...] = ()
    took_s: float | None = None


@dataclass(frozen=True)
class Line:
    """An entry, where it stands in the story."""

    entry: Entry
    # Since the first entry.
    since_s: float
    # How long nothing was told and nothing was under way before it.
    idle_s: float


def lines(entries: Sequence[Entry]) -> Iterator[Line]:
    """The entries with the time since the first one, and the silence before each."""
    if not entries:
        return
    busy_until = began = entries[0].at
    for entry in entries:
        idle = max(timedelta(), entry.at - busy_until)
        yield Line(entry, (entry.at - began).total_seconds(), idle.total_seconds())
        busy_until = max(busy_until, entry.at + timedelta(seconds=entry.took_s or 0.0))


def settled_s(facts: Facts) -> tuple[str, float] | None:
    """The call that settled the booking, and how long that took; none while it is not settled."""
    booking, settled = facts.booking, list(ends(facts))
    if booking is None or booking.status not in SETTLED or not settled:
        return None
    name = CANCEL if booking.status == Booking.CANCELLED else CONFIRM
    for saga in facts.sagas or ():
        if saga.name == name:
            return CALLS[name], (settled[-1].at - began_at(saga, booking)).total_seconds()
    return None


def open_saga(facts: Facts) -> Saga | None:
    """The saga that goes on, or that waits for a person."""
    for saga in facts.sagas or ():
        if saga.state in (Saga.RUNNING, Saga.NEEDS_ATTENTION):
            return saga
    return None


def gaps(facts: Facts) -> Iterator[str]:
    """What happened and has no entry, in sentences."""
    for saga in facts.sagas or ():
        if len(saga.timeline) >= TIMELINE_MAX:
            yield f"Of {saga.name} these are the last {TIMELINE_MAX} actions."
    for payment in facts.payments or ():
        if len(payment.log) >= LOG_MAX:
            yield f"Of {payment.payment_id} these are the last {LOG_MAX:,} entries."
    held = facts.reservations or ()
    untimed = {
        # It names the booking from its confirmation on.
        "CONFIRMED": [
            one for one in held if one.booking_reference and not one.HasField("confirmed_at")
        ],
        "CANCELLED": [
            one
            for one in held
            if one.status == Reservation.CANCELLED and not one.HasField("ended_at")
        ],
    }
    for word, some in untimed.items():
        if some:
            yield f"When {seats(some)} became {word} was not kept: an older version did it."


def still_open(facts: Facts) -> Iterator[str]:
    """What the payment adapter does not know yet, in words."""
    for payment in facts.payments or ():
        if payment.status == Payment.PENDING:
            yield f"payment {payment.payment_id} is PENDING"
        for refund in payment.refunds:
            if refund.status == Refund.PENDING:
                yield f"refund {refund.refund_id} is PENDING"


def ends(facts: Facts) -> Iterator[Entry]:
    """Each time that the booking was settled."""
    booking = facts.booking
    if booking is None:
        return
    if booking.HasField("confirmed_at"):
        yield Entry(moment_of(booking.confirmed_at), BOOKING.name, "booking", "CONFIRMED")
    if booking.HasField("cancelled_at"):
        yield Entry(moment_of(booking.cancelled_at), BOOKING.name, "booking", "CANCELLED")
    if booking.status == Booking.FAILED:
        for saga in facts.sagas or ():
            if saga.name == CONFIRM and saga.timeline:
                why = f"{name_of(Reason, booking.failure_reason)}: {booking.failure_message}"
                yield Entry(end_of(saga), BOOKING.name, "booking", "FAILED", (why,))


def began_at(saga: Saga, booking: Booking | None) -> datetime:
    """When a saga began; where that was not kept yet, the booking is the best that is known."""
    began = moment_of(saga.began_at)
    return max(began, moment_of(booking.created_at)) if booking else began


def end_of(saga: Saga) -> datetime:
    """When its last action so far came to an end."""
    last = saga.timeline[-1]
    return moment_of(last.began_at) + timedelta(seconds=seconds(last))


def seats(reservations: Sequence[Reservation]) -> str:
    """The seats by their names."""
    names = ", ".join(one.seat.seat_number for one in reservations)
    return f"seat {names}" if len(reservations) == 1 else f"seats {names}"


def seconds(record: Record) -> float:
    """How long an action took."""
    return record.took.ToTimedelta().total_seconds()


def moment_of(timestamp: Timestamp) -> datetime:
    """A message as a moment, to the microsecond."""
    return timestamp.ToDatetime(UTC)
