"""Sagas: every unfinished booking has one that goes on, each has one writer, and all end."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from auditor.evidence import OPEN_SAGA, Evidence
from auditor.findings import Code, Finding
from auditor.money import is_open

UNFINISHED = ("PENDING", "CANCELLING")
# What the other service said to an action. The rest of a timeline is by operators.
ACTED = ("DONE", "REFUSED", "UNKNOWN", "PENDING", "GIVEN_UP")
# The length of an action is stored in whole milliseconds.
ROUNDING = timedelta(milliseconds=2)


def one_open_saga(evidence: Evidence) -> Iterator[Finding]:
    """A booking has sagas; one of them is open while it is unfinished, and none afterwards."""
    for booking in evidence.bookings:
        reference, status = booking["booking_reference"], booking["status"]
        sagas = evidence.sagas_of.get(booking["booking_id"], ())
        still_open = [one for one in sagas if one["state"] in OPEN_SAGA]
        if not sagas:
            yield Finding(Code.NO_SAGA, reference, f"is {status} and never had a saga")
        elif status in UNFINISHED and len(still_open) != 1:
            text = f"is {status} and {len(still_open)} sagas are to go on, not one"
            yield Finding(Code.NO_OPEN_SAGA, reference, text)
        elif status not in UNFINISHED and still_open:
            text = f"is {status} and a saga is {still_open[0]['state']}"
            yield Finding(Code.SAGA_STILL_OPEN, reference, text)


def saga_of_booking(evidence: Evidence) -> Iterator[Finding]:
    """A saga, and each step in a timeline, is of a booking and a saga that exist."""
    sagas = {(one["booking_id"], one["definition"]) for one in evidence.booking["sagas"]}
    for booking_id, definition in sagas:
        if booking_id not in evidence.booking_by_id:
            about = f"booking {booking_id} {definition}"
            yield Finding(Code.SAGA_WITHOUT_BOOKING, about, "the saga has no booking")
    for booking_id, definition in evidence.timelines.keys() - sagas:
        about = f"booking {booking_id} {definition}"
        yield Finding(Code.SAGA_WITHOUT_BOOKING, about, "the timeline has no saga")


def attempts_known(evidence: Evidence) -> Iterator[Finding]:
    """No step was taken under an attempt that the saga has not reached."""
    reached = {
        (one["booking_id"], one["definition"]): one["attempt"] for one in evidence.booking["sagas"]
    }
    for name, steps in evidence.timelines.items():
        last = max(one["attempt"] for one in steps)
        if name in reached and last > reached[name]:
            text = f"a step was taken under attempt {last}, and the saga is at {reached[name]}"
            yield Finding(Code.STEP_OF_NO_ATTEMPT, _about(name), text)


def attempts_grow(evidence: Evidence) -> Iterator[Finding]:
    """Once a step was taken under an attempt, none begins under an earlier one."""
    for name, steps in evidence.timelines.items():
        for before, after in pairwise(steps):
            if after["attempt"] < before["attempt"]:
                text = f"attempt {after['attempt']} took a step after {before['attempt']} had begun"
                yield Finding(Code.ATTEMPTS_GO_BACK, _about(name), text)


def one_writer(evidence: Evidence) -> Iterator[Finding]:
    """Under one attempt, a step begins after the one before it has ended."""
    for name, steps in evidence.timelines.items():
        acted = [one for one in steps if one["outcome"] in ACTED]
        for before, after in pairwise(acted):
            ended_at = before["began_at"] + timedelta(milliseconds=before["took_ms"]) - ROUNDING
            if before["attempt"] == after["attempt"] and after["began_at"] < ended_at:
                text = f"{after['action']} began under attempt {after['attempt']} during another"
                yield Finding(Code.TWO_WRITERS, _about(name), text)


def done_once(evidence: Evidence) -> Iterator[Finding]:
    """What a step of a saga did is not done again, nor undone twice."""
    for name, steps in evidence.timelines.items():
        done = [one for one in steps if one["outcome"] in ("DONE", "RESOLVED")]
        times = Counter((one["step"], one["action"]) for one in done)
        for (_, action), number in times.items():
            if number > 1:
                yield Finding(
                    Code.STEP_DONE_TWICE, _about(name), f"{action} was done {number} times"
                )


def bookings_settled(evidence: Evidence) -> Iterator[Finding]:
    """Settled: no booking is unfinished, but those that wait for an operator."""
    for booking in evidence.bookings if evidence.settled else ():
        if booking["status"] in UNFINISHED and booking["booking_id"] not in evidence.parked:
            text = f"is still {booking['status']}"
            yield Finding(Code.BOOKING_NOT_SETTLED, booking["booking_reference"], text)


def sagas_settled(evidence: Evidence) -> Iterator[Finding]:
    """Settled: no saga is running."""
    for saga in evidence.booking["sagas"] if evidence.settled else ():
        if saga["state"] == "RUNNING":
            about = _about((saga["booking_id"], saga["definition"]))
            text = f"is still at {saga['step']}: {saga['last_error'] or 'no error'}"
            yield Finding(Code.SAGA_NOT_SETTLED, about, text)


def payments_settled(evidence: Evidence) -> Iterator[Finding]:
    """Settled: what became of each payment is known, but for bookings that are parked."""
    for payment in evidence.payments if evidence.settled else ():
        if is_open(payment) and not evidence.is_parked(payment["booking_reference"]):
            text = f"is {payment['status']}, and its provider has not said what became of it"
            about = f"{payment['payment_id']} {payment['booking_reference']}"
            yield Finding(Code.PAYMENT_NOT_SETTLED, about, text)


def refunds_settled(evidence: Evidence) -> Iterator[Finding]:
    """Settled: what became of each refund is known, but for bookings that are parked."""
    for refund in evidence.refunds if evidence.settled else ():
        payment = evidence.payment_by_id.get(refund["payment_id"], {})
        parked = evidence.is_parked(payment.get("booking_reference", ""))
        if refund["status"] == "PENDING" and not parked:
            about = f"{refund['refund_id']} {refund['payment_id']}"
            yield Finding(Code.REFUND_NOT_SETTLED, about, "is still PENDING")


def _about(name: tuple[int, str]) -> str:
    return f"booking {name[0]} {name[1]}"


CHECKS = (
    one_open_saga,
    saga_of_booking,
    attempts_known,
    attempts_grow,
    one_writer,
    done_once,
    bookings_settled,
    sagas_settled,
    payments_settled,
    refunds_settled,
)
