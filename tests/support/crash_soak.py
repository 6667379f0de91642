"""`make soak`: every pair of crashes, one in the recovery of the other, until all are done.

Bounded by `--minutes`: the cases come in an order drawn from `--seed`, so that a run that is cut
short has seen a fair sample. Ends with a summary; the exit code is 1 if anything went wrong.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.crash_points import points_of
from support.crash_scenarios import (
    CARD_LOST,
    GIVE_BACK,
    RELEASE,
    SCENARIOS,
    TAKE_OVER,
    Scenario,
    firsts,
    live_through,
)
from support.crash_world import Nursery, World, urls_of_fresh
from support.databases import SQLITE, Databases

AT_ONCE = 6
# A replica that dies with the card, and a payment adapter that dies before it has sent the charge:
# nobody can repeat it, and it is called off after this. In a test that must not take 15 minutes.
GIVE_UP = {"BOOKING_CHARGE_GIVE_UP_S": "10"}


@dataclass(frozen=True)
class Case:
    """A crash, and one more while it is made good."""

    scenario: Scenario
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.first}, then {self.second}"


@dataclass
class Tally:
    """What has come of it so far."""

    cases: int = 0
    deaths: int = 0
    # The second process died too; else the first crash led elsewhere.
    pairs: int = 0
    wrong: list[str] = field(default_factory=list)


def all_cases() -> list[Case]:
    return [
        Case(scenario, first, second)
        for scenario in SCENARIOS
        for first in (firsts(scenario) if not scenario.after else [])
        for second in _seconds(scenario, first)
    ]


def _seconds(scenario: Scenario, first: str) -> Iterator[str]:
    """Every point that may come after a crash: of the sagas, and of the other services."""
    yield from points_of(TAKE_OVER)
    names = list(scenario.path)
    of_first = next(index for index, name in enumerate(names) if first.startswith(name))
    names = names[of_first:]
    if first in CARD_LOST:
        names += [name for name in (GIVE_BACK, RELEASE) if name not in names]
    yield from points_of(*names)


async def soak(minutes: float, seed: int, folder: Path) -> Tally:
    cases, tally = all_cases(), Tally()
    random.Random(seed).shuffle(cases)
    print(f"{len(cases)} pairs of crashes, for {minutes:g} minutes at most, seed {seed}")  # noqa: T201
    ends_at = time.monotonic() + 60 * minutes
    nursery = Nursery()

    async def work() -> None:
        while cases and time.monotonic() < ends_at:
            await _try(cases.pop(), nursery, folder, tally)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    nursery.close()
    return tally


async def _try(case: Case, nursery: Nursery, parent: Path, tally: Tally) -> None:
    tally.cases += 1
    folder = parent / f"case-{tally.cases}"
    folder.mkdir()
    async with Databases(SQLITE, folder) as databases:
        urls = await urls_of_fresh(databases)
    world = World(nursery, folder, urls, {**GIVE_UP, **case.scenario.settings})
    try:
        answer = await live_through(world, case.scenario, [(case.first,), (case.second,)])
        right = (*case.scenario.answers_after(case.first), "PAYMENT_FAILED")
        if answer not in right:
            tally.wrong.append(f"{case}: answered {answer}")
    except (AssertionError, TimeoutError) as error:
        tally.wrong.append(f"{case}: {error!r}\n{world.told(world.deaths)}")
    finally:
        await world.close()
    tally.deaths += len(world.deaths)
    tally.pairs += len(world.deaths) > 1
    shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-soak-") as folder:
        tally = asyncio.run(soak(told.minutes, told.seed, Path(folder)))
    for one in tally.wrong:
        print(f"WRONG {one}")  # noqa: T201
    print(  # noqa: T201
        f"{tally.cases} cases, {tally.deaths} processes killed, {tally.pairs} of them in the"
        f" recovery of another crash, {len(tally.wrong)} wrong,"
        f" {(time.monotonic() - began_at) / 60:.0f} minutes"
    )
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
