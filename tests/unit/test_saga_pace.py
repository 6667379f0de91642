"""When a saga does its next action: how long it waits, and whether it leaves its process."""

from dataclasses import replace
from random import Random

import pytest
from support.clock import START
from support.sagas import OURS

from booking_svc.domain.outcome import Done, Pending, Refused, Unknown
from booking_svc.saga import pace
from booking_svc.saga.machine import Direction, Outcome, Saga
from booking_svc.saga.pace import (
    BACKOFF_BASE_S,
    NAP_MAX_S,
    NAPS_MAX,
    POLL_S,
    REST_MAX_S,
    Pause,
    backoff_s,
    pause,
)

SAGA = Saga(5001, "confirm_booking", "charge", START, OURS)
UNDO = replace(SAGA, direction=Direction.BACKWARD)
CANCELLATION = replace(SAGA, definition="cancel_booking", step="refund")
UNKNOWN, PENDING = Unknown("timeout"), Pending("pay_1")


class Most(Random):
    """The longest wait that chance allows."""

    def uniform(self, _a: float, b: float) -> float:
        return b


class Least(Random):
    """The shortest."""

    def uniform(self, a: float, _b: float) -> float:
        return a


def after_tries(
    tries: int, of: Saga = SAGA, *, has_card: bool = False, chance: Random | None = None
) -> Pause:
    saga = replace(of, tries=tries)
    return pause(saga, UNKNOWN, has_card=has_card, chance=chance or Most())


def after_waits(waits: int, *, has_card: bool = False, chance: Random | None = None) -> Pause:
    saga = replace(SAGA, waits=waits)
    return pause(saga, PENDING, has_card=has_card, chance=chance or Most())


def test_backoff_doubles_up_to_its_bound() -> None:
    """The longest wait doubles from one try to the next and then stays, after any number."""
    waits = [backoff_s(tries, REST_MAX_S) for tries in range(1, 12)]
    assert waits == [min(REST_MAX_S, BACKOFF_BASE_S * 2**tries) for tries in range(1, 12)]
    assert waits[-1] == backoff_s(10**9, REST_MAX_S) == REST_MAX_S
    assert backoff_s(pace.DOUBLINGS_MAX, 1e9) > max(REST_MAX_S, NAP_MAX_S)


@pytest.mark.parametrize("outcome", [Done(None), Refused("WHATEVER")], ids=repr)
def test_what_goes_on_goes_on_at_once(outcome: Outcome) -> None:
    """After an action that led to another one there is no wait."""
    assert pause(SAGA, outcome, has_card=True, chance=Most()) == Pause(0.0)


def test_a_hiccup_is_slept_through() -> None:
    """The first naps double, stay in the process, and last as long as chance says, from none on."""
    naps = [after_tries(tries) for tries in range(1, NAPS_MAX + 1)]
    assert naps == [Pause(0.4), Pause(0.8), Pause(1.6), Pause(3.2), Pause(6.4), Pause(NAP_MAX_S)]
    assert after_tries(NAPS_MAX, chance=Least()) == Pause(0.0)


@pytest.mark.parametrize("saga", [UNDO, CANCELLATION], ids=["undo", "cancellation"])
def test_a_saga_in_trouble_makes_room(saga: Saga) -> None:
    """After its naps a saga that only gives back leaves its process, and rests ever longer."""
    assert after_tries(NAPS_MAX, saga) == Pause(NAP_MAX_S)
    assert after_tries(NAPS_MAX + 1, saga) == Pause(25.6, leaves=True)
    assert after_tries(60, saga) == Pause(REST_MAX_S, leaves=True)


@pytest.mark.parametrize("step", ["charge", "confirm"])
@pytest.mark.parametrize("tries", [NAPS_MAX + 1, 10**9])
def test_what_may_still_turn_back_is_in_a_hurry(step: str, tries: int) -> None:
    """A saga whose seats are held for a time only leaves too, but never rests for long."""
    assert after_tries(tries, replace(SAGA, step=step)) == Pause(NAP_MAX_S, leaves=True)


def test_a_card_keeps_a_saga_in_its_process() -> None:
    """A saga that would lose its card naps on, however often it has tried."""
    assert after_tries(60, has_card=True) == Pause(NAP_MAX_S)


@pytest.mark.parametrize("has_card", [True, False])
def test_a_payment_that_is_not_decided(has_card: bool) -> None:  # noqa: FBT001
    """A saga that waits for a decision naps a little, then leaves, card or not, and polls."""
    first = [after_waits(waits, has_card=has_card).delay_s for waits in (1, 2, NAPS_MAX)]
    assert first == [0.4, 0.8, NAP_MAX_S]
    assert not after_waits(NAPS_MAX, has_card=has_card).leaves
    assert after_waits(NAPS_MAX + 1, has_card=has_card) == Pause(POLL_S, leaves=True)
    assert after_waits(10**9, has_card=has_card, chance=Least()) == Pause(POLL_S / 2, leaves=True)


def test_pauses_are_jittered() -> None:
    """Two sagas that come to nothing together do not come back together."""
    waits = [
        {after_tries(tries, chance=Random(seed)).delay_s for tries in range(1, 20)}
        for seed in range(2)
    ]
    assert not waits[0] & waits[1]
    assert len({after_waits(9, chance=Random(seed)).delay_s for seed in range(20)}) == 20
