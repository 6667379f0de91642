"""The story of a booking on the screen: what it is, what happened, and how it stands."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from holdfast.errors.v1.reason_pb2 import Reason
from rich.text import Text

from cli import payment_views, story
from cli.saga_views import next_action, next_step
from cli.screen import coloured, instant, name_of, out, say
from cli.story import Booking, Entry, Facts, Line, Payment, Refund, Reservation, Saga
from cli.trace_entries import told

COLUMNS_MIN = 100
GAP = "  "
DOT = " · "
# From when on it is said that nothing happened, and when also the time of day.
IDLE_S, LONG_S = 1.0, 60.0
NAME_COLUMNS = len("payment  ")
HEADS = ("time", "took", "service")


def show(facts: Facts, missing: Sequence[str], now: datetime) -> None:
    """All of it: a header, the timeline, and a footer."""
    booking, width = facts.booking, max(COLUMNS_MIN, out.width)
    title = Text(facts.reference, "bold")
    if booking:
        title = Text.assemble(title, f" (booking {booking.booking_id}): ", _status(booking))
    say(title)
    for name, value in _facts(facts):
        for row in wrapped(Text(f"  {name:<{NAME_COLUMNS}}", "dim"), [value], "", width):
            say(row)
    say()
    for row in timeline(told(facts), width):
        say(row)
    say()
    for line in footer(facts, missing, now):
        for row in wrapped(Text(), [line], "", width):
            say(row)
    say()


def timeline(entries: Sequence[Entry], width: int) -> Iterator[Text]:
    """The rows of the timeline, each at most so wide, unless a single word is wider."""
    lines = list(story.lines(entries))
    cells = [HEADS, *((_since(one.since_s), _took(one.entry), one.entry.service) for one in lines)]
    time, took, service = (max(map(len, column)) for column in zip(*cells, strict=True))

    def left(cells: tuple[str, str, str]) -> str:
        return GAP.join((cells[0].rjust(time), cells[1].rjust(took), cells[2].ljust(service), ""))

    yield Text(f"{left(HEADS)}what", "bold")
    if entries:
        yield Text(f"{_absolute(entries[0].at)}", "dim")
    for line, row in zip(lines, cells[1:], strict=True):
        if line.idle_s >= IDLE_S:
            yield Text(f"{'…'.rjust(time)}{GAP}{_idle(line)}", "dim")
        what, *details = parts(line.entry)
        yield from wrapped(Text(left(row)), [what, *details], DOT, width)


def parts(entry: Entry) -> Iterator[Text]:
    """What it is and what it came to, and then the rest."""
    outcome = (" ", coloured(entry.outcome)) if entry.outcome else ()
    yield Text.assemble(entry.what, *outcome)
    for detail in entry.details:
        yield Text(detail)


def wrapped(first: Text, parts: Sequence[Text], between: str, width: int) -> Iterator[Text]:
    """Lines of these parts after a margin, broken between them, and where one is too long."""
    room, margin = width - first.cell_len, Text(" " * first.cell_len)
    for line in _flow(parts, between, room):
        yield Text.assemble(first, line)
        first = margin


def _flow(parts: Sequence[Text], between: str, room: int) -> list[Text]:
    lines = [Text()]
    for part in parts:
        last = lines[-1]
        if last and last.cell_len + len(between) + part.cell_len <= room:
            last.append(between).append_text(part)
            continue
        # A single word that is too long stays whole: it is to be copied.
        words = list(part.split(" ")) if part.cell_len > room else []
        pieces = _flow(words, " ", room) if len(words) > 1 else [part.copy()]
        lines = [*(lines if last else ()), *pieces]
    return lines


def footer(facts: Facts, missing: Sequence[str], now: datetime) -> Iterator[Text]:
    """How the booking stands and what is next; what the story lacks."""
    yield from _standing(facts, now)
    for sentence in story.still_open(facts):
        yield Text(f"Still open: {sentence}; payment_svc asks the provider by itself.")
    for sentence in story.gaps(facts):
        yield Text(sentence, "dim")
    for name in missing:
        yield Text(f"Missing here: what {name} knows.", "yellow")


def as_json(facts: Facts) -> str:
    """The story as one object."""
    sagas = None if facts.sagas is None else [_alone(saga) for saga in facts.sagas]
    entire = {
        "booking": _message(facts.booking) if facts.booking else None,
        "sagas": _messages(sagas),
        "payments": _messages(facts.payments),
        "reservations": _messages(facts.reservations),
        "timeline": [_entry(one) for one in told(facts)],
    }
    return json.dumps(entire, indent=2, ensure_ascii=False)


def _standing(facts: Facts, now: datetime) -> Iterator[Text]:
    booking, saga, settled = facts.booking, story.open_saga(facts), story.settled_s(facts)
    if saga is not None:
        yield from _parked(saga) if saga.state == Saga.NEEDS_ATTENTION else _going_on(saga, now)
    elif settled is not None and booking is not None:
        call, after_s = settled
        yield Text.assemble("Settled: ", _status(booking), f", {_length(after_s)} after {call}.")
    elif booking is not None:
        yield Text.assemble("It is ", _status(booking), ".")


def _parked(saga: Saga) -> Iterator[Text]:
    where = f" at {next_step(saga)}{next_action(saga)}; a person is needed."
    yield Text.assemble(f"Parked: {saga.name} ", coloured("NEEDS_ATTENTION"), where)
    if saga.last_error:
        yield Text(f"Last error: {saga.last_error}")
    yield Text(f"Try again:     holdfast sagas retry {saga.booking_reference}")
    yield Text(
        f'Done by hand:  holdfast sagas resolve {saga.booking_reference} --note "what you did"'
    )


def _going_on(saga: Saga, now: datetime) -> Iterator[Text]:
    until = saga.leased_until.ToDatetime(UTC)
    left, is_over = _length(abs((until - now).total_seconds())), until <= now
    if saga.owner:
        where = f" in {saga.owner}"
        when = f"; its lease is over since {left}: another process takes it over" if is_over else ""
    else:
        where, when = "", f", due since {left}" if is_over else f" in {left}, at {_absolute(until)}"
    step = f"{next_step(saga)}{next_action(saga)}"
    state = (coloured("RUNNING"), f"{where}; next is {step}{when}.")
    yield Text.assemble(f"Going on: {saga.name} is ", *state)
    if saga.last_error:
        tries = f" (came to nothing {saga.tries} times)" if saga.tries else ""
        yield Text(f"Last answer: {saga.last_error}{tries}")
    yield Text(f"Look again:  holdfast trace {saga.booking_reference}")


def _facts(facts: Facts) -> Iterator[tuple[str, Text]]:
    """Name and value of what is known."""
    booking = facts.booking
    if booking is not None:
        yield "user", Text(booking.user_id)
        yield "seats", _seats(facts, booking)
        yield "price", Text(f"{booking.total_amount.value} {booking.currency}")
    yield from _of_payments(facts)
    if booking is not None:
        if booking.failure_reason:
            reason = name_of(Reason, booking.failure_reason)
            yield "failure", Text(f"{reason}: {booking.failure_message}")
        yield "asked", Text(f"{instant(booking.created_at)} UTC")


def _seats(facts: Facts, booking: Booking) -> Text:
    names = ", ".join(seat.seat_number for seat in booking.seats)
    states = {name_of(Reservation.Status, one.status) for one in facts.reservations or ()}
    told = Text(", ").join(map(coloured, sorted(states)))
    return Text.assemble(names, f" of event {booking.event_id}", ": " if states else "", told)


def _of_payments(facts: Facts) -> Iterator[tuple[str, Text]]:
    booking = facts.booking
    if facts.payments is None and booking is not None and booking.payment_id:
        state = coloured(name_of(Payment.Status, booking.payment_status))
        when = " when the booking last changed"
        yield "payment", Text.assemble(f"{booking.payment_id}: ", state, when)
    for payment in facts.payments or ():
        yield "payment", _of_payment(payment)
        for refund in payment.refunds:
            amount = f"{refund.refunded_amount.value} {refund.currency}"
            state = coloured(name_of(Refund.Status, refund.status))
            more = "".join(f"{DOT}{part}" for part in (amount, refund.reason) if part)
            yield "refund", Text.assemble(f"{refund.refund_id}: ", state, more)


def _of_payment(payment: Payment) -> Text:
    known = (
        f"{payment.amount.value} {payment.currency}",
        payment_views.method(payment.payment_method),
        payment_views.declined(payment),
    )
    more = "".join(f"{DOT}{part}" for part in known if part)
    return Text.assemble(f"{payment.payment_id}: ", payment_views.status(payment), more)


def _status(booking: Booking) -> Text:
    return coloured(name_of(Booking.Status, booking.status))


def _since(seconds: float) -> str:
    return f"+{_length(seconds)}"


def _took(entry: Entry) -> str:
    return "" if entry.took_s is None else _length(entry.took_s)


def _length(seconds: float) -> str:
    """Such as `0.012 s`, `2:03.456`, `1:02:03.456` or `2 d 01:02:03.456`."""
    ms = round(seconds * 1000)
    if ms < LONG_S * 1000:
        return f"{ms / 1000:.3f} s"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    tail = f"{ms / 1000:06.3f}"
    if days:
        return f"{days} d {hours:02}:{minutes:02}:{tail}"
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def _idle(line: Line) -> str:
    """The silence before a line; a long one ends at a time of day."""
    until = f", until {_absolute(line.entry.at)}" if line.idle_s >= LONG_S else ""
    return f"nothing for {_length(line.idle_s)}{until}"


def _absolute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC"


def _entry(entry: Entry) -> dict[str, Any]:
    time, took = Timestamp(), Duration()
    time.FromDatetime(entry.at)
    took.FromTimedelta(timedelta(seconds=entry.took_s or 0.0))
    return {
        "time": time.ToJsonString(),
        "service": entry.service,
        "what": entry.what,
        "outcome": entry.outcome,
        "details": list(entry.details),
        "duration": None if entry.took_s is None else took.ToJsonString(),
    }


def _alone(saga: Saga) -> Saga:
    """A saga without the booking, which stands in the story once."""
    alone = Saga()
    alone.CopyFrom(saga)
    alone.ClearField("booking")
    return alone


def _messages(messages: Sequence[Message] | None) -> list[dict[str, Any]] | None:
    return None if messages is None else [_message(one) for one in messages]


def _message(message: Message) -> dict[str, Any]:
    return MessageToDict(message, always_print_fields_with_no_presence=True)
