"""What the auditor must not take for a fault, and where its rules end: on rows in memory."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.audited import (
    CALLED_OFF,
    CONFIRMED,
    DECLINED,
    GONE,
    PARKED,
    REFERENCES,
    START,
    World,
    evidence,
    world,
)

from auditor.examine import report_on
from auditor.provider import books_of

# Which rows: database, table, a column and its value. And what is written over them.
Edit = tuple[str, str, str, Any, dict[str, Any] | None]

PAY_ORDER = [
    ("payment", "payments", "payment_id", name, {"status": "SUCCESS", "transaction_id": "t"})
    for name in ("pay_1", "pay_2")
]
AN_ORDER_PAID_TWICE: list[Edit] = [
    *PAY_ORDER,
    ("provider", "provider_charges", "reference", "pay_1", {"state": "SUCCEEDED"}),
    (
        "provider",
        "provider_charges",
        "reference",
        "pay_C",
        {"reference": "pay_2", "state": "SUCCEEDED"},
    ),
]


def payment(payment_id: str, **changes: Any) -> Edit:
    return ("payment", "payments", "payment_id", payment_id, changes)


def booking(booking_id: int, **changes: Any) -> Edit:
    return ("booking", "bookings", "booking_id", booking_id, changes)


def charge(reference: str, **changes: Any) -> Edit:
    return ("provider", "provider_charges", "reference", reference, changes)


def refund(**changes: Any) -> Edit:
    return ("payment", "refunds", "refund_id", "ref_G", changes)


def reservation(reservation_id: int, **changes: Any) -> Edit:
    return ("inventory", "reservations", "reservation_id", reservation_id, changes)


def step(step_id: int, **changes: Any) -> Edit:
    return ("booking", "saga_steps", "step_id", step_id, changes)


def event(event_id: int, **changes: Any) -> Edit:
    return ("booking", "outbox", "event_id", event_id, changes)


def gone(table: str, column: str, value: Any) -> Edit:
    return ("booking", table, column, value, None)


def codes(*edits: Edit, settled: bool = True) -> set[str]:
    rows = world()
    for edit in edits:
        apply(rows, edit)
    return found_in(rows, settled=settled)


def found_in(rows: World, *, settled: bool = True) -> set[str]:
    return {str(one.code) for one in report_on(evidence(rows, settled=settled)).findings}


def apply(rows: World, edit: Edit) -> None:
    database, table, column, value, changes = edit
    some = rows[database][table]
    mine = [one for one in some if one[column] == value]
    assert mine
    for one in mine:
        if changes is None:
            some.remove(one)
        else:
            one.update(changes)


A_REFUND_ON_ITS_WAY: list[Edit] = [
    refund(status="PENDING"),
    payment("pay_G", status="SUCCESS", returned_minor=0),
    ("provider", "provider_refunds", "reference", "ref_G", {"state": "PENDING"}),
]
A_PENDING_BOOKING: list[Edit] = [
    booking(PARKED, status="PENDING", confirmed_at=None, answer=None),
    gone("outbox", "subject", REFERENCES[PARKED]),
]
RESOLVED: list[Edit] = [
    booking(PARKED, status="CANCELLED", cancelled_at=START),
    ("booking", "sagas", "booking_id", PARKED, {"state": "SUCCEEDED"}),
    step(16, outcome="RESOLVED"),
    event(5, kind="OTHER"),
]

FINE: dict[str, list[Edit]] = {
    "an order of another client that is paid in two parts": AN_ORDER_PAID_TWICE,
    "a fence around nothing": [
        (
            "payment",
            "booking_fences",
            "booking_reference",
            REFERENCES[CALLED_OFF],
            {"booking_reference": "BK-2026-KLMNPQRTVW"},
        )
    ],
    "a declined payment that has a transaction": [payment("pay_D", transaction_id="txn")],
    "a charge that was declined and not yet asked about": [
        charge("pay_1", state="PENDING", decline_code="CARD_DECLINED")
    ],
    "a booking that waits for an operator with its payment open": [
        payment("pay_P", next_ask_at=START)
    ],
    "a booking that waits for an operator while PENDING": A_PENDING_BOOKING,
    "an owner that was still busy when it lost its lease": [step(10, took_ms=1500)],
    "two attempts in one moment": [step(10, began_at=START), step(11, began_at=START, took_ms=0)],
    "two steps in one moment": [
        step(11, took_ms=0),
        step(12, began_at=START + timedelta(seconds=1)),
    ],
    "an operator during a step": [step(11, outcome="RETRIED", took_ms=1500)],
    "a booking from before timelines were kept": [
        gone("saga_steps", "booking_id", GONE),
        gone("outbox", "subject", REFERENCES[GONE]),
        event(2, sequence=1),
        event(3, sequence=2),
        ("booking", "outbox_counter", "name", "outbox", {"last_sequence": 2}),
    ],
    "a cancellation of what never was confirmed": [
        event(6, sequence=5),
        ("booking", "outbox_counter", "name", "outbox", {"last_sequence": 5}),
    ],
    "a charge that is taken at this very moment": [charge("pay_P", settles_at=START)],
    "events of which the oldest are deleted": [gone("outbox", "sequence", 1)],
    "events of which all that have numbers are deleted": [
        gone("outbox", "sequence", number) for number in (1, 2, 3, 4)
    ],
    "a timeline that is forgotten, with its event": [
        gone("saga_steps", "booking_id", GONE),
        gone("outbox", "sequence", 1),
    ],
    "a hold of a booking that failed, forgotten": [
        ("inventory", "reservations", "reservation_id", 1020, None)
    ],
    "a hold of a booking that waits for an operator, forgotten": [
        *A_PENDING_BOOKING,
        ("inventory", "reservations", "reservation_id", 1040, None),
    ],
}


@pytest.mark.parametrize("edits", FINE.values(), ids=FINE)
def test_what_is_unusual_is_no_fault(edits: list[Edit]) -> None:
    """What may be so is not a finding."""
    assert codes(*edits) == set()


@pytest.mark.parametrize(
    "edits",
    [A_REFUND_ON_ITS_WAY, [payment("pay_K", next_ask_at=START)]],
    ids=["a refund on its way", "a payment that is asked about"],
)
def test_what_is_open_is_no_fault_before_it_is_settled(edits: list[Edit]) -> None:
    """While something is on its way, neither ledger is taken for wrong because of it."""
    assert codes(*edits, settled=False) == set()
    assert codes(*edits) != set()


def test_a_refund_of_a_parked_booking_may_stay_open() -> None:
    """A refund that an operator is to look at is open, and no finding."""
    rows = world()
    (done,) = rows["payment"]["refunds"]
    parked = {"refund_id": "ref_P", "payment_id": "pay_P", "status": "PENDING"}
    rows["payment"]["refunds"].append({**done, **parked})
    apply(rows, payment("pay_P", refunded_minor=7500))
    assert found_in(rows) == set()


WRONG: dict[str, tuple[list[Edit], set[str]]] = {
    "more events missing than were deleted": (
        [gone("outbox", "sequence", 1), gone("outbox", "event_id", 6)],
        {"EVENT_MISSING"},
    ),
    "an event missing of a booking that is younger than those that are left": (
        [
            gone("outbox", "sequence", 1),
            booking(CALLED_OFF, created_at=START + timedelta(seconds=1)),
            gone("outbox", "event_id", 6),
        ],
        {"EVENT_MISSING"},
    ),
    "a reservation of what was confirmed, gone": (
        [("inventory", "reservations", "reservation_id", 1000, None)],
        {"SEAT_DIFFERS"},
    ),
    "a refund in another currency": (
        [refund(currency="EUR")],
        {"REFUND_WITHOUT_PAYMENT", "RETURN_DIFFERS"},
    ),
    "a payment without an answer that nobody will ask about": (
        [payment("pay_1", status="PENDING", next_ask_at=None)],
        {"PAYMENT_NOT_SETTLED"},
    ),
    "a confirmed booking that was not charged, and is asked about": (
        [payment("pay_K", next_ask_at=START), charge("pay_K", state="VOIDED")],
        {"PAYMENT_NOT_SETTLED", "CHARGE_NOT_AT_PROVIDER", "PROVIDER_NOT_DUE"},
    ),
    "a payment that is partly given back, and is not": (
        [payment("pay_P", status="PARTIALLY_REFUNDED")],
        {"PAYMENT_STATUS_DIFFERS"},
    ),
    "a payment that is given back, and is not": (
        [payment("pay_P", status="REFUNDED")],
        {"PAYMENT_STATUS_DIFFERS"},
    ),
    "a reservation of another user": ([reservation(1031, user_id="bob")], {"SEAT_DIFFERS"}),
    "a reservation in another currency": ([reservation(1031, currency="EUR")], {"SEAT_DIFFERS"}),
    "a booking without seats": (
        [
            gone("booking_seats", "booking_id", PARKED),
            gone("reservation_claims", "booking_id", PARKED),
        ],
        {"BOOKING_WITHOUT_SEATS", "PAYMENT_DIFFERS"},
    ),
    "a booking that failed after it was confirmed": (
        [booking(DECLINED, confirmed_at=START)],
        {"BOOKING_INCOMPLETE", "ANSWER_MISSING", "EVENT_MISSING"},
    ),
    "a booking that is PENDING after it was confirmed": (
        [booking(PARKED, status="PENDING")],
        {"BOOKING_INCOMPLETE"},
    ),
    "a confirmed booking that never was confirmed": (
        [booking(CONFIRMED, confirmed_at=None, answer=None)],
        {"BOOKING_INCOMPLETE", "ANSWER_MISSING", "EVENT_UNEXPECTED"},
    ),
    "a booking that is PENDING and left alone": (
        [*A_PENDING_BOOKING, ("booking", "sagas", "booking_id", PARKED, {"state": "UNDONE"})],
        {"NO_OPEN_SAGA", "BOOKING_NOT_SETTLED"},
    ),
    "a step that an operator did once more": ([step(10, outcome="RESOLVED")], {"STEP_DONE_TWICE"}),
    "a cancellation that has a number before its confirmation": (
        [event(1, sequence=None)],
        {"EVENTS_OUT_OF_ORDER"},
    ),
    "a booking that an operator resolved, and nobody is told": (
        [*RESOLVED, reservation(1040, status="ACTIVE")],
        {"EVENT_MISSING", "EVENT_UNEXPECTED"},
    ),
}


@pytest.mark.parametrize(("edits", "found"), WRONG.values(), ids=WRONG)
def test_where_a_rule_ends(edits: list[Edit], found: set[str]) -> None:
    """What is just beyond what may be is a finding, by its code."""
    assert codes(*edits) == found


@pytest.mark.parametrize("outcome", ["UNKNOWN", "REFUSED", "PENDING", "GIVEN_UP"])
def test_any_two_actions_at_once_are_two_writers(outcome: str) -> None:
    """Whatever an action came to, another under its attempt begins after it."""
    assert codes(step(11, outcome=outcome, took_ms=1500)) == {"TWO_WRITERS"}


BEFORE, AFTER = START - timedelta(seconds=1), START + timedelta(seconds=1)
# State, when it settles, whether it has a decline code; and whether it counts as given back.
RETURNS = [
    ("SUCCEEDED", None, False, True),
    ("SUCCEEDED", START, False, True),
    # It was given back until its time came.
    ("SUCCEEDED", AFTER, True, True),
    ("SUCCEEDED", START, True, False),
    ("SUCCEEDED", BEFORE, True, False),
    ("PENDING", AFTER, False, False),
    ("PENDING", START, False, True),
    ("PENDING", BEFORE, True, False),
    ("PENDING", AFTER, True, False),
    ("PENDING", None, False, False),
    ("FAILED", None, True, False),
    ("FAILED", BEFORE, True, False),
    ("FAILED", AFTER, True, False),
]


@pytest.mark.parametrize(("state", "settles_at", "declined", "counts"), RETURNS)
def test_what_the_provider_has_given_back(
    state: str,
    settles_at: datetime | None,
    declined: bool,  # noqa: FBT001 - a parameter
    counts: bool,  # noqa: FBT001
) -> None:
    """A refund counts as given back by its state, its decline code and the moment together."""
    tables = world()["provider"]
    code = "EXPIRED_CARD" if declined else None
    tables["provider_refunds"][0].update(state=state, settles_at=settles_at, decline_code=code)
    assert books_of(tables, START).returned == ({"ref_G": 7500} if counts else {})


def test_a_refund_that_came_back_is_missed() -> None:
    """A refund that we take for done, and that has failed since, is a finding."""
    came_back = {"settles_at": START, "decline_code": "EXPIRED_CARD"}
    edit: Edit = ("provider", "provider_refunds", "reference", "ref_G", came_back)
    assert codes(edit) == {"RETURN_NOT_AT_PROVIDER", "PROVIDER_NOT_DUE"}
    edit = (
        "provider",
        "provider_refunds",
        "reference",
        "ref_G",
        {**came_back, "settles_at": AFTER},
    )
    assert codes(edit) == set()
