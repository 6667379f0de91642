"""Payments on the screen: a list, one with its refunds and its log, and an event in a line."""

from collections.abc import Iterator, Sequence

from google.type.decimal_pb2 import Decimal
from holdfast.payment.v1 import payment_pb2 as pb
from rich.text import Text

from cli.screen import coloured, instant, moment, name_of, say, show_table, table

# More than this the contract does not give.
LOG_LENGTH_MAX = 1000
LOG_COLUMNS = ("when (UTC)", "who", "what", "came to", "payment", "detail")
STATUS_COLUMNS = len("PARTIALLY_REFUNDED  ")


def show_list(payments: Sequence[pb.Payment]) -> None:
    """One line a payment."""
    rows = [
        (
            payment.payment_id,
            payment.booking_reference,
            status(payment),
            _money(payment.amount, payment.currency),
            _given_back(payment),
            moment(payment.created_at),
            payment.user_id,
            method(payment.payment_method),
            declined(payment),
        )
        for payment in payments
    ]
    columns = (
        "payment", "booking", "status", "amount", "refunded", "asked (UTC)", "user", "method",
        "declined",
    )  # fmt: skip
    show_table(columns, rows)


def show_one(payment: pb.Payment) -> None:
    """A payment with all that is known of it."""
    title = Text(f"{payment.payment_id} of {payment.booking_reference}", "bold")
    say(title, ": ", status(payment))
    for name, value in _facts(payment):
        say(Text(f"  {name:<12}", "dim"), value)
    say()
    if payment.refunds:
        _show_refunds(payment.refunds)
        say()
    for line in log(payment.log):
        say(line)
    if len(payment.log) >= LOG_LENGTH_MAX:
        say(f"These are the last {LOG_LENGTH_MAX:,} entries.")
    say()


def log(entries: Sequence[pb.PaymentLogEntry]) -> Iterator[Text]:
    """The lines of a log: when, who, what, what came of it, and where the payment stood then."""
    rows = [
        (
            instant(entry.happened_at),
            entry.actor,
            name_of(pb.PaymentLogEntry.Action, entry.action),
            coloured(name_of(pb.PaymentLogEntry.Outcome, entry.outcome)),
            coloured(name_of(pb.Payment.Status, entry.status)),
            " · ".join(filter(None, (entry.detail, entry.refund_id))),
        )
        for entry in entries
    ]
    return table(LOG_COLUMNS, rows)


def show_event(event: pb.PaymentEvent) -> None:
    """An event in one line."""
    say(*event_line(event))


def event_line(event: pb.PaymentEvent) -> Iterator[str | Text]:
    """When it was, where the payment stood then, which it is, and what was taken and returned."""
    payment = event.payment
    word = status(payment)
    word.pad_right(STATUS_COLUMNS - word.cell_len)
    yield f"{instant(event.occurred_at)}  "
    yield word
    facts = [
        payment.payment_id,
        payment.booking_reference,
        _money(payment.amount, payment.currency),
        f"refunded {_given_back(payment)}",
        declined(payment),
    ]
    yield " · ".join(filter(None, facts))


def status(payment: pb.Payment) -> Text:
    """Where a payment stands, in its colour."""
    return coloured(name_of(pb.Payment.Status, payment.status))


def method(kept: pb.PaymentMethodSummary) -> str:
    """Such as `visa 4242`, or `token`."""
    return f"{kept.brand} {kept.last_four}" if kept.last_four else "token"


def declined(payment: pb.Payment) -> str:
    """Why it was declined; empty if it was not."""
    if not payment.error_code:
        return ""
    code = name_of(pb.Payment.DeclineCode, payment.error_code)
    return ": ".join(filter(None, (code, payment.error_message)))


def _facts(payment: pb.Payment) -> list[tuple[str, str]]:
    """Name and value of what is not empty."""
    answered = moment(payment.processed_at)
    facts = [
        ("amount", _money(payment.amount, payment.currency)),
        ("refunded", _given_back(payment)),
        ("declined", declined(payment)),
        ("user", payment.user_id),
        ("method", method(payment.payment_method)),
        ("transaction", payment.transaction_id),
        ("asked", f"{moment(payment.created_at)} UTC"),
        ("answered", f"{answered} UTC" if answered else "not yet"),
    ]
    return [(name, value) for name, value in facts if value]


def _show_refunds(refunds: Sequence[pb.Refund]) -> None:
    rows = [
        (
            refund.refund_id,
            coloured(name_of(pb.Refund.Status, refund.status)),
            _money(refund.refunded_amount, refund.currency),
            moment(refund.created_at),
            refund.reason,
        )
        for refund in refunds
    ]
    show_table(("refund", "status", "amount", "asked (UTC)", "reason"), rows)


def _money(amount: Decimal, currency: str) -> str:
    return f"{amount.value} {currency}"


def _given_back(payment: pb.Payment) -> str:
    return payment.refunded_amount.value or "0"
