"""Ids: growing, small enough for every JSON reader, and not to be guessed."""

import re
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from support.clock import ManualClock

from chassis.ids import Ids


@given(
    seed=st.integers(),
    steps=st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 5000)), min_size=1, max_size=20),
)
def test_ids_only_grow(seed: int, steps: list[tuple[float, int]]) -> None:
    """Ids of one process grow strictly, even when its clock is set back."""
    clock = ManualClock()
    ids, made = Ids(clock, Random(seed)), []
    for seconds, count in steps:
        clock.move(seconds)
        made += ids.numbers(count)
    assert all(earlier < later for earlier, later in pairwise(made))
    assert made[0] > 0
    assert made[-1] < 2**53


def test_a_hundred_thousand_at_once() -> None:
    """100,000 ids in one call are all different, and the next call goes on after them."""
    ids = Ids(ManualClock())
    made = ids.numbers(100_000)
    assert len(set(made)) == 100_000
    assert ids.number() > made[-1]


def test_ids_fit_until_2090() -> None:
    """Ids stay below 2^53, exact in every JSON reader, for the life of the system."""
    assert Ids(ManualClock(datetime(2090, 1, 1, tzinfo=UTC))).numbers(1000)[-1] < 2**53


def test_text_ids_sort_by_time_and_can_be_read_aloud() -> None:
    """`pay_…` has 26 letters and digits without I, L, O and U, and sorts by its millisecond."""
    clock, made = ManualClock(), []
    ids = Ids(clock)
    for _ in range(100):
        clock.move(0.001)
        made.append(ids.text("pay"))
    assert made == sorted(made)
    assert all(re.fullmatch("pay_[0-9A-HJKMNP-TV-Z]{26}", one) for one in made)


def test_text_ids_of_one_moment_differ() -> None:
    """Ids made in the same millisecond have 80 bits of chance between them."""
    ids = Ids(ManualClock())
    assert len({ids.text("txn") for _ in range(1000)}) == 1000
