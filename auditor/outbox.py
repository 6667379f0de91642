"""Events: what became of a booking is told once, in an order that can be, without a gap.

An event has no number until one is given to it, in the order in which events were stored.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from auditor.evidence import Evidence
from auditor.findings import Code, Finding
from auditor.tables import Row, Tables

# The first few are enough to begin with.
NAMED_MAX = 5


def events_told(evidence: Evidence) -> Iterator[Finding]:
    """A booking has an event for each end that it came to, once, and no other.

    Bookings from before timelines were kept have no events either. The first events may have been
    deleted: so many may be missing, of bookings that are older than those that are left.
    """
    events = evidence.events_of
    timelines = {one["booking_id"] for one in evidence.saga_steps}
    deleted, oldest = _deleted(evidence.booking)
    excused = 0
    for booking in evidence.bookings:
        reference = booking["booking_reference"]
        if booking["booking_id"] not in timelines and reference not in events:
            continue
        wanted = Counter(_wanted(booking))
        found = Counter(one["kind"] for one in events.get(reference, ()))
        is_old = bool(deleted) and (oldest is None or booking["created_at"] <= oldest)
        for kind in sorted((wanted - found).elements()):
            if is_old:
                excused += 1
                continue
            text = f"is {booking['status']}, and nobody is told that it is {kind}"
            yield Finding(Code.EVENT_MISSING, reference, text)
        for kind in sorted((found - wanted).elements()):
            text = f"is {booking['status']}, and there is one event {kind} too many"
            yield Finding(Code.EVENT_UNEXPECTED, reference, text)
    if excused > deleted:
        text = f"{excused} events of old bookings are missing, and {deleted} were deleted"
        yield Finding(Code.EVENT_MISSING, "booking outbox", text)


def events_of_bookings(evidence: Evidence) -> Iterator[Finding]:
    """An event is about a booking that exists."""
    for reference in evidence.events_of.keys() - evidence.booking_by_reference.keys():
        text = "is told of, and is no booking"
        yield Finding(Code.EVENT_WITHOUT_SUBJECT, reference, text)


def events_in_order(evidence: Evidence) -> Iterator[Finding]:
    """That a booking is cancelled is told after that it was confirmed."""
    for reference, events in evidence.events_of.items():
        numbers = {one["kind"]: one["sequence"] for one in events}
        confirmed, cancelled = numbers.get("CONFIRMED"), numbers.get("CANCELLED")
        if cancelled is not None and "CONFIRMED" in numbers and not _before(confirmed, cancelled):
            text = f"is told CANCELLED as number {cancelled}, CONFIRMED as {confirmed}"
            yield Finding(Code.EVENTS_OUT_OF_ORDER, reference, text)


def numbers_without_gap(evidence: Evidence) -> Iterator[Finding]:
    """The events that have numbers have all of them up to the last one given, each once.

    The oldest may have been deleted.
    """
    for name, tables in (("booking", evidence.booking), ("payment", evidence.payment)):
        numbers = sorted(_numbers(tables))
        last = max((one["last_sequence"] for one in tables["outbox_counter"]), default=0)
        first = numbers[0] if numbers else last + 1
        if numbers != list(range(first, last + 1)):
            wanted, found = Counter(range(first, last + 1)), Counter(numbers)
            wrong = sorted((wanted - found) + (found - wanted))
            text = f"the last number is {last}; missing or too many: {wrong[:NAMED_MAX]}"
            yield Finding(Code.EVENT_NUMBERS_DIFFER, f"{name} outbox", text)


def _deleted(tables: Tables) -> tuple[int, datetime | None]:
    """How many of the first events are gone, and of when the first is that is left."""
    left = [one for one in tables["outbox"] if one["sequence"] is not None]
    last = max((one["last_sequence"] for one in tables["outbox_counter"]), default=0)
    first = min(left, key=lambda one: one["sequence"], default=None)
    # Numbers that were never given are another finding.
    if first is None:
        return max(0, last), None
    return max(0, first["sequence"] - 1), first["occurred_at"]


def _wanted(booking: Row) -> list[str]:
    confirmed = ["CONFIRMED"] if booking["confirmed_at"] is not None else []
    ended = [booking["status"]] if booking["status"] in ("FAILED", "CANCELLED") else []
    return confirmed + ended


def _numbers(tables: Tables) -> list[int]:
    return [one["sequence"] for one in tables["outbox"] if one["sequence"] is not None]


def _before(first: int | None, second: int) -> bool:
    return first is not None and first < second


CHECKS = (events_told, events_of_bookings, events_in_order, numbers_without_gap)
