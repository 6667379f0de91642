"""What clients were told stays true.

A journal is a file of JSON lines, each written by a client after it was answered:

    {"key": "k-1", "userId": "ann", "bookingId": 5001, "bookingReference": "BK-2026-…",
     "status": "CONFIRMED", "at": "2026-11-16T10:30:00Z"}

`status` is CONFIRMED, FAILED, CANCELLED or PENDING; `bookingId` or `bookingReference` may be
missing. A line with `"cancelled": true` says that the client has asked to cancel the booking, and
is written before it asks; one with the answer to that may follow.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from auditor.evidence import Evidence, several
from auditor.findings import Code, Finding
from auditor.reading import CannotRead
from auditor.tables import Row

FINAL = ("CONFIRMED", "FAILED", "CANCELLED")


def read_journal(path: Path) -> list[Row]:
    """The entries of a journal.

    A last line without an end is left out: its client was killed while it wrote.

    Raises:
        CannotRead: the file is not there, or a line of it is not an entry.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, UnicodeError) as error:
        message = f"cannot read the journal {path}: {error}"
        raise CannotRead(message) from None
    return [_entry(path, number, line) for number, line in enumerate(lines, start=1) if line]


def _entry(path: Path, number: int, line: str) -> Row:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not _names_a_booking(entry):
        message = f"{path}:{number} is not a JSON object that names a booking"
        raise CannotRead(message)
    return entry


def _names_a_booking(entry: Row) -> bool:
    # A JSON number or, as protobuf writes it, a string.
    is_number = str(entry.get("bookingId") or 0).isdigit()
    return is_number and bool(entry.get("bookingId") or entry.get("bookingReference"))


def answers_stay(evidence: Evidence) -> Iterator[Finding]:
    """A booking that a client was told of is there, and is what it was told to be.

    CONFIRMED may turn into CANCELLING or CANCELLED only if a client asked for that.
    """
    asked = {_booking_id(evidence, one) for one in evidence.journal if one.get("cancelled")}
    for entry in evidence.journal:
        booking = evidence.booking_by_id.get(_booking_id(evidence, entry), {})
        about = f"{entry.get('bookingReference') or entry.get('bookingId')}"
        told, status = entry.get("status"), booking.get("status")
        if status is None:
            yield Finding(Code.ANSWER_LOST, about, f"a client was told {told}, and it is gone")
            continue
        may_be = {told}
        if told == "CONFIRMED" and booking["booking_id"] in asked:
            may_be |= {"CANCELLING", "CANCELLED"}
        if told in FINAL and status not in may_be:
            text = f"a client was told {told}, and it is {status}"
            yield Finding(Code.ANSWER_BROKEN, about, text)


def answered_once(evidence: Evidence) -> Iterator[Finding]:
    """A key is answered with one booking, and with one final answer."""
    entries = _with_key(evidence)
    bookings = several((_key(one), str(_booking_id(evidence, one))) for one in entries)
    for key, told in bookings.items():
        text = f"was answered with several bookings: {', '.join(sorted(told))}"
        yield Finding(Code.ANSWERED_TWICE, " ".join(key), text)
    answers = several((_key(one), one["status"]) for one in entries if one["status"] in FINAL)
    for key, told in answers.items():
        text = f"was answered differently: {', '.join(sorted(told))}"
        yield Finding(Code.ANSWERED_TWICE, " ".join(key), text)


def answered_with_its_own(evidence: Evidence) -> Iterator[Finding]:
    """A key is answered with the booking that it was stored for."""
    subjects = {
        (one["owner"], one["idempotency_key"]): one["subject"]
        for one in evidence.booking["idempotency_keys"]
    }
    for entry in _with_key(evidence):
        told, stored = str(_booking_id(evidence, entry)), subjects.get(_key(entry))
        if stored not in (None, told):
            text = f"was answered with booking {told}, and is stored for {stored}"
            yield Finding(Code.ANSWERED_FOR_ANOTHER, " ".join(_key(entry)), text)


def _with_key(evidence: Evidence) -> Sequence[Row]:
    """The answers to ConfirmBooking; those to CancelBooking are to no key."""
    return [one for one in evidence.journal if one.get("key") and not one.get("cancelled")]


def _key(entry: Row) -> tuple[str, str]:
    return entry["userId"], entry["key"]


def _booking_id(evidence: Evidence, entry: Row) -> int:
    """By id, or else by reference; 0 if there is no such booking."""
    booking = evidence.booking_by_reference.get(entry.get("bookingReference", ""), {})
    return int(entry.get("bookingId") or booking.get("booking_id", 0))


CHECKS = (answers_stay, answered_once, answered_with_its_own)
