"""Keys and answers: one key, one booking, one answer.

Keys may be purged when their time is over: a booking without a key is as it should be.
"""

from collections.abc import Iterator

from auditor.evidence import Evidence, several
from auditor.findings import Code, Finding


def key_has_subject(evidence: Evidence) -> Iterator[Finding]:
    """What a key named when it was used is there: a booking, a payment or refund, reservations."""
    known = {
        "booking": {str(one) for one in evidence.booking_by_id},
        "payment": {*evidence.payment_by_id, *evidence.refund_by_id},
        "inventory": {
            *(str(one) for one in evidence.reservations),
            *(str(one["event_id"]) for one in evidence.inventory["events"]),
        },
    }
    keys = [
        (name, key)
        for name in known
        for key in getattr(evidence, name)["idempotency_keys"]
        if not set(key["subject"].split(",")) <= known[name]
    ]
    for name, key in keys:
        about = f"{key['owner']} {key['idempotency_key']}"
        text = f"a key of the {name} database names {key['subject']}, which does not exist"
        yield Finding(Code.KEY_WITHOUT_SUBJECT, about, text)


def key_alone(evidence: Evidence) -> Iterator[Finding]:
    """A booking was made with one key."""
    pairs = (
        (one["subject"], f"{one['owner']} {one['idempotency_key']}")
        for one in evidence.booking["idempotency_keys"]
    )
    for subject, keys in several(pairs).items():
        text = f"was made with several keys: {', '.join(sorted(keys))}"
        yield Finding(Code.KEYS_SHARE_BOOKING, f"booking {subject}", text)


def key_of_user(evidence: Evidence) -> Iterator[Finding]:
    """A key and its booking are of one user."""
    users = {str(one["booking_id"]): one["user_id"] for one in evidence.bookings}
    for key in evidence.booking["idempotency_keys"]:
        owner, user = key["owner"], users.get(key["subject"])
        if user is not None and user != owner:
            text = f"was made by {user} with a key of {owner}"
            yield Finding(Code.KEY_OF_ANOTHER, f"booking {key['subject']}", text)


def answer_kept(evidence: Evidence) -> Iterator[Finding]:
    """A booking that is or was confirmed, or is cancelled, keeps what it was answered."""
    for booking in evidence.bookings:
        status, was_confirmed = booking["status"], booking["confirmed_at"] is not None
        is_for_ever = status in ("CONFIRMED", "CANCELLED") or was_confirmed
        if is_for_ever and not booking["answer"]:
            text = f"is {status} and has no answer"
            yield Finding(Code.ANSWER_MISSING, booking["booking_reference"], text)
        if not is_for_ever and booking["answer"]:
            text = f"is {status} and has an answer already"
            yield Finding(Code.ANSWER_TOO_EARLY, booking["booking_reference"], text)


def complete(evidence: Evidence) -> Iterator[Finding]:
    """A booking has the facts of its state, and none of a state that it never had."""
    facts = {"CONFIRMED": "confirmed_at", "FAILED": "failure_reason", "CANCELLED": "cancelled_at"}
    for booking in evidence.bookings:
        status = booking["status"]
        missing = status in facts and not booking[facts[status]]
        too_many = status in ("PENDING", "FAILED") and booking["confirmed_at"] is not None
        if missing or too_many:
            text = f"is {status} and its facts are those of another state"
            yield Finding(Code.BOOKING_INCOMPLETE, booking["booking_reference"], text)


CHECKS = (key_has_subject, key_alone, key_of_user, answer_kept, complete)
