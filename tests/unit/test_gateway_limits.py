"""How much one caller may ask, and how much is served at once."""

import pytest

from gateway import limits
from gateway.errors import TooMany
from gateway.limits import Places, Rates


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def taken(rates: Rates, caller: str, times: int) -> int:
    """How many of so many requests are let through."""
    through = 0
    for _ in range(times):
        try:
            rates.take(caller)
        except TooMany:
            continue
        through += 1
    return through


def test_a_burst_and_then_a_rate() -> None:
    """A caller may ask a burst at once, then what the rate allows, and a burst after a rest."""
    clock = Clock()
    rates = Rates(2.0, 5, clock)
    assert taken(rates, "a", 10) == 5
    clock.now_s += 1.5
    assert taken(rates, "a", 10) == 3
    clock.now_s += 3600
    assert taken(rates, "a", 10) == 5


def test_each_caller_has_its_own() -> None:
    """What one caller asks takes nothing from another."""
    rates = Rates(1.0, 3, Clock())
    assert [taken(rates, caller, 5) for caller in "abc"] == [3, 3, 3]


def test_when_to_come_again() -> None:
    """A refusal names whole seconds, after which there is a place."""
    clock = Clock()
    rates = Rates(0.25, 1, clock)
    rates.take("a")
    with pytest.raises(TooMany) as caught:
        rates.take("a")
    clock.now_s += int(caught.value.headers["retry-after"])
    rates.take("a")


def test_no_limit() -> None:
    """A rate of nothing is no limit."""
    assert taken(Rates(0, 1, Clock()), "a", 1000) == 1000


def test_callers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than so many callers are remembered: those that asked last."""
    monkeypatch.setattr(limits, "CALLERS_MAX", 2)
    rates = Rates(0.001, 1, Clock())
    assert [taken(rates, caller, 1) for caller in "abcab"] == [1, 1, 1, 1, 1]
    assert taken(rates, "b", 1) == 0
    assert len(rates._buckets) == 2


def test_places_are_given_back() -> None:
    """A place is free again when its request has ended, also with an error."""
    places = Places(1, 1)

    def fail_inside() -> None:
        with places.taken("a"):
            with pytest.raises(TooMany):
                places.taken("b").__enter__()
            raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            fail_inside()


def test_places_of_one_caller() -> None:
    """One caller gets only some of the places, others get the rest, and all are given back."""
    places = Places(3, 2)
    with places.taken("a"), places.taken("a"):
        with pytest.raises(TooMany):
            places.taken("a").__enter__()
        with places.taken("b"), pytest.raises(TooMany):
            places.taken("c").__enter__()
    with places.taken("a"), places.taken("b"), places.taken("c"):
        pass
    assert not places._held
