"""The machine that moves a saga along its table: (saga, outcome) → next saga. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from booking_svc.domain.outcome import Done, GivenUp, Pending, Refused, Unknown
from booking_svc.saga.definition import DEFINITIONS, Definition, Kind, Step

Outcome = Done[object] | Refused | Pending | Unknown | GivenUp

# As long as the column that keeps it.
ERROR_LENGTH_MAX = 200


class Direction(StrEnum):
    """Which way a saga goes."""

    FORWARD = "FORWARD"
    BACKWARD = "BACKWARD"


class State(StrEnum):
    """Whether a saga has ended, and how."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    UNDONE = "UNDONE"
    # Parked: an operator retries or resolves it.
    NEEDS_ATTENTION = "NEEDS_ATTENTION"
    # Another saga of the booking has taken its place.
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True)
class Lease:
    """Who runs a saga, and until when nobody else does."""

    # Empty: nobody; it waits until `until`, and then whoever comes first takes it over.
    owner: str
    until: datetime


@dataclass(frozen=True)
class Patience:
    """How long something that must be done is tried before a person is asked."""

    # That often the other service said no.
    refusals: int = 5
    # That often it came to nothing, for whatever cause: about twelve hours of backoff.
    tries: int = 300


PATIENCE = Patience()


@dataclass(frozen=True)
class Saga:
    """Where a saga stands. This is what is stored."""

    booking_id: int
    definition: str
    # The step whose action is next, by name.
    step: str
    began_at: datetime
    lease: Lease
    direction: Direction = Direction.FORWARD
    state: State = State.RUNNING
    # How often the present action came to nothing.
    tries: int = 0
    # How often it was refused.
    refusals: int = 0
    # How often the other service had not decided yet: to wait is not to fail.
    waits: int = 0
    # What the last action came to, unless it was done.
    last_error: str = ""
    # The fence: a write with an attempt that is over changes nothing.
    attempt: int = 1
    # How often it was stored: the same write, repeated, is recognised.
    revision: int = 0
    # Of the call that began it, for logs and traces; empty if it had none.
    request_id: str = ""
    traceparent: str = ""


def begin(definition: Definition, booking_id: int, now: datetime, lease: Lease) -> Saga:
    """A saga before its first action."""
    first = _with(Direction.FORWARD, definition.steps)[0]
    return Saga(booking_id, definition.name, first.name, now, lease)


def knows(definition: str) -> bool:
    """Whether this program can go on with sagas of a definition: a newer one may know more."""
    return definition in DEFINITIONS


def action(saga: Saga) -> str | None:
    """The name of the action that is next; none when nothing is."""
    if saga.state is not State.RUNNING:
        return None
    step = _present(saga)
    return step.do if saga.direction is Direction.FORWARD else step.undo


def advance(saga: Saga, outcome: Outcome, patience: Patience = PATIENCE) -> Saga:
    """The saga after its action came to this."""
    if isinstance(outcome, Done):
        return _to_next(replace(saga, last_error=""))
    saga = replace(saga, last_error=describe(outcome)[:ERROR_LENGTH_MAX])
    if may_turn(saga):
        if isinstance(outcome, Refused):
            return _to_next(replace(saga, direction=Direction.BACKWARD))
        if isinstance(outcome, GivenUp):
            # It may be done: its own undo comes first.
            return _first_of(replace(saga, direction=Direction.BACKWARD), including=True)
    if isinstance(outcome, Pending):
        return replace(saga, waits=saga.waits + 1)
    refusals = saga.refusals + isinstance(outcome, Refused)
    saga = replace(saga, tries=saga.tries + 1, refusals=refusals)
    tired = saga.refusals >= patience.refusals or saga.tries >= patience.tries
    if tired and not may_turn(saga):
        return replace(saga, state=State.NEEDS_ATTENTION)
    return saga


def retried(saga: Saga) -> Saga:
    """A parked saga, on its way again with new patience."""
    return replace(saga, state=State.RUNNING, tries=0, refusals=0, waits=0)


def may_turn(saga: Saga) -> bool:
    """Whether the present step may still be given up."""
    forward = saga.direction is Direction.FORWARD
    return forward and _present(saga).kind is not Kind.RETRIABLE


def describe(outcome: Outcome) -> str:
    """An outcome in words, for an operator; empty when it is done."""
    match outcome:
        case Done():
            return ""
        case Refused(reason, message):
            return f"{reason}: {message}" if message else reason
        case Pending(subject):
            return f"{subject} is not decided yet"
        case Unknown(cause) | GivenUp(cause):
            return cause


def _to_next(saga: Saga) -> Saga:
    return _first_of(saga, including=False)


def _first_of(saga: Saga, *, including: bool) -> Saga:
    """At the first step ahead that has an action, the present one `including`; or at the end."""
    steps, position = DEFINITIONS[saga.definition].steps, _position(saga)
    forward = saga.direction is Direction.FORWARD
    ahead = steps[position + 1 :] if forward else steps[: position + including][::-1]
    following = _with(saga.direction, ahead)
    if following:
        return replace(saga, step=following[0].name, tries=0, refusals=0, waits=0)
    end = State.SUCCEEDED if forward else State.UNDONE
    return replace(saga, state=end, tries=0, refusals=0, waits=0)


def _with(direction: Direction, steps: Sequence[Step]) -> list[Step]:
    """Those of the steps that have an action in this direction."""
    if direction is Direction.FORWARD:
        return [step for step in steps if step.do is not None]
    return [step for step in steps if step.undo is not None]


def _present(saga: Saga) -> Step:
    return DEFINITIONS[saga.definition].steps[_position(saga)]


def _position(saga: Saga) -> int:
    return [step.name for step in DEFINITIONS[saga.definition].steps].index(saga.step)
