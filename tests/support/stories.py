"""Bookings as three services tell them, for who shows them. Times are seconds after `BEGAN`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal
from holdfast.booking.v1 import booking_pb2, saga_pb2
from holdfast.inventory.v1 import inventory_pb2
from holdfast.payment.v1 import payment_pb2

from cli.story import Facts

BEGAN = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
REFERENCE = "BK-2026-BCDFGHJKLM"
PAYMENT_ID = "pay_01HZX2V7Q8J5M3N4P6R7S8T9VW"
REFUND_ID = "ref_01HZX2V7Q8J5M3N4P6R7S8T9VY"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PRICE = Decimal(value="75.00")
TOTAL = Decimal(value="150.00")


def at(seconds: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(BEGAN + timedelta(seconds=seconds))
    return made


def booking(status: str = "CONFIRMED", **changes: Any) -> booking_pb2.Booking:
    seats = [
        booking_pb2.Booking.BookedSeat(seat_number=f"A{n}", price=PRICE, reservation_id=100 + n)
        for n in (1, 2)
    ]
    given = {
        "booking_id": 5001,
        "booking_reference": REFERENCE,
        "event_id": 987,
        "user_id": "ann",
        "seats": seats,
        "total_amount": TOTAL,
        "currency": "USD",
        "payment_id": PAYMENT_ID,
        "created_at": at(2),
    }
    return booking_pb2.Booking(status=status, **{**given, **changes})


def action(
    began_s: float, name: str, outcome: str = "DONE", took_s: float = 0.05, **more: Any
) -> saga_pb2.Saga.StepRecord:
    given = {"step": "charge", "attempt": 1, **more}
    record = saga_pb2.Saga.StepRecord(action=name, outcome=outcome, began_at=at(began_s), **given)
    record.took.FromMilliseconds(round(took_s * 1000))
    return record


def saga(
    name: str = "confirm_booking",
    state: str = "SUCCEEDED",
    began_s: float = 2,
    **changes: Any,
) -> saga_pb2.Saga:
    given = {"direction": "FORWARD", "attempt": 1, "booking": booking(), **changes}
    return saga_pb2.Saga(
        booking_id=5001,
        booking_reference=REFERENCE,
        name=name,
        state=state,
        began_at=at(began_s),
        **given,
    )


def said(
    happened_s: float, what: str, outcome: str, status: str, **more: Any
) -> payment_pb2.PaymentLogEntry:
    given = {"actor": "booking_svc" if outcome == "ASKED" else "provider/mock", **more}
    return payment_pb2.PaymentLogEntry(
        happened_at=at(happened_s), action=what, outcome=outcome, status=status, **given
    )


def payment(status: str = "SUCCESS", **changes: Any) -> payment_pb2.Payment:
    given = {
        "payment_id": PAYMENT_ID,
        "booking_reference": REFERENCE,
        "amount": TOTAL,
        "currency": "USD",
        "user_id": "ann",
        "payment_method": payment_pb2.PaymentMethodSummary(brand="visa", last_four="4242"),
        "created_at": at(2.02),
    }
    return payment_pb2.Payment(status=status, **{**given, **changes})


def refund(status: str = "REFUNDED") -> payment_pb2.Refund:
    return payment_pb2.Refund(
        refund_id=REFUND_ID,
        status=status,
        refunded_amount=TOTAL,
        currency="USD",
        payment_id=PAYMENT_ID,
        reason="BOOKING_CANCELLED",
        created_at=at(12.03),
    )


def reservations(status: str = "CONFIRMED", **times_s: float) -> list[inventory_pb2.Reservation]:
    """Both seats: when they were confirmed and when they ended, in seconds."""
    made = []
    for number in (1, 2):
        one = inventory_pb2.Reservation(
            reservation_id=100 + number,
            status=status,
            expires_at=at(600),
            seat=inventory_pb2.Reservation.ReservedSeat(seat_number=f"A{number}"),
            booking_reference="" if status == "ACTIVE" else REFERENCE,
            created_at=at(0),
        )
        for name, seconds in times_s.items():
            getattr(one, name).CopyFrom(at(seconds))
        made.append(one)
    return made


def cancelled() -> Facts:
    """A booking that was confirmed, and cancelled ten seconds later."""
    present = booking("CANCELLED", confirmed_at=at(2.3), cancelled_at=at(12.2))
    confirming = saga(
        request_id="req-1",
        trace_id=TRACE_ID,
        booking=present,
        timeline=[
            action(2.01, "take_payment", took_s=0.2),
            action(2.25, "confirm_seats", step="confirm", took_s=0.04),
        ],
    )
    cancelling = saga(
        "cancel_booking",
        began_s=12,
        request_id="req-2",
        booking=present,
        timeline=[
            action(12.01, "release_seats", step="release", took_s=0.01),
            action(12.02, "give_back_payment", step="refund", took_s=0.17),
        ],
    )
    log = [
        said(2.02, "CHARGE", "ASKED", "PENDING", detail="150.00 USD"),
        said(2.19, "CHARGE", "SUCCEEDED", "SUCCESS", detail="txn_1"),
        said(12.03, "CANCEL", "ASKED", "SUCCESS", detail="BOOKING_CANCELLED"),
        said(12.04, "REFUND", "ASKED", "SUCCESS", refund_id=REFUND_ID),
        said(12.18, "WEBHOOK", "SUCCEEDED", "REFUNDED", refund_id=REFUND_ID, detail="msg_1"),
    ]
    paid = payment("REFUNDED", refunds=[refund()], log=log)
    held = reservations("CANCELLED", confirmed_at=2.26, ended_at=12.015)
    return Facts([confirming, cancelling], [paid], held)
