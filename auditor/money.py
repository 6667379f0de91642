"""Money, by our own ledger: what was taken and not given back is what is due, and adds up."""

import re
from collections.abc import Iterator

from auditor.evidence import Evidence
from auditor.findings import Code, Finding
from auditor.tables import Row

TAKEN = ("SUCCESS", "PARTIALLY_REFUNDED", "REFUNDED")
# As booking references are made. Clients that only pay may use any other.
OURS = re.compile(r"BK-\d{4}-[2-9A-Z]{10}")


def is_taken(payment: Row) -> bool:
    """Whether money was taken, given back since or not; a cancelled payment may come too late."""
    too_late = payment["status"] == "CANCELLED" and bool(payment["transaction_id"])
    return payment["status"] in TAKEN or too_late


def is_open(payment: Row) -> bool:
    """Whether its provider is still to be asked about it."""
    return payment["status"] == "PENDING" or payment["next_ask_at"] is not None


def kept_minor(payment: Row) -> int:
    """What of a payment was taken and is not given back, nor on its way back."""
    taken = payment["amount_minor"] if is_taken(payment) else 0
    return int(taken - payment["refunded_minor"])


def money_due(evidence: Evidence) -> Iterator[Finding]:
    """Of a confirmed booking its total is kept; of one that is over, nothing.

    A payment that came too late is given back after its booking is over: until its provider has
    done that, it is open, and not counted.
    """
    for booking in evidence.bookings:
        reference = booking["booking_reference"]
        due = evidence.due_minor(booking)
        payments = evidence.payments_of.get(reference, ())
        kept = sum(kept_minor(one) for one in payments if due or not is_open(one))
        if due is not None and kept != due:
            text = f"is {booking['status']}, keeps {kept} and is due {due}"
            yield Finding(Code.MONEY_NOT_DUE, reference, text)


def one_charge(evidence: Evidence) -> Iterator[Finding]:
    """For a booking money is taken once at most, even if it is given back."""
    for reference in evidence.booking_by_reference:
        payments = evidence.payments_of.get(reference, ())
        captured = sorted(one["payment_id"] for one in payments if is_taken(one))
        if len(captured) > 1:
            text = f"money was taken several times: {', '.join(captured)}"
            yield Finding(Code.CHARGED_TWICE, reference, text)


def payment_of_booking(evidence: Evidence) -> Iterator[Finding]:
    """A booking's payment is of its total, in its currency, by its user."""
    for payment in evidence.payments:
        booking = evidence.booking_by_reference.get(payment["booking_reference"])
        if booking is None:
            continue
        wanted = (evidence.total_minor(booking), booking["currency"], booking["user_id"])
        found = (payment["amount_minor"], payment["currency"], payment["user_id"])
        if found != wanted:
            about = f"{payment['payment_id']} {payment['booking_reference']}"
            yield Finding(Code.PAYMENT_DIFFERS, about, f"is {found}, its booking {wanted}")


def booking_of_payment(evidence: Evidence) -> Iterator[Finding]:
    """A payment with a reference of ours has its booking. Other clients have their own."""
    for payment in evidence.payments:
        reference = payment["booking_reference"]
        if OURS.fullmatch(reference) and reference not in evidence.booking_by_reference:
            about = f"{payment['payment_id']} {reference}"
            yield Finding(Code.PAYMENT_WITHOUT_BOOKING, about, "there is no such booking")


def named_payment(evidence: Evidence) -> Iterator[Finding]:
    """A confirmed booking names a payment, and it is one of its own."""
    for booking in evidence.bookings:
        reference = booking["booking_reference"]
        own = {one["payment_id"] for one in evidence.payments_of.get(reference, ())}
        if booking["status"] == "CONFIRMED" and booking["payment_id"] not in own:
            text = f"names the payment {booking['payment_id']!r}, which is not its own"
            yield Finding(Code.PAYMENT_NOT_NAMED, reference, text)


def refund_sums(evidence: Evidence) -> Iterator[Finding]:
    """A payment's sums are those of its refunds: open and done, and done."""
    for payment in evidence.payments:
        refunds = evidence.refunds_of.get(payment["payment_id"], ())
        done = sum(one["amount_minor"] for one in refunds if one["status"] == "REFUNDED")
        still_open = sum(one["amount_minor"] for one in refunds if one["status"] == "PENDING")
        found = (payment["refunded_minor"], payment["returned_minor"])
        if found != (done + still_open, done):
            text = f"says {found} is given back, its refunds {(done + still_open, done)}"
            yield Finding(Code.REFUND_SUMS_DIFFER, payment["payment_id"], text)


def refund_limit(evidence: Evidence) -> Iterator[Finding]:
    """No more is given back than was taken, and no less than nothing."""
    for payment in evidence.payments:
        set_aside, returned = payment["refunded_minor"], payment["returned_minor"]
        most = payment["amount_minor"] if is_taken(payment) else 0
        if not 0 <= returned <= set_aside <= most:
            text = f"took {most}, gives back {set_aside}, gave back {returned}"
            yield Finding(Code.REFUND_EXCEEDS_PAYMENT, payment["payment_id"], text)


def refund_of_payment(evidence: Evidence) -> Iterator[Finding]:
    """A refund belongs to a payment, in its currency."""
    for refund in evidence.refunds:
        payment = evidence.payment_by_id.get(refund["payment_id"])
        if payment is None or payment["currency"] != refund["currency"]:
            about = f"{refund['refund_id']} {refund['payment_id']}"
            text = "has no payment" if payment is None else "is in another currency"
            yield Finding(Code.REFUND_WITHOUT_PAYMENT, about, text)


def payment_status(evidence: Evidence) -> Iterator[Finding]:
    """REFUNDED is all given back, PARTIALLY_REFUNDED some, any other none."""
    for payment in evidence.payments:
        returned, amount = payment["returned_minor"], payment["amount_minor"]
        status = payment["status"]
        none = status if status not in ("REFUNDED", "PARTIALLY_REFUNDED") else "SUCCESS"
        some = "REFUNDED" if returned == amount else "PARTIALLY_REFUNDED"
        if status != (some if returned else none):
            text = f"is {status} with {returned} of {amount} given back"
            yield Finding(Code.PAYMENT_STATUS_DIFFERS, payment["payment_id"], text)


def called_off(evidence: Evidence) -> Iterator[Finding]:
    """A booking whose payment was called off is not confirmed."""
    for fence in evidence.payment["booking_fences"]:
        booking = evidence.booking_by_reference.get(fence["booking_reference"])
        if booking is None or fence["called_off_at"] is None:
            continue
        if booking["status"] == "CONFIRMED":
            text = f"is CONFIRMED, and its payment was called off: {fence['reason']}"
            yield Finding(Code.CALLED_OFF_AND_KEPT, fence["booking_reference"], text)


CHECKS = (
    money_due,
    one_charge,
    payment_of_booking,
    booking_of_payment,
    named_payment,
    refund_sums,
    refund_limit,
    refund_of_payment,
    payment_status,
    called_off,
)
