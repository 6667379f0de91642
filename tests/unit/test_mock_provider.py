"""The mock provider: what chance decides, after a delay, and the same when asked again."""

from dataclasses import replace

import pytest
from support.clock import START, ManualClock
from support.payments import MemoryBooks

from chassis.cards import Card
from payment_svc.domain.outcome import DeclineCode, Outcome, Succeeded
from payment_svc.ports import Charge, Return
from payment_svc.providers.mock import MockBehaviour, MockProvider

ORDINARY = Card("CREDIT_CARD", "4111111111111111", 12, 2030, "123")
BEHAVIOUR = MockBehaviour(success_rate=0.9, delay_min_s=0.5, delay_max_s=1.5, seed="tests")


def charge(reference: str) -> Charge:
    return Charge(reference, 15000, "USD", START)


def mock(clock: ManualClock, **behaviour: float | str) -> MockProvider:
    return MockProvider(replace(BEHAVIOUR, **behaviour), clock, MemoryBooks())


async def outcomes(count: int, **behaviour: float | str) -> list[Outcome]:
    provider = mock(ManualClock(), **behaviour)
    return [await provider.charge(charge(f"pay_{one}"), ORDINARY) for one in range(count)]


@pytest.mark.parametrize("rate", [0.0, 0.5, 0.9, 1.0])
async def test_successes_follow_the_rate(rate: float) -> None:
    """Over many references the share of successes is near the rate, and exact at 0 and 1."""
    count = 4000
    successes = sum(isinstance(one, Succeeded) for one in await outcomes(count, success_rate=rate))
    assert successes / count == pytest.approx(rate, abs=0.02 if 0 < rate < 1 else 0)


async def test_every_decline_happens() -> None:
    """Declines by chance have all three codes."""
    codes = {one.code for one in await outcomes(100, success_rate=0.0)}
    assert codes == set(DeclineCode)


@pytest.mark.parametrize("seed", ["tests", ""], ids=["seed", "no seed"])
async def test_the_same_reference_has_the_same_answer(seed: str) -> None:
    """One reference has one answer, after a restart and in another replica; other seeds differ."""
    first = await outcomes(200, success_rate=0.5, seed=seed)
    assert await outcomes(200, success_rate=0.5, seed=seed) == first
    assert await outcomes(200, success_rate=0.5, seed="other") != first


async def test_a_refund_is_the_same_in_every_replica() -> None:
    """A refund has one name, whichever provider without a seed is asked; another has another."""
    said = []
    for _ in range(2):
        provider = mock(ManualClock(), seed="", success_rate=1.0)
        taken = await provider.charge(charge("pay_1"), ORDINARY)
        assert isinstance(taken, Succeeded)
        orders = [Return(name, taken.transaction_id, 100, "USD", START) for name in "ab"]
        said.append([await provider.refund(one) for one in orders])
    assert said[0] == said[1]
    assert said[0][0] != said[0][1]


async def test_transactions_have_names_of_their_own() -> None:
    """Each success has a different name: `txn_` and 26 letters and digits."""
    names = [one.transaction_id for one in await outcomes(500, success_rate=1.0)]
    assert len(set(names)) == 500
    assert all(name.startswith("txn_") and len(name) == 30 for name in names)


@pytest.mark.parametrize(("least", "most"), [(0.5, 1.5), (0.0, 0.0), (2.0, 2.0)])
async def test_the_delay_is_within_its_bounds(least: float, most: float) -> None:
    """Each answer takes between the least and the most, and answers spread over all of it."""
    delays = []
    for one in range(200):
        clock = ManualClock()
        provider = mock(clock, delay_min_s=least, delay_max_s=most)
        await provider.charge(charge(f"pay_{one}"), ORDINARY)
        delays.append((clock.now() - START).total_seconds())
    assert least <= min(delays) <= max(delays) <= most
    assert max(delays) - min(delays) >= 0.9 * (most - least)
