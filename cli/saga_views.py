"""Sagas on the screen: a list, one with its timeline, and what became of an intervention."""

from collections.abc import Sequence

from holdfast.booking.v1 import saga_pb2 as pb
from rich.text import Text

from cli.screen import coloured, moment, name_of, say, show_table

PARKED = pb.Saga.NEEDS_ATTENTION


def show_list(sagas: Sequence[pb.Saga]) -> None:
    """One line a saga."""
    rows = [
        (
            saga.booking_reference,
            saga.name,
            _state(saga),
            next_step(saga),
            str(saga.tries),
            moment(saga.began_at),
            saga.last_error,
        )
        for saga in sagas
    ]
    columns = ("booking", "saga", "state", "next step", "tries", "began (UTC)", "last error")
    show_table(columns, rows)


def show_one(saga: pb.Saga) -> None:
    """A saga with all that is known of it, and what to do about it if it is parked."""
    title = Text(f"{saga.name} of {saga.booking_reference}", "bold")
    say(title, f" (booking {saga.booking_id}): ", _state(saga))
    for name, value in _facts(saga):
        say(Text(f"  {name:<11}", "dim"), value)
    say()
    _show_timeline(saga)
    say()
    if saga.state == PARKED:
        say(f"Try again:     holdfast sagas retry {saga.booking_reference}")
        say(f'Done by hand:  holdfast sagas resolve {saga.booking_reference} --note "what you did"')
        say()


def show_meaning_of_resolve(saga: pb.Saga) -> None:
    """What resolving this saga comes to, for who is about to say yes."""
    step = f"'{next_step(saga)}'{next_action(saga)}"
    say(f"{saga.name} of {saga.booking_reference} is parked at {step}.")
    if saga.last_error:
        say(f"Last error: {saga.last_error}")
    say(
        "To resolve it is to take that as done, without trying it again: nothing is called and"
        " nothing is checked. Say yes only if somebody has done it by hand."
    )


def show_outcome(saga: pb.Saga) -> None:
    """Where a saga stands after somebody intervened."""
    say(f"{saga.name} of {saga.booking_reference} is now ", _state(saga), ".")
    if saga.state == pb.Saga.RUNNING:
        say(f"See how it goes on: holdfast sagas show {saga.booking_reference}")


def next_step(saga: pb.Saga) -> str:
    """The step whose action is next, and whether that undoes it; empty at the end."""
    if not _is_open(saga):
        return ""
    return saga.step if saga.direction == pb.Saga.FORWARD else f"undo {saga.step}"


def next_action(saga: pb.Saga) -> str:
    """The action that is next, if it was tried before."""
    tried = [record.action for record in saga.timeline if record.step == saga.step]
    return f" ({tried[-1]})" if tried and saga.tries else ""


def _facts(saga: pb.Saga) -> list[tuple[str, str]]:
    """Name and value of what is not empty."""
    until = f" until {moment(saga.leased_until)} UTC"
    running, waits = saga.state == pb.Saga.RUNNING, not saga.owner
    rest = f"waits for a process{until}" if waits else f"{saga.owner}{until}"
    facts = [
        ("began", f"{moment(saga.began_at)} UTC"),
        ("next step", f"{next_step(saga)}{next_action(saga)}" if _is_open(saga) else ""),
        ("tries", f"{saga.tries}, refused {saga.refusals} times" if saga.tries else ""),
        ("owner", rest if running else ""),
        ("last error", saga.last_error),
    ]
    return [(name, value) for name, value in facts if value]


def _show_timeline(saga: pb.Saga) -> None:
    rows = [
        (
            str(record.attempt),
            record.step,
            record.action,
            coloured(name_of(pb.Saga.StepRecord.Outcome, record.outcome)),
            moment(record.began_at),
            f"{record.took.ToTimedelta().total_seconds():.3f} s",
            record.detail,
        )
        for record in saga.timeline
    ]
    show_table(("attempt", "step", "action", "outcome", "when (UTC)", "took", "detail"), rows)


def _state(saga: pb.Saga) -> Text:
    return coloured(name_of(pb.Saga.State, saga.state))


def _is_open(saga: pb.Saga) -> bool:
    return saga.state in (pb.Saga.RUNNING, PARKED)
