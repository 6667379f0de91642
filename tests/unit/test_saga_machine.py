"""The machine moves every saga as its table says, and never off the table."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.saga import machine
from booking_svc.saga.definition import DEFINITIONS, Definition, Step
from booking_svc.saga.machine import Direction, Outcome, Saga, State
from booking_svc.usecases.steps import Steps

GOLDEN = Path(__file__).parent / "golden" / "saga_steps.txt"
FORWARD, BACKWARD = Direction
SUCCEEDED, UNDONE = State.SUCCEEDED, State.UNDONE
DONE, REFUSED, UNKNOWN = Done(None), Refused("WHATEVER"), Unknown("timeout")
OUTCOMES: tuple[Outcome, ...] = (DONE, REFUSED, UNKNOWN)
AGAIN = "again"

# Where a saga can be → what it does there, and where it goes when that is done or refused.
# What is unknown is always done again.
CONFIRM, CANCEL = "confirm_booking", "cancel_booking"
MOVES = {
    (CONFIRM, "charge", FORWARD): ("take_payment", ("confirm", FORWARD), ("hold", BACKWARD)),
    (CONFIRM, "confirm", FORWARD): ("confirm_seats", SUCCEEDED, ("charge", BACKWARD)),
    (CONFIRM, "charge", BACKWARD): ("give_back_payment", ("hold", BACKWARD), AGAIN),
    (CONFIRM, "hold", BACKWARD): ("release_seats", UNDONE, AGAIN),
    (CANCEL, "release", FORWARD): ("release_seats", ("refund", FORWARD), AGAIN),
    (CANCEL, "refund", FORWARD): ("give_back_payment", SUCCEEDED, AGAIN),
}
PLACES = [
    (definition.name, step.name, direction)
    for definition in DEFINITIONS.values()
    for step in definition.steps
    for direction in Direction
]


def at(definition: str, step: str, direction: Direction, state: State = State.RUNNING) -> Saga:
    return Saga(5001, definition, step, direction, state, tries=2, refusals=1, attempt=7)


@pytest.mark.parametrize(("place", "outcome"), list(product(MOVES, OUTCOMES)), ids=str)
def test_a_saga_moves_as_its_table_says(
    place: tuple[str, str, Direction], outcome: Outcome
) -> None:
    """Done goes on; Refused turns back up to the pivot; after it, as Unknown, it is tried again.

    Tries and refusals are those of the present action.
    """
    saga, (action, done, refused) = at(*place), MOVES[place]
    assert machine.action(saga) == action
    to = {Done: done, Refused: refused, Unknown: AGAIN}[type(outcome)]
    if to == AGAIN:
        refusals = 2 if isinstance(outcome, Refused) else 1
        expected = replace(saga, tries=3, refusals=refusals)
    elif isinstance(to, State):
        direction = BACKWARD if to is UNDONE else FORWARD
        expected = replace(saga, state=to, direction=direction, tries=0, refusals=0)
    else:
        expected = replace(saga, step=to[0], direction=to[1], tries=0, refusals=0)
    assert machine.advance(saga, outcome) == expected


@pytest.mark.parametrize("definition", list(DEFINITIONS.values()), ids=lambda one: one.name)
def test_no_other_place_is_reached(definition: Definition) -> None:
    """From its beginning, by all outcomes, a saga comes to the places in `MOVES` and no others."""
    seen, waiting = set(), [machine.begin(definition, 5001)]
    while waiting:
        saga = waiting.pop()
        if saga.state is State.RUNNING and (saga.step, saga.direction) not in seen:
            seen.add((saga.step, saga.direction))
            waiting += [machine.advance(saga, outcome) for outcome in OUTCOMES]
    expected = {(step, direction) for name, step, direction in MOVES if name == definition.name}
    assert seen == expected


@pytest.mark.parametrize("place", [one for one in PLACES if one not in MOVES], ids=str)
def test_the_other_places_have_nothing_to_do(place: tuple[str, str, Direction]) -> None:
    """A step that is not gone through in a direction has no action in it."""
    assert machine.action(at(*place)) is None


@pytest.mark.parametrize(
    ("place", "state", "outcome"), list(product(PLACES, (SUCCEEDED, UNDONE), OUTCOMES)), ids=str
)
def test_what_has_ended_never_acts_again(
    place: tuple[str, str, Direction], state: State, outcome: Outcome
) -> None:
    """An ended saga has no action, whatever it is told afterwards."""
    saga = at(*place, state)
    assert machine.action(saga) is None
    assert machine.action(machine.advance(saga, outcome)) is None


def test_table_and_steps_name_the_same_actions() -> None:
    """Every action that a table names can be done, and every one that can be done is named."""

    def actions(step: Step) -> set[str]:
        return {name for name in (step.do, step.undo) if name}

    steps = [step for definition in DEFINITIONS.values() for step in definition.steps]
    named = set().union(*map(actions, steps))
    nobody: None = None
    assert named == set(Steps(nobody, nobody).actions())


def test_stored_step_names_are_kept() -> None:
    """No name of a step that was ever stored is removed or renamed."""
    golden = GOLDEN.read_text().splitlines()
    present = [
        f"{definition.name} {step.name}"
        for definition in DEFINITIONS.values()
        for step in definition.steps
    ]
    gone = sorted(set(golden) - set(present))
    assert not gone, (
        f"steps that databases may hold are gone: {gone}. A running saga stands at one of them and"
        " could not go on: keep the name and its meaning, and give the new step a new name"
    )
    new = sorted(set(present) - set(golden))
    assert not new, (
        f"new steps: add them to {GOLDEN.name}, from where no name is ever removed: {new}"
    )
