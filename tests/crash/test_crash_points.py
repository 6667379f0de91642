"""A process is killed at each point that there is, and another goes on from there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from support.crash_points import all_points, points_of
from support.crash_scenarios import (
    SCENARIOS,
    SECOND_DEATHS,
    Scenario,
    firsts,
    live_through,
)
from support.crash_world import World, together
from support.databases import MARIADB, SQLITE
from support.redis import RedisServer, private_redis, redis_server

__all__ = ["private_redis", "redis_server"]

ON_THE_WAY = [(scenario, name) for scenario in SCENARIOS for name in scenario.path]
# Each point of a saga once, in the first scenario that leads there.
FIRST_DEATHS = {point: scenario for scenario in SCENARIOS[::-1] for point in firsts(scenario)}
# And one of the second ones with every other, in turns; all pairs take an hour: `make soak`.
SECOND_DEATH_OF = dict(zip(list(FIRST_DEATHS)[::2], cycle(SECOND_DEATHS), strict=False))
BY_SCENARIO = {one.name: one for one in SCENARIOS}
SAMPLE = (
    ("confirmed", "booking_svc/ConfirmBooking._begin"),
    ("confirmed", "confirm_booking/charge/forward"),
    ("confirmed", "confirm_booking/confirm/forward"),
    ("confirmed", "payment_svc/Settling.charged"),
    ("confirmed", "inventory_svc/Reservations.confirm"),
    ("seats lost after the payment", "confirm_booking/charge/backward"),
    ("charge given up", "payment_svc/CancelPayment._cancel"),
    ("cancelled", "cancel_booking/refund/forward"),
    ("taken over", "booking_svc/Recovery._take_over"),
)


def test_every_point_is_on_the_path_of_a_scenario() -> None:
    """Each step, each unit of work and each call of a provider is part of a crash test."""
    covered = {point for _, name in ON_THE_WAY for point in points_of(name)}
    assert covered == set(all_points())


@pytest.mark.parametrize(
    ("scenario", "name"), ON_THE_WAY, ids=[f"{one.name}-{name}" for one, name in ON_THE_WAY]
)
async def test_a_crash_at_any_point_is_survived(worlds: Any, scenario: Scenario, name: str) -> None:
    """Whatever a process was about to do or had just done when it was killed, nothing is wrong."""
    deaths = {point: [(point,)] for point in points_of(name)}
    await _survive(worlds, SQLITE, scenario, deaths)


@pytest.mark.parametrize(("first", "second"), SECOND_DEATH_OF.items(), ids=SECOND_DEATH_OF)
async def test_a_crash_in_the_recovery_of_a_crash_is_survived(
    worlds: Any, first: str, second: str
) -> None:
    """A replica that takes over a saga may die of it too: a third one ends it."""
    deaths = {second: [(first,), SECOND_DEATHS[second]]}
    await _survive(worlds, SQLITE, FIRST_DEATHS[first], deaths)


@pytest.mark.parametrize(("name", "of"), SAMPLE)
async def test_a_crash_is_survived_on_mariadb_with_redis(
    worlds: Any, redis_server: RedisServer, name: str, of: str
) -> None:
    """With the databases and the fast copy of production, a crash does no more harm."""
    scenario = BY_SCENARIO[name]
    with_redis = {**scenario.settings, "BOOKING_REDIS_URL": redis_server.url}
    deaths = {point: [(point,)] for point in points_of(of)}
    await _survive(worlds, MARIADB, replace(scenario, settings=with_redis), deaths)


async def _survive(
    worlds: Any, kind: str, scenario: Scenario, deaths: Mapping[str, Sequence[tuple[str, ...]]]
) -> None:
    """Play a scenario once for each of these successions of deaths, side by side."""
    made = {name: await worlds(kind, **scenario.settings) for name in deaths}
    await together({name: _survives(made[name], scenario, deaths[name]) for name in deaths})


async def _survives(world: World, scenario: Scenario, deaths: Sequence[tuple[str, ...]]) -> None:
    deaths = [(scenario.after,), *deaths] if scenario.after else deaths
    answer = await live_through(world, scenario, deaths)
    survived = [death for death in deaths if not set(death) & set(world.deaths)]
    assert survived == [], world.told(deaths)
    assert answer in scenario.answers_after(deaths[0][0]), world.told(deaths)
