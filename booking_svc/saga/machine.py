"""The machine that moves a saga along its table: (saga, outcome) → next saga. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.saga.definition import DEFINITIONS, Definition, Kind, Step

Outcome = Done[object] | Refused | Unknown


class Direction(StrEnum):
    """Which way a saga goes."""

    FORWARD = "FORWARD"
    BACKWARD = "BACKWARD"


class State(StrEnum):
    """Whether a saga has ended, and how."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    UNDONE = "UNDONE"


@dataclass(frozen=True)
class Saga:
    """Where a saga stands. This is what is stored."""

    booking_id: int
    definition: str
    # The step whose action is next, by name.
    step: str
    direction: Direction = Direction.FORWARD
    state: State = State.RUNNING
    # How often the present action came to nothing.
    tries: int = 0
    # How often it was refused: each time it is asked for anew, under another key.
    refusals: int = 0
    # The fence: a write with an attempt that is over changes nothing.
    attempt: int = 1


def begin(definition: Definition, booking_id: int) -> Saga:
    """A saga before its first action."""
    first = _with(Direction.FORWARD, definition.steps)[0]
    return Saga(booking_id, definition.name, first.name)


def action(saga: Saga) -> str | None:
    """The name of the action that is next; none when the saga has ended."""
    if saga.state is not State.RUNNING:
        return None
    step = _steps(saga)[_position(saga)]
    return step.do if saga.direction is Direction.FORWARD else step.undo


def advance(saga: Saga, outcome: Outcome) -> Saga:
    """The saga after its action came to this."""
    if isinstance(outcome, Done):
        return _to_next(saga)
    step = _steps(saga)[_position(saga)]
    may_turn = saga.direction is Direction.FORWARD and step.kind is not Kind.RETRIABLE
    if isinstance(outcome, Refused) and may_turn:
        return _to_next(replace(saga, direction=Direction.BACKWARD))
    refused = isinstance(outcome, Refused)
    return replace(saga, tries=saga.tries + 1, refusals=saga.refusals + refused)


def _to_next(saga: Saga) -> Saga:
    steps, position = _steps(saga), _position(saga)
    forward = saga.direction is Direction.FORWARD
    ahead = steps[position + 1 :] if forward else steps[:position][::-1]
    following = _with(saga.direction, ahead)
    if following:
        return replace(saga, step=following[0].name, tries=0, refusals=0)
    end = State.SUCCEEDED if forward else State.UNDONE
    return replace(saga, state=end, tries=0, refusals=0)


def _with(direction: Direction, steps: Sequence[Step]) -> list[Step]:
    """Those of the steps that have an action in this direction."""
    if direction is Direction.FORWARD:
        return [step for step in steps if step.do is not None]
    return [step for step in steps if step.undo is not None]


def _steps(saga: Saga) -> tuple[Step, ...]:
    return DEFINITIONS[saga.definition].steps


def _position(saga: Saga) -> int:
    return [step.name for step in _steps(saga)].index(saga.step)
