"""A small world in hand-made rows, in which all is well: for tests of the auditor.

One booking for each way that one can end, and one that waits for an operator.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.cards import CardScan
from auditor.evidence import Evidence
from auditor.provider import books_of

Rows = list[dict[str, Any]]
World = dict[str, dict[str, Rows]]

START = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)
# By its check digit and its beginning it could be a card's number. It is a booking's.
LIKE_A_CARD = 374100000000006
GALA = 9000
GONE, CALLED_OFF, DECLINED, CONFIRMED, PARKED = range(LIKE_A_CARD, LIKE_A_CARD + 5)
REFERENCES = {
    GONE: "BK-2026-GGGGGGGGGG",
    CALLED_OFF: "BK-2026-CCCCCCCCCC",
    DECLINED: "BK-2026-DDDDDDDDDD",
    CONFIRMED: "BK-2026-KKKKKKKKKK",
    PARKED: "BK-2026-PPPPPPPPPP",
}
# Seats by booking; A1 is booked for the second time.
SEATS = {
    GONE: ("A1",),
    CALLED_OFF: ("A3",),
    DECLINED: ("A4",),
    CONFIRMED: ("A1", "A2"),
    PARKED: ("A5",),
}
STATUSES = {
    GONE: "CANCELLED",
    CALLED_OFF: "CANCELLED",
    DECLINED: "FAILED",
    CONFIRMED: "CONFIRMED",
    PARKED: "CANCELLING",
}
PRICE_MINOR = 7500
JOURNAL: Sequence[Mapping[str, Any]] = (
    {"key": "k-g", "userId": "ann", "bookingId": GONE, "status": "CONFIRMED"},
    {"userId": "ann", "bookingId": GONE, "cancelled": True},
    {"userId": "ann", "bookingId": GONE, "cancelled": True, "status": "CANCELLED"},
    {"key": "k-c", "userId": "ann", "bookingId": CALLED_OFF, "status": "PENDING"},
    {"key": "k-d", "userId": "ann", "bookingReference": REFERENCES[DECLINED], "status": "FAILED"},
    {"key": "k-k", "userId": "ann", "bookingId": str(CONFIRMED), "status": "PENDING"},
    {"key": "k-k", "userId": "ann", "bookingId": CONFIRMED, "status": "CONFIRMED"},
)


def world() -> World:
    """All rows, by service and table."""
    return {
        "booking": _booking(),
        "payment": _payment(),
        "inventory": _inventory(),
        "provider": _provider(),
    }


def evidence(
    rows: World, *more: Mapping[str, Any], settled: bool = True, now: datetime = START
) -> Evidence:
    """What an audit has to go by, with more answers that clients wrote down."""
    scan = CardScan()
    for name, tables in rows.items():
        for table, some in tables.items():
            for column in some[0] if some else ():
                scan.look_at(f"{name}.{table}.{column}", [one[column] for one in some])
    return Evidence(
        **{name: tables for name, tables in rows.items() if name != "provider"},
        books=books_of(rows["provider"], now),
        journal=(*JOURNAL, *more),
        cards=scan.findings(),
        settled=settled,
    )


def _after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _reservation_id(booking_id: int, position: int) -> int:
    return 1000 + 10 * (booking_id - LIKE_A_CARD) + position


def _booking() -> dict[str, Rows]:
    pairs = [(one, position) for one, seats in SEATS.items() for position in range(len(seats))]
    return {
        "bookings": [_one_booking(one) for one in SEATS],
        "booking_seats": [
            {
                "booking_id": one,
                "position": position,
                "reservation_id": _reservation_id(one, position),
                "seat_number": SEATS[one][position],
                "price_minor": PRICE_MINOR,
            }
            for one, position in pairs
        ],
        "reservation_claims": [
            {"reservation_id": _reservation_id(one, position), "booking_id": one}
            for one, position in pairs
        ],
        "sagas": _sagas(),
        "saga_steps": _saga_steps(),
        "outbox": _events(),
        "outbox_counter": [{"name": "outbox", "last_sequence": 4}],
        "idempotency_keys": [
            # That of PARKED was purged.
            _key("ann", f"k-{REFERENCES[one][-1].lower()}", str(one))
            for one in SEATS
            if one != PARKED
        ],
    }


def _one_booking(booking_id: int) -> dict[str, Any]:
    letter = REFERENCES[booking_id][-1]
    was_confirmed = booking_id in (GONE, CONFIRMED, PARKED)
    is_cancelled = STATUSES[booking_id] == "CANCELLED"
    return {
        "booking_id": booking_id,
        "booking_reference": REFERENCES[booking_id],
        "user_id": "ann",
        "event_id": GALA,
        "currency": "USD",
        "created_at": START,
        "status": STATUSES[booking_id],
        "payment_id": f"pay_{letter}",
        "payment_status": "SUCCESS",
        "failure_reason": "PAYMENT_FAILED" if booking_id == DECLINED else "",
        "failure_message": "",
        "decline_code": "",
        "confirmed_at": _after(2) if was_confirmed else None,
        "cancelled_at": _after(9) if is_cancelled else None,
        "answer": b"\x08\x01" if was_confirmed or is_cancelled else None,
    }


def _sagas() -> Rows:
    confirm = {
        GONE: "SUCCEEDED",
        CALLED_OFF: "SUPERSEDED",
        DECLINED: "UNDONE",
        CONFIRMED: "SUCCEEDED",
        PARKED: "SUCCEEDED",
    }
    cancel = {GONE: "SUCCEEDED", CALLED_OFF: "SUCCEEDED", PARKED: "NEEDS_ATTENTION"}
    named = [("confirm_booking", *one) for one in confirm.items()]
    named += [("cancel_booking", *one) for one in cancel.items()]
    return [
        {
            "booking_id": booking_id,
            "definition": definition,
            "step": "charge",
            "direction": "FORWARD",
            "state": state,
            "tries": 0,
            "refusals": 0,
            "waits": 0,
            "last_error": "",
            # That of CONFIRMED was taken over once.
            "attempt": 2 if booking_id in (CONFIRMED, CALLED_OFF) else 1,
            "revision": 2,
            "owner": "",
            "leased_until": START,
            "began_at": START,
        }
        for definition, booking_id, state in named
    ]


def _saga_steps() -> Rows:
    charge, seats = ("charge", "take_payment"), ("confirm", "confirm_seats")
    release, refund = ("release", "release_seats"), ("refund", "give_back_payment")
    told = [
        (GONE, "confirm_booking", charge, 1, "DONE", 0),
        (GONE, "confirm_booking", seats, 1, "DONE", 1),
        (GONE, "cancel_booking", release, 1, "DONE", 5),
        (GONE, "cancel_booking", refund, 1, "DONE", 6),
        (CALLED_OFF, "confirm_booking", charge, 1, "UNKNOWN", 0),
        (CALLED_OFF, "cancel_booking", release, 1, "DONE", 5),
        (CALLED_OFF, "cancel_booking", refund, 1, "DONE", 6),
        (DECLINED, "confirm_booking", charge, 1, "REFUSED", 0),
        (DECLINED, "confirm_booking", ("hold", "release_seats"), 1, "DONE", 1),
        (CONFIRMED, "confirm_booking", charge, 1, "UNKNOWN", 0),
        (CONFIRMED, "confirm_booking", charge, 2, "DONE", 1),
        (CONFIRMED, "confirm_booking", seats, 2, "DONE", 2),
        (PARKED, "confirm_booking", charge, 1, "DONE", 0),
        (PARKED, "confirm_booking", seats, 1, "DONE", 1),
        (PARKED, "cancel_booking", release, 1, "DONE", 5),
        (PARKED, "cancel_booking", refund, 1, "REFUSED", 6),
    ]
    return [
        {
            "step_id": step_id,
            "booking_id": booking_id,
            "definition": definition,
            "step": step,
            "action": action,
            "attempt": attempt,
            "outcome": outcome,
            "detail": "",
            "began_at": _after(second),
            "took_ms": 1000,
        }
        for step_id, (booking_id, definition, (step, action), attempt, outcome, second) in (
            enumerate(told, start=1)
        )
    ]


def _events() -> Rows:
    told = [
        (1, "CONFIRMED", GONE),
        (2, "FAILED", DECLINED),
        (3, "CONFIRMED", CONFIRMED),
        (4, "CANCELLED", GONE),
        # Not numbered yet.
        (None, "CONFIRMED", PARKED),
        (None, "CANCELLED", CALLED_OFF),
    ]
    return [
        {
            "event_id": event_id,
            "sequence": sequence,
            "kind": kind,
            "subject": REFERENCES[booking_id],
            "payload": b"\x08\x01",
            "occurred_at": START,
        }
        for event_id, (sequence, kind, booking_id) in enumerate(told, start=1)
    ]


def _key(owner: str, key: str, subject: str) -> dict[str, Any]:
    return {
        "owner": owner,
        "idempotency_key": key,
        "fingerprint": "f" * 64,
        "subject": subject,
        "created_at": START,
    }


def _payment() -> dict[str, Rows]:
    return {
        "payments": [
            _one_payment("pay_G", REFERENCES[GONE], "REFUNDED", returned_minor=7500),
            _one_payment("pay_C", REFERENCES[CALLED_OFF], "CANCELLED"),
            _one_payment("pay_D", REFERENCES[DECLINED], "FAILED"),
            _one_payment("pay_K", REFERENCES[CONFIRMED], "SUCCESS", amount_minor=15000),
            _one_payment("pay_P", REFERENCES[PARKED], "SUCCESS"),
            # Of clients that only pay: their references are their own.
            _one_payment("pay_1", "ORDER-1", "FAILED"),
            _one_payment("pay_2", "ORDER-1", "FAILED"),
        ],
        "refunds": [
            {
                "refund_id": "ref_G",
                "payment_id": "pay_G",
                "amount_minor": 7500,
                "currency": "USD",
                "reason": "BOOKING_CANCELLED",
                "created_at": _after(6),
                "leased_until": _after(6),
                "next_ask_at": None,
                "asks": 0,
                "status": "REFUNDED",
                "finished_at": _after(7),
            }
        ],
        "booking_fences": [
            {"booking_reference": REFERENCES[CONFIRMED], "called_off_at": None, "reason": ""},
            {"booking_reference": REFERENCES[CALLED_OFF], "called_off_at": START, "reason": "x"},
        ],
        "outbox": [],
        "outbox_counter": [],
        "idempotency_keys": [
            _key("ann", f"{REFERENCES[CONFIRMED]}/charge", "pay_K"),
            _key("pay_G", f"{REFERENCES[GONE]}/give-back", "ref_G"),
        ],
    }


def _one_payment(
    payment_id: str,
    booking_reference: str,
    status: str,
    *,
    amount_minor: int = PRICE_MINOR,
    returned_minor: int = 0,
) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "booking_reference": booking_reference,
        "user_id": "ann",
        "currency": "USD",
        "amount_minor": amount_minor,
        "method_type": "CREDIT_CARD",
        "method_brand": "visa",
        "method_last_four": "4242",
        "created_at": START,
        "leased_until": START,
        "next_ask_at": None,
        "asks": 0,
        "status": status,
        "refunded_minor": returned_minor,
        "returned_minor": returned_minor,
        "transaction_id": "" if status in ("FAILED", "CANCELLED") else f"txn_{payment_id}",
        "decline_code": None,
        "processed_at": START,
    }


def _provider() -> dict[str, Rows]:
    charges = [("pay_G", 7500, "SUCCEEDED"), ("pay_K", 15000, "SUCCEEDED")]
    # Nobody has asked since its time came.
    charges += [("pay_P", 7500, "PENDING"), ("pay_C", 7500, "VOIDED"), ("pay_1", 7500, "LOST")]
    return {
        "provider_charges": [
            {
                "reference": payment_id,
                "amount_minor": amount_minor,
                "currency": "USD",
                "state": state,
                "transaction_id": f"txn_{payment_id}",
                "decline_code": None,
                "created_at": START,
                "settles_at": START,
                "scenario": None,
            }
            for payment_id, amount_minor, state in charges
        ],
        "provider_refunds": [
            {
                "reference": "ref_G",
                "transaction_id": "txn_pay_G",
                "amount_minor": 7500,
                "currency": "USD",
                "state": "SUCCEEDED",
                "refund_id": "re_1",
                "created_at": START,
                "settles_at": None,
                "decline_code": None,
            }
        ],
    }


def _inventory() -> dict[str, Rows]:
    reservations = [
        _one_reservation(booking_id, position)
        for booking_id, seats in SEATS.items()
        for position in range(len(seats))
    ]
    booked = {one["seat_id"]: one for one in reservations if one["status"] == "CONFIRMED"}
    return {
        "events": [
            {
                "event_id": GALA,
                "name": "Gala",
                "currency": "USD",
                "seat_count": 6,
                "created_at": START,
            }
        ],
        "seats": [
            {
                "seat_id": seat_id,
                "event_id": GALA,
                "seat_number": f"A{seat_id}",
                "price_minor": PRICE_MINOR,
                "reservation_id": booked.get(seat_id, {}).get("reservation_id"),
                "held_until": None,
                "booked": seat_id in booked,
            }
            for seat_id in range(1, 7)
        ],
        "reservations": reservations,
        "idempotency_keys": [_key("ann", "hold", "1030,1031"), _key("root", "gala", str(GALA))],
    }


def _one_reservation(booking_id: int, position: int) -> dict[str, Any]:
    seat_number = SEATS[booking_id][position]
    is_confirmed = booking_id == CONFIRMED
    was_confirmed = is_confirmed or booking_id in (GONE, PARKED)
    return {
        "reservation_id": _reservation_id(booking_id, position),
        "event_id": GALA,
        "user_id": "ann",
        "seat_id": int(seat_number[1:]),
        "seat_number": seat_number,
        "price_minor": PRICE_MINOR,
        "currency": "USD",
        "status": "CONFIRMED" if is_confirmed else "CANCELLED",
        "created_at": START,
        "expires_at": _after(600),
        "booking_reference": REFERENCES[booking_id] if was_confirmed else "",
    }
