"""The machine moves every saga as its table says, and never off the table."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from support.clock import START
from support.sagas import OURS

from booking_svc.config import BookingSettings
from booking_svc.domain.outcome import Done, GivenUp, Pending, Refused, Unknown
from booking_svc.saga import machine
from booking_svc.saga.definition import DEFINITIONS, Definition, Step
from booking_svc.saga.machine import PATIENCE, Direction, Outcome, Patience, Saga, State
from booking_svc.saga.pace import REST_MAX_S, backoff_s
from booking_svc.usecases.steps import Steps

GOLDEN = Path(__file__).parent / "golden" / "saga_steps.txt"
FORWARD, BACKWARD = Direction
SUCCEEDED, UNDONE, PARKED = State.SUCCEEDED, State.UNDONE, State.NEEDS_ATTENTION
DONE, REFUSED, UNKNOWN = Done(None), Refused("WHATEVER", "no"), Unknown("timeout")
PENDING, GIVEN_UP = Pending("pay_1"), GivenUp("too late")
OUTCOMES: tuple[Outcome, ...] = (DONE, REFUSED, UNKNOWN, PENDING, GIVEN_UP)
AGAIN = "again"

# Where a saga can be → what it does there, and where it goes when that is done, refused or
# given up. What is unknown or pending is always done again.
CONFIRM, CANCEL = "confirm_booking", "cancel_booking"
GIVE_BACK, RELEASE = ("charge", BACKWARD), ("hold", BACKWARD)
MOVES = {
    (CONFIRM, "charge", FORWARD): ("take_payment", ("confirm", FORWARD), RELEASE, GIVE_BACK),
    (CONFIRM, "confirm", FORWARD): ("confirm_seats", SUCCEEDED, GIVE_BACK, GIVE_BACK),
    (CONFIRM, "charge", BACKWARD): ("give_back_payment", RELEASE, AGAIN, AGAIN),
    (CONFIRM, "hold", BACKWARD): ("release_seats", UNDONE, AGAIN, AGAIN),
    (CANCEL, "release", FORWARD): ("release_seats", ("refund", FORWARD), AGAIN, AGAIN),
    (CANCEL, "refund", FORWARD): ("give_back_payment", SUCCEEDED, AGAIN, AGAIN),
}
MAY_TURN = [place for place, (_, _, refused, _) in MOVES.items() if refused != AGAIN]
NO_WAY_BACK = [place for place in MOVES if place not in MAY_TURN]
PLACES = [
    (definition.name, step.name, direction)
    for definition in DEFINITIONS.values()
    for step in definition.steps
    for direction in Direction
]
Place = tuple[str, str, Direction]


def at(
    definition: str, step: str, direction: Direction, state: State = State.RUNNING, **more: object
) -> Saga:
    counts = {"tries": 2, "refusals": 1, "waits": 4, "last_error": "before", "attempt": 7, **more}
    return Saga(
        5001, definition, step, START, OURS, direction=direction, state=state, revision=9, **counts
    )


@pytest.mark.parametrize(("place", "outcome"), list(product(MOVES, OUTCOMES)), ids=str)
def test_a_saga_moves_as_its_table_says(place: Place, outcome: Outcome) -> None:
    """Done goes on; Refused and GivenUp turn back up to the pivot; else it is done again.

    Tries, refusals and waits are those of the present action.
    """
    saga, (action, *ways) = at(*place), MOVES[place]
    assert machine.action(saga) == action
    to = dict(zip((Done, Refused, GivenUp), ways, strict=True)).get(type(outcome), AGAIN)
    new = replace(saga, last_error=machine.describe(outcome))
    if to != AGAIN:
        new = replace(new, tries=0, refusals=0, waits=0)
    if isinstance(to, State):
        expected = replace(new, state=to)
    elif to != AGAIN:
        expected = replace(new, step=to[0], direction=to[1])
    elif outcome == PENDING:
        expected = replace(new, waits=5)
    else:
        expected = replace(new, tries=3, refusals=2 if outcome == REFUSED else 1)
    assert machine.advance(saga, outcome) == expected


@pytest.mark.parametrize("definition", list(DEFINITIONS.values()), ids=lambda one: one.name)
def test_no_other_place_is_reached(definition: Definition) -> None:
    """From its beginning, by all outcomes, a saga comes to the places in `MOVES` and no others."""
    seen, waiting = set(), [machine.begin(definition, 5001, START, OURS)]
    while waiting:
        saga = waiting.pop()
        if saga.state is State.RUNNING and (saga.step, saga.direction) not in seen:
            seen.add((saga.step, saga.direction))
            waiting += [machine.advance(saga, outcome) for outcome in OUTCOMES]
    expected = {(step, direction) for name, step, direction in MOVES if name == definition.name}
    assert seen == expected


@pytest.mark.parametrize("place", MOVES, ids=str)
def test_what_may_still_turn(place: Place) -> None:
    """A saga may turn back while a refusal would make it, and at no other place."""
    assert machine.may_turn(at(*place)) is (place in MAY_TURN)


@pytest.mark.parametrize("place", [one for one in PLACES if one not in MOVES], ids=str)
def test_the_other_places_have_nothing_to_do(place: Place) -> None:
    """A step that is not gone through in a direction has no action in it."""
    assert machine.action(at(*place)) is None


@pytest.mark.parametrize(
    ("place", "state", "outcome"),
    list(product(PLACES, [state for state in State if state is not State.RUNNING], OUTCOMES)),
    ids=str,
)
def test_what_does_not_run_never_acts(place: Place, state: State, outcome: Outcome) -> None:
    """A saga that has ended, is parked or superseded has no action, whatever it is told."""
    saga = at(*place, state)
    assert machine.action(saga) is None
    assert machine.action(machine.advance(saga, outcome)) is None


@pytest.mark.parametrize("place", NO_WAY_BACK, ids=str)
@pytest.mark.parametrize(
    ("outcome", "patience"), [(REFUSED, Patience(3, 99)), (UNKNOWN, Patience(99, 3))], ids=str
)
def test_what_must_be_done_is_parked_in_the_end(
    place: Place, outcome: Outcome, patience: Patience
) -> None:
    """Where there is no way back, the last refusal or the last try parks the saga as it is."""
    saga = at(*place, tries=0, refusals=0)
    for _ in range(2):
        saga = machine.advance(saga, outcome, patience)
        assert saga.state is State.RUNNING
    parked = machine.advance(saga, outcome, patience)
    assert (parked.state, parked.step, parked.direction) == (PARKED, place[1], place[2])
    assert parked.last_error == machine.describe(outcome)


def test_tries_of_every_kind_count_together() -> None:
    """Refusals are tries too, so that an undo that fails in turns is parked by its tries."""
    saga = at(*NO_WAY_BACK[0], tries=0, refusals=0)
    for outcome in (UNKNOWN, REFUSED, UNKNOWN):
        saga = machine.advance(saga, outcome, Patience(refusals=2, tries=4))
    assert (saga.tries, saga.refusals, saga.state) == (3, 1, State.RUNNING)
    assert machine.advance(saga, UNKNOWN, Patience(refusals=2, tries=4)).state is PARKED


def test_patience_lasts_for_a_night() -> None:
    """An undo that comes to nothing is parked after some twelve hours, by default everywhere."""
    rests_s = [backoff_s(tries, REST_MAX_S) / 2 for tries in range(1, PATIENCE.tries)]
    assert 11 < sum(rests_s) / 3600 < 13
    assert BookingSettings().undo_tries_max == Patience().tries == PATIENCE.tries


@pytest.mark.parametrize("place", MOVES, ids=str)
def test_to_wait_never_parks(place: Place) -> None:
    """However long the other service has not decided, the saga waits, and tries nothing anew."""
    saga = start = at(*place)
    for _ in range(1000):
        saga = machine.advance(saga, PENDING, Patience(1, 1))
    assert saga == replace(start, waits=1004, last_error="pay_1 is not decided yet")


@pytest.mark.parametrize("place", MAY_TURN, ids=str)
def test_what_may_still_turn_is_never_parked(place: Place) -> None:
    """Before the pivot is done, a saga whose tries come to nothing goes on trying."""
    saga = at(*place)
    for _ in range(10 * PATIENCE.tries):
        saga = machine.advance(saga, UNKNOWN)
    assert (saga.state, machine.action(saga)) == (State.RUNNING, MOVES[place][0])


@pytest.mark.parametrize("place", MOVES, ids=str)
def test_a_parked_saga_is_retried_with_new_patience(place: Place) -> None:
    """What is retried stands where it stood, runs, and counts from nothing again."""
    parked = at(*place, state=PARKED, tries=60, refusals=5)
    going_on = machine.retried(parked)
    assert going_on == replace(parked, state=State.RUNNING, tries=0, refusals=0, waits=0)
    assert machine.action(going_on) == MOVES[place][0]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (DONE, ""),
        (REFUSED, "WHATEVER: no"),
        (Refused("WHATEVER"), "WHATEVER"),
        (UNKNOWN, "timeout"),
        (PENDING, "pay_1 is not decided yet"),
        (GIVEN_UP, "too late"),
    ],
    ids=str,
)
def test_the_last_error_says_what_the_last_action_came_to(outcome: Outcome, words: str) -> None:
    """Every outcome but Done is kept in words, until an action is done."""
    assert machine.advance(at(*NO_WAY_BACK[0]), outcome).last_error == words


def test_a_last_error_fits_its_column() -> None:
    """A long refusal is cut to what can be stored."""
    saga = machine.advance(at(*NO_WAY_BACK[0]), Refused("WHATEVER", "no" * 500))
    assert len(saga.last_error) == machine.ERROR_LENGTH_MAX


def test_a_saga_begins_at_its_first_action() -> None:
    """A new saga runs under its lease, and has tried, written and been told nothing."""
    saga = machine.begin(DEFINITIONS[CONFIRM], 5001, START, OURS)
    assert saga == Saga(5001, CONFIRM, "charge", began_at=START, lease=OURS)
    assert (saga.attempt, saga.revision, saga.tries, saga.last_error) == (1, 0, 0, "")


def test_table_and_steps_name_the_same_actions() -> None:
    """Every action that a table names can be done, and every one that can be done is named."""

    def actions(step: Step) -> set[str]:
        return {name for name in (step.do, step.undo) if name}

    steps = [step for definition in DEFINITIONS.values() for step in definition.steps]
    named = set().union(*map(actions, steps))
    nobody: None = None
    assert named == set(Steps(nobody, nobody, nobody, nobody).actions())


def rows(lines: list[str]) -> dict[str, list[str]]:
    """The steps of each definition, in their order."""
    tables: dict[str, list[str]] = {}
    for line in lines:
        tables.setdefault(line.split()[0], []).append(line)
    return tables


def test_stored_definitions_are_kept() -> None:
    """No definition that was ever stored is removed, and none is changed in any of its steps."""
    golden = rows(GOLDEN.read_text().splitlines())
    present = rows(
        [
            f"{one.name} {step.name} {step.do or '-'} {step.undo or '-'} {step.kind}"
            for one in DEFINITIONS.values()
            for step in one.steps
        ]
    )
    changed = {name for name, steps in golden.items() if present.get(name) != steps}
    assert not changed, (
        f"{sorted(changed)} is changed or gone. Databases hold sagas of it, and another version may"
        " have begun them or may have to finish them: keep it as it is, and write a new definition,"
        " 'NAME/2', for those that begin from now on (docs/upgrades.md)"
    )
    new = [line for name, steps in present.items() if name not in golden for line in steps]
    assert not new, f"new steps: add them to {GOLDEN.name}, where none ever changes: {new}"
