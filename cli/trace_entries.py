"""Each thing that happened to a booking as an entry of its story, in the order of time. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from cli.programs import BOOKING, INVENTORY, PAYMENT
from cli.screen import moment, name_of
from cli.story import (
    BY_HAND,
    CALLS,
    LOG_MAX,
    TIMELINE_MAX,
    Entry,
    Facts,
    Payment,
    Record,
    Refund,
    Reservation,
    Saga,
    Said,
    began_at,
    end_of,
    ends,
    moment_of,
    seats,
    seconds,
)


def told(facts: Facts) -> list[Entry]:
    """All that happened, in the order of time; what is of one moment, cause before effect."""
    entries = [
        *_reserved(facts),
        *_from_sagas(facts),
        *_from_payments(facts.payments or ()),
        *_confirmed_and_freed(facts),
        *ends(facts),
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _reserved(facts: Facts) -> Iterator[Entry]:
    for at, held in _at_once(facts.reservations or (), "created_at"):
        active = [one for one in held if one.status == Reservation.ACTIVE]
        details = tuple(f"held until {moment(one.expires_at)} UTC" for one in active[:1])
        yield Entry(at, INVENTORY.name, seats(held), "RESERVED", details)


def _confirmed_and_freed(facts: Facts) -> Iterator[Entry]:
    held = facts.reservations or ()
    for at, some in _at_once(held, "confirmed_at"):
        yield Entry(at, INVENTORY.name, seats(some), "CONFIRMED")
    for status in (Reservation.CANCELLED, Reservation.EXPIRED):
        ended = [one for one in held if one.status == status]
        for at, some in _at_once(ended, "ended_at"):
            word = name_of(Reservation.Status, status)
            yield Entry(at, INVENTORY.name, seats(some), word, ("free for others",))


def _from_sagas(facts: Facts) -> Iterator[Entry]:
    booking, sagas = facts.booking, facts.sagas or ()
    for saga in sagas:
        began = began_at(saga, booking)
        facts_of_call = (
            f"by {booking.user_id}" if booking else "",
            f"begins {saga.name}",
            f"request {saga.request_id}" if saga.request_id else "",
            f"trace {saga.trace_id}" if saga.trace_id else "",
        )
        call = CALLS.get(saga.name, saga.name)
        yield Entry(began, BOOKING.name, call, details=tuple(filter(None, facts_of_call)))
        for before in sagas:
            if before.state == Saga.SUPERSEDED and before is not saga:
                yield Entry(began, BOOKING.name, before.name, "SUPERSEDED", (f"by {saga.name}",))
        yield from _actions(saga)
        if saga.state == Saga.NEEDS_ATTENTION and saga.timeline:
            details = (f"at {saga.step}", "waits for a person")
            yield Entry(end_of(saga), BOOKING.name, saga.name, "NEEDS_ATTENTION", details)


def _actions(saga: Saga) -> Iterator[Entry]:
    """Its actions, and each change of owner, which is seen by the first action after it.

    After an action that came to nothing a saga may rest, and whoever comes first goes on with it:
    that is nothing special. After one that is done its owner must have been gone.
    """
    before = Record(attempt=1, outcome=Record.DONE)
    if len(saga.timeline) >= TIMELINE_MAX:
        before = saga.timeline[0]
    for record in saga.timeline:
        at, by_hand = moment_of(record.began_at), record.outcome in BY_HAND
        attempt, change = (
            f"attempt {record.attempt}",
            f"attempt {before.attempt} → {record.attempt}",
        )
        if record.attempt != before.attempt and not by_hand:
            if before.outcome in (Record.DONE, *BY_HAND):
                gone = (change, "the process before is gone")
                yield Entry(at, BOOKING.name, f"{saga.name} taken over", details=gone)
            else:
                attempt = f"taken over, {change}"
        yield Entry(
            at,
            BOOKING.name,
            record.action or record.step,
            name_of(Record.Outcome, record.outcome),
            tuple(filter(None, (attempt, record.detail))),
            None if by_hand else seconds(record),
        )
        before = record


def _from_payments(payments: Sequence[Payment]) -> Iterator[Entry]:
    for payment in payments:
        # Which of several they are about.
        of = (payment.payment_id,) if len(payments) > 1 else ()
        said = [*_log(payment), *_before_the_log(payment)]
        yield from (replace(entry, details=(*entry.details, *of)) for entry in said)


def _log(payment: Payment) -> Iterator[Entry]:
    """What was asked and answered; the status of the payment where it is another than before."""
    log, status = payment.log, Payment.STATUS_UNSPECIFIED
    for place, said in enumerate(log):
        changed = "" if said.status == status else f"payment {name_of(Payment.Status, said.status)}"
        details = (f"by {said.actor}", said.detail, said.refund_id, changed)
        status = said.status
        yield Entry(
            moment_of(said.happened_at),
            PAYMENT.name,
            name_of(Said.Action, said.action),
            name_of(Said.Outcome, said.outcome),
            tuple(filter(None, details)),
            _awaited_s(log, place),
        )


def _awaited_s(log: Sequence[Said], place: int) -> float | None:
    """How long a question waited for its first answer; none for what is none, or is asked again."""
    asked = log[place]
    question = (asked.outcome, asked.action, asked.refund_id)
    earlier = ((one.outcome, one.action, one.refund_id) for one in log[:place])
    if asked.outcome != Said.ASKED or question in earlier:
        return None
    for said in log[place:]:
        if _answers(said, asked):
            return (moment_of(said.happened_at) - moment_of(asked.happened_at)).total_seconds()
    return None


def _answers(said: Said, asked: Said) -> bool:
    """Whether this is the answer, or tells by another way how it ended."""
    if said.outcome == Said.ASKED or said.refund_id != asked.refund_id:
        return False
    if asked.action == Said.CANCEL:
        return said.action == Said.VOID
    return said.action == asked.action or said.outcome in (Said.SUCCEEDED, Said.DECLINED)


def _before_the_log(payment: Payment) -> Iterator[Entry]:
    """What is known of a payment and refunds that an older version made, which kept no log."""
    amount = f"{payment.amount.value} {payment.currency}"
    if not payment.log:
        yield Entry(moment_of(payment.created_at), PAYMENT.name, "CHARGE", "ASKED", (amount,))
        if payment.HasField("processed_at"):
            word = f"payment {name_of(Payment.Status, payment.status)}"
            yield Entry(
                moment_of(payment.processed_at), PAYMENT.name, "CHARGE answered", "", (word,)
            )
    told_of = {said.refund_id for said in payment.log}
    for refund in payment.refunds:
        if refund.refund_id not in told_of and len(payment.log) < LOG_MAX:
            details = (
                f"{refund.refunded_amount.value} {refund.currency}",
                refund.reason,
                refund.refund_id,
                f"now {name_of(Refund.Status, refund.status)}",
            )
            at, known = moment_of(refund.created_at), tuple(filter(None, details))
            yield Entry(at, PAYMENT.name, "REFUND", "ASKED", known)


def _at_once(
    reservations: Sequence[Reservation], name: str
) -> Iterator[tuple[datetime, list[Reservation]]]:
    """Those that have this time, together with the others of the same."""
    having = [one for one in reservations if one.HasField(name)]
    groups: dict[datetime, list[Reservation]] = {}
    for one in having:
        groups.setdefault(moment_of(getattr(one, name)), []).append(one)
    yield from groups.items()
