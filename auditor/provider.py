"""Money, by the provider's books: they and our ledger say the same, charge by charge.

The provider knows a charge by our `payment_id` and a return by our `refund_id`.
"""

from collections.abc import Iterator
from datetime import datetime

from auditor.evidence import Books, Evidence
from auditor.findings import Code, Finding
from auditor.money import is_open, is_taken
from auditor.tables import Row, Tables


def books_of(provider: Tables, now: datetime) -> Books:
    """The books in the database of the mock provider, as they are by now.

    A row there is turned into what it has become only when the provider is asked about it: a
    charge or refund that is PENDING is done once its time has come, unless it has a decline code;
    a refund that is done and has one is done until its time has come.
    """
    charges = [one for one in provider["provider_charges"] if _is_done(one, now)]
    returns = [one for one in provider["provider_refunds"] if _is_done(one, now)]
    return Books(
        taken={one["reference"]: one["amount_minor"] for one in charges},
        returned={one["reference"]: one["amount_minor"] for one in returns},
        currencies={one["reference"]: one["currency"] for one in [*charges, *returns]},
    )


def provider_due(evidence: Evidence, books: Books) -> Iterator[Finding]:
    """The provider, too, keeps the total of a confirmed booking, and nothing of one that is over.

    What became of a booking that is over cannot be told while a payment or a refund is open.
    """
    for booking in evidence.bookings:
        reference = booking["booking_reference"]
        payments = evidence.payments_of.get(reference, ())
        refunds = [
            refund
            for payment in payments
            for refund in evidence.refunds_of.get(payment["payment_id"], ())
        ]
        due = evidence.due_minor(booking)
        if due == 0 and (any(map(is_open, payments)) or any(map(_is_pending, refunds))):
            continue
        kept = sum(books.taken.get(one["payment_id"], 0) for one in payments)
        kept -= sum(books.returned.get(one["refund_id"], 0) for one in refunds)
        if due is not None and kept != due:
            text = f"is {booking['status']}, the provider keeps {kept} and is due {due}"
            yield Finding(Code.PROVIDER_NOT_DUE, reference, text)


def charges_recorded(evidence: Evidence, books: Books) -> Iterator[Finding]:
    """A charge that the provider made is a payment of ours, taken, of that amount."""
    for reference, amount_minor in books.taken.items():
        payment = evidence.payment_by_id.get(reference)
        if payment is None:
            yield Finding(Code.CHARGE_UNKNOWN, reference, f"took {amount_minor}, without a payment")
        elif not is_taken(payment):
            if not is_open(payment):
                text = f"is {payment['status']}, and the provider took {amount_minor}"
                yield Finding(Code.CHARGE_NOT_RECORDED, reference, text)
        elif not _same(payment, reference, amount_minor, books):
            text = f"is {payment['amount_minor']}, the provider took {amount_minor}, or in another"
            yield Finding(Code.CHARGE_DIFFERS, reference, f"{text} currency")


def charges_made(evidence: Evidence, books: Books) -> Iterator[Finding]:
    """A payment that was taken is a charge of the provider."""
    for payment in evidence.payments:
        if is_taken(payment) and payment["payment_id"] not in books.taken:
            text = f"is {payment['status']}, and the provider took nothing"
            yield Finding(Code.CHARGE_NOT_AT_PROVIDER, payment["payment_id"], text)


def returns_recorded(evidence: Evidence, books: Books) -> Iterator[Finding]:
    """What the provider gave back is a refund of ours, done or still open, of that amount."""
    for reference, amount_minor in books.returned.items():
        refund = evidence.refund_by_id.get(reference)
        if refund is None:
            text = f"gave back {amount_minor}, without a refund"
            yield Finding(Code.RETURN_UNKNOWN, reference, text)
        elif refund["status"] == "FAILED":
            text = f"is FAILED, and the provider gave back {amount_minor}"
            yield Finding(Code.RETURN_NOT_RECORDED, reference, text)
        elif not _same(refund, reference, amount_minor, books):
            text = f"is {refund['amount_minor']}, the provider gave back {amount_minor}, or in"
            yield Finding(Code.RETURN_DIFFERS, reference, f"{text} another currency")


def returns_made(evidence: Evidence, books: Books) -> Iterator[Finding]:
    """A refund that is done is a return of the provider."""
    for refund in evidence.refunds:
        if refund["status"] == "REFUNDED" and refund["refund_id"] not in books.returned:
            text = "is REFUNDED, and the provider gave nothing back"
            yield Finding(Code.RETURN_NOT_AT_PROVIDER, refund["refund_id"], text)


def return_limit(evidence: Evidence, books: Books) -> Iterator[Finding]:
    """The provider gives back no more of a charge than it took."""
    for payment in evidence.payments:
        payment_id = payment["payment_id"]
        refunds = evidence.refunds_of.get(payment_id, ())
        returned = sum(books.returned.get(one["refund_id"], 0) for one in refunds)
        if returned > books.taken.get(payment_id, 0):
            text = f"the provider gave back {returned} of {books.taken.get(payment_id, 0)}"
            yield Finding(Code.RETURN_EXCEEDS_CHARGE, payment_id, text)


def _is_done(row: Row, now: datetime) -> bool:
    is_over = row["settles_at"] is not None and row["settles_at"] <= now
    if row["state"] == "PENDING":
        return is_over and row["decline_code"] is None
    return row["state"] == "SUCCEEDED" and not (is_over and row["decline_code"] is not None)


def _is_pending(refund: Row) -> bool:
    return bool(refund["status"] == "PENDING")


def _same(row: Row, reference: str, amount_minor: int, books: Books) -> bool:
    currency = books.currencies.get(reference, row["currency"])
    return (row["amount_minor"], row["currency"]) == (amount_minor, currency)


CHECKS = (
    provider_due,
    charges_recorded,
    charges_made,
    returns_recorded,
    returns_made,
    return_limit,
)
