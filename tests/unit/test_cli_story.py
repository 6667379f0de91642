"""The story of a booking: what is told of it, in which order, and what it comes to."""

from dataclasses import replace
from typing import Any

import pytest
from support.stories import (
    PAYMENT_ID,
    REFUND_ID,
    TRACE_ID,
    action,
    at,
    booking,
    cancelled,
    payment,
    refund,
    reservations,
    saga,
    said,
)

from cli import story
from cli.story import Entry, Facts
from cli.trace_entries import told


def brief(facts: Facts) -> list[tuple[str, str]]:
    """Who says it, and what it is."""
    return [
        (one.service.removesuffix("_svc"), f"{one.what} {one.outcome}".strip())
        for one in told(facts)
    ]


def of(facts: Facts, what: str) -> list[Entry]:
    return [one for one in told(facts) if one.what == what]


def log_of(*entries: Any) -> Facts:
    return Facts(payments=[payment(log=entries)])


def test_three_services_tell_one_story() -> None:
    """What three services tell of a cancelled booking is one list, in the order of time."""
    assert brief(cancelled()) == [
        ("inventory", "seats A1, A2 RESERVED"),
        ("booking", "ConfirmBooking"),
        ("booking", "take_payment DONE"),
        ("payment", "CHARGE ASKED"),
        ("payment", "CHARGE SUCCEEDED"),
        ("booking", "confirm_seats DONE"),
        ("inventory", "seats A1, A2 CONFIRMED"),
        ("booking", "booking CONFIRMED"),
        ("booking", "CancelBooking"),
        ("booking", "release_seats DONE"),
        ("inventory", "seats A1, A2 CANCELLED"),
        ("booking", "give_back_payment DONE"),
        ("payment", "CANCEL ASKED"),
        ("payment", "REFUND ASKED"),
        ("payment", "WEBHOOK SUCCEEDED"),
        ("booking", "booking CANCELLED"),
    ]


def test_the_calls_that_began_it() -> None:
    """Each saga begins with its call: by whom, under which request and trace, if there is one."""
    (confirm,), (cancel,) = (of(cancelled(), f"{name}Booking") for name in ("Confirm", "Cancel"))
    assert confirm.details == (
        "by ann",
        "begins confirm_booking",
        "request req-1",
        f"trace {TRACE_ID}",
    )
    assert cancel.details == ("by ann", "begins cancel_booking", "request req-2")


def test_the_beginning_and_the_silence() -> None:
    """A line says how long after the first it is, and how long nothing was under way before it."""
    lines = list(story.lines(told(cancelled())))
    by_what = {f"{one.entry.what} {one.entry.outcome}": one for one in lines}
    assert (lines[0].since_s, lines[0].idle_s) == (0.0, 0.0)
    # While an action is under way there is no silence.
    assert by_what["CHARGE SUCCEEDED"].idle_s == 0.0
    assert by_what["confirm_seats DONE"].idle_s == pytest.approx(0.04)
    assert by_what["CancelBooking "].since_s == pytest.approx(12.0)
    assert by_what["CancelBooking "].idle_s == pytest.approx(9.7)
    assert list(story.lines([])) == []


def test_one_moment() -> None:
    """Of what is of one moment the cause comes first: call, action, payment, seat, end."""
    now = at(2)
    entire = saga(
        booking=booking(confirmed_at=now), timeline=[action(2, "confirm_seats", took_s=0)]
    )
    facts = Facts(
        [entire],
        [payment(log=[said(2, "CHARGE", "SUCCEEDED", "SUCCESS")])],
        reservations(confirmed_at=2),
    )
    assert [what for _, what in brief(facts)] == [
        "seats A1, A2 RESERVED",
        "ConfirmBooking",
        "confirm_seats DONE",
        "CHARGE SUCCEEDED",
        "seats A1, A2 CONFIRMED",
        "booking CONFIRMED",
    ]


@pytest.mark.parametrize(
    ("log", "awaited_s"),
    [
        ([("CHARGE", "SUCCEEDED", {})], [1.0, None]),
        ([("WEBHOOK", "PENDING", {}), ("CHARGE", "UNKNOWN", {})], [2.0, None, None]),
        ([("WEBHOOK", "SUCCEEDED", {}), ("CHARGE", "SUCCEEDED", {})], [1.0, None, None]),
        ([("CHARGE", "ASKED", {}), ("LOOKUP", "DECLINED", {})], [2.0, None, None]),
        ([("WEBHOOK", "SUCCEEDED", {"refund_id": REFUND_ID})], [None, None]),
        ([("CANCEL", "ASKED", {}), ("VOID", "NOT_DONE", {})], [None, 1.0, None]),
    ],
    ids=["answer", "pending is none", "a webhook first", "again", "of a refund", "called off"],
)
def test_how_long_a_question_waited(log: list[Any], awaited_s: list[float | None]) -> None:
    """A question takes until its own answer, or until it is told in another way how it ended."""
    entries = [
        said(number, action, outcome, "PENDING", **more)
        for number, (action, outcome, more) in enumerate([("CHARGE", "ASKED", {}), *log])
    ]
    assert [one.took_s for one in told(log_of(*entries))] == awaited_s


def test_a_refund_in_the_log() -> None:
    """A refund is asked for, takes until a webhook tells of it, and changes the payment."""
    (asked,) = of(cancelled(), "REFUND")
    assert asked.took_s == pytest.approx(0.14)
    assert asked.details == ("by booking_svc", REFUND_ID)
    (answered,) = of(cancelled(), "WEBHOOK")
    assert answered.details == ("by provider/mock", "msg_1", REFUND_ID, "payment REFUNDED")


def test_what_the_log_does_not_have() -> None:
    """Payments and refunds of before the log are told from their own times."""
    old = payment("REFUNDED", processed_at=at(2.5), refunds=[refund("PENDING")])
    assert [(one.what, one.outcome, one.details) for one in told(Facts(payments=[old]))] == [
        ("CHARGE", "ASKED", ("150.00 USD",)),
        ("CHARGE answered", "", ("payment REFUNDED",)),
        ("REFUND", "ASKED", ("150.00 USD", "BOOKING_CANCELLED", REFUND_ID, "now PENDING")),
    ]
    assert list(story.still_open(Facts(payments=[old]))) == [f"refund {REFUND_ID} is PENDING"]


def test_several_payments() -> None:
    """Where a booking has several payments, each entry says of which it is."""
    another = PAYMENT_ID.replace("01", "02")
    log = [said(3, "CHARGE", "ASKED", "PENDING")]
    facts = Facts(payments=[payment(log=log), payment(payment_id=another, log=log)])
    assert [one.details[-1] for one in told(facts)] == [PAYMENT_ID, another]
    assert told(log_of(*log))[0].details[-1] == "payment PENDING"


def test_an_owner_that_is_gone() -> None:
    """Where the attempt goes up after an action that is done, the saga was taken over."""
    timeline = [
        action(2.1, "take_payment"),
        action(20, "confirm_seats", attempt=2, step="confirm"),
    ]
    facts = Facts([saga(timeline=timeline)])
    (taken,) = of(facts, "confirm_booking taken over")
    assert taken.details == ("attempt 1 → 2", "the process before is gone")
    assert [what for _, what in brief(facts)][-2:] == [
        "confirm_booking taken over",
        "confirm_seats DONE",
    ]
    assert told(facts)[-1].details == ("attempt 2",)


def test_an_owner_that_is_gone_at_once() -> None:
    """A saga whose first action has a later attempt was taken over before it did anything."""
    facts = Facts([saga(timeline=[action(20, "take_payment", attempt=2)])])
    assert of(facts, "confirm_booking taken over")


def test_an_owner_after_a_rest() -> None:
    """After an action that came to nothing another owner is told of at the next action."""
    timeline = [
        action(2.1, "take_payment", "UNKNOWN", detail="DEADLINE_EXCEEDED"),
        action(20, "take_payment", "PENDING", attempt=2),
        action(21, "take_payment", attempt=2),
    ]
    entries = of(Facts([saga(timeline=timeline)]), "take_payment")
    assert [one.details for one in entries] == [
        ("attempt 1", "DEADLINE_EXCEEDED"),
        ("taken over, attempt 1 → 2",),
        ("attempt 2",),
    ]
    assert not of(Facts([saga(timeline=timeline)]), "confirm_booking taken over")


def test_what_an_operator_did() -> None:
    """A retry and a resolve are told with who did them, take no time, and are no new owner."""
    timeline = [
        action(12, "give_back_payment", "REFUSED"),
        action(60, "give_back_payment", "RETRIED", took_s=0, attempt=2, detail="by olga"),
        action(61, "give_back_payment", "REFUSED", attempt=2),
        action(90, "give_back_payment", "RESOLVED", took_s=0, attempt=3, detail="by olga: cash"),
    ]
    entries = of(Facts([saga("cancel_booking", timeline=timeline)]), "give_back_payment")
    assert [(one.outcome, one.took_s, one.details) for one in entries[1:]] == [
        ("RETRIED", None, ("attempt 2", "by olga")),
        ("REFUSED", 0.05, ("attempt 2",)),
        ("RESOLVED", None, ("attempt 3", "by olga: cash")),
    ]


def test_a_cancellation_in_the_middle() -> None:
    """A saga whose place another took is told as SUPERSEDED when that began."""
    first = saga(state="SUPERSEDED", timeline=[action(2.1, "take_payment", "PENDING")])
    second = saga("cancel_booking", "RUNNING", began_s=5)
    facts = Facts([first, second])
    assert [what for _, what in brief(facts)][-2:] == [
        "CancelBooking",
        "confirm_booking SUPERSEDED",
    ]
    assert story.open_saga(facts) is second


def test_a_parked_saga() -> None:
    """A saga that waits for a person does so from the end of its last action on."""
    parked = saga(
        state="NEEDS_ATTENTION", step="refund", timeline=[action(3, "give_back_payment", "REFUSED")]
    )
    last = told(Facts([parked]))[-1]
    assert (last.what, last.outcome) == ("confirm_booking", "NEEDS_ATTENTION")
    assert (last.at - told(Facts([parked]))[0].at).total_seconds() == pytest.approx(1.05)
    assert story.open_saga(Facts([parked])) is parked


def test_a_booking_that_failed() -> None:
    """A booking has FAILED when the last undo is done, and says why."""
    failed = booking("FAILED", failure_reason="PAYMENT_FAILED", failure_message="declined")
    timeline = [action(2.1, "take_payment", "REFUSED"), action(2.2, "release_seats")]
    facts = Facts([saga(state="UNDONE", booking=failed, timeline=timeline)])
    last = told(facts)[-1]
    assert (last.what, last.outcome) == ("booking", "FAILED")
    assert last.details == ("PAYMENT_FAILED: declined",)
    assert story.settled_s(facts) == ("ConfirmBooking", pytest.approx(0.25))


def test_how_long_it_took() -> None:
    """A settled booking took from the call that settled it; one that is not has taken nothing."""
    assert story.settled_s(cancelled()) == ("CancelBooking", pytest.approx(0.2))
    confirmed = saga(booking=booking(confirmed_at=at(2.3)))
    assert story.settled_s(Facts([confirmed])) == ("ConfirmBooking", pytest.approx(0.3))
    going_on = saga(state="RUNNING", booking=booking("PENDING"))
    assert story.settled_s(Facts([going_on])) is None


def test_a_service_that_is_not_heard() -> None:
    """Without a service its part is left out, and the rest stays in order."""
    facts = cancelled()
    for name, service in (
        ("sagas", "booking"),
        ("payments", "payment"),
        ("reservations", "inventory"),
    ):
        rest = [one for one in brief(facts) if one[0] != service]
        assert brief(replace(facts, **{name: None})) == rest
    assert brief(Facts()) == []
    without = replace(facts, sagas=None)
    assert (without.booking, without.reference) == (None, facts.reference)


def test_rows_of_before_the_times() -> None:
    """Seats that an older version confirmed or freed have no entry for that, and it is said."""
    facts = Facts([saga()], [], reservations("CANCELLED", ended_at=3))
    assert ("inventory", "seats A1, A2 CONFIRMED") not in brief(facts)
    assert list(story.gaps(facts)) == [
        "When seats A1, A2 became CONFIRMED was not kept: an older version did it."
    ]
    older = replace(facts, reservations=reservations("CANCELLED", confirmed_at=2.5)[:1])
    assert list(story.gaps(older)) == [
        "When seat A1 became CANCELLED was not kept: an older version did it."
    ]
    for complete in (cancelled(), replace(facts, reservations=reservations("ACTIVE"))):
        assert list(story.gaps(complete)) == []


def test_a_saga_of_before_its_beginning_was_kept() -> None:
    """A saga that says that it began before its booking began with it."""
    facts = Facts([saga(began_s=-1e6, booking=booking(created_at=at(2)))])
    assert told(facts)[0].at == at(2).ToDatetime(told(facts)[0].at.tzinfo)


def test_seats_of_two_moments() -> None:
    """Seats that were reserved or ended at different times are told apart."""
    first, second = reservations("EXPIRED", ended_at=700)
    second.created_at.CopyFrom(at(1))
    second.booking_reference = first.booking_reference = ""
    second.ClearField("ended_at")
    assert [what for _, what in brief(Facts(reservations=[first, second]))] == [
        "seat A1 RESERVED",
        "seat A2 RESERVED",
        "seat A1 EXPIRED",
    ]
    active = reservations("ACTIVE")
    (held,) = told(Facts(reservations=active))
    assert held.details == ("held until 2026-11-16 10:40:00 UTC",)


def test_what_is_too_long() -> None:
    """Where the contract cuts a list off that is said, and its first attempt is no new owner."""
    timeline = [action(3, "take_payment", attempt=7)] * story.TIMELINE_MAX
    log = [said(3, "LOOKUP", "PENDING", "PENDING")] * story.LOG_MAX
    facts = Facts([saga(timeline=timeline)], [payment(log=log, refunds=[refund()])])
    assert list(story.gaps(facts)) == [
        "Of confirm_booking these are the last 500 actions.",
        f"Of {PAYMENT_ID} these are the last 1,000 entries.",
    ]
    assert not of(facts, "confirm_booking taken over")
    assert not of(facts, "REFUND")
