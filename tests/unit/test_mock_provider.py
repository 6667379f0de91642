"""The mock provider: by test card or by chance, after a delay, and the same when asked again."""

from dataclasses import replace

import pytest
from support.clock import START, ManualClock
from support.payments import MemoryBooks

from chassis.cards import Card
from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from payment_svc.ports import Charge, Return
from payment_svc.providers import mock_cards
from payment_svc.providers.mock import MockBehaviour, MockProvider

ORDINARY = "4111111111111111"
BEHAVIOUR = MockBehaviour(success_rate=0.9, delay_min_s=0.5, delay_max_s=1.5, seed="tests")
# What the documentation promises, in its own words.
FORCED = {
    "4242424242424242": "",
    "4000000000009995": "Payment declined: insufficient funds",
    "4000000000000002": "Payment declined: card declined",
    "4000000000000069": "Payment declined: expired card",
}
LATER = {"4000000000003188": Succeeded, "4000000000003196": Declined}
LOSES_ANSWER, LOSES_CHARGE = "4000000000003204", "4000000000003212"


def charge(reference: str, number: str = ORDINARY) -> Charge:
    return Charge(reference, 15000, "USD", Card("CREDIT_CARD", number, 12, 2030, "123"))


def mock(clock: ManualClock, **behaviour: float | str) -> MockProvider:
    return MockProvider(replace(BEHAVIOUR, **behaviour), clock, MemoryBooks())


async def outcomes(count: int, number: str = ORDINARY, **behaviour: float | str) -> list[Outcome]:
    provider = mock(ManualClock(), **behaviour)
    return [await provider.charge(charge(f"pay_{one}", number)) for one in range(count)]


@pytest.mark.parametrize("rate", [0.0, 1.0])
@pytest.mark.parametrize(("number", "message"), FORCED.items())
async def test_a_test_card_forces_its_outcome(number: str, message: str, rate: float) -> None:
    """Each documented test card always does the same, whatever the success rate."""
    documented = {*FORCED, *LATER, LOSES_ANSWER, LOSES_CHARGE}
    assert mock_cards.TEST_CARDS.keys() == documented
    for outcome in await outcomes(20, number, success_rate=rate):
        said = outcome.code.message if isinstance(outcome, Declined) else ""
        assert said == message


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


async def test_a_refund_is_the_same_in_every_replica(clock: ManualClock) -> None:
    """A refund has one name, whichever provider without a seed is asked; another has another."""
    one, other = (mock(clock, seed="") for _ in range(2))
    order = Return("ref_1", "txn_1", 15000, "USD")
    assert await one.refund(order) == await other.refund(order)
    assert await one.refund(order) != await other.refund(replace(order, reference="ref_2"))


async def test_transactions_have_names_of_their_own() -> None:
    """Each success has a different name: `txn_` and 26 letters and digits."""
    names = [one.transaction_id for one in await outcomes(500, success_rate=1.0)]
    assert len(set(names)) == 500
    assert all(name.startswith("txn_") and len(name) == 30 for name in names)


async def test_a_refund_succeeds_and_repeats_itself(clock: ManualClock) -> None:
    """A refund succeeds at any rate, and has the same name when it is asked again."""
    provider = mock(clock, success_rate=0.0)
    order = Return("ref_1", "txn_1", 15000, "USD")
    first = await provider.refund(order)
    assert isinstance(first, Succeeded)
    assert await provider.refund(order) == first


@pytest.mark.parametrize(("least", "most"), [(0.5, 1.5), (0.0, 0.0), (2.0, 2.0)])
async def test_the_delay_is_within_its_bounds(least: float, most: float) -> None:
    """Each answer takes between the least and the most, and answers spread over all of it."""
    delays = []
    for one in range(200):
        clock = ManualClock()
        provider = mock(clock, delay_min_s=least, delay_max_s=most)
        await provider.charge(charge(f"pay_{one}"))
        delays.append((clock.now() - START).total_seconds())
    assert least <= min(delays) <= max(delays) <= most
    assert max(delays) - min(delays) >= 0.9 * (most - least)


@pytest.mark.parametrize(("number", "end"), LATER.items())
@pytest.mark.parametrize("ask", ["charge", "lookup"])
async def test_some_cards_take_their_time(
    clock: ManualClock, number: str, end: type[Outcome], ask: str
) -> None:
    """A pending card is PENDING for three seconds, to whoever asks, and then final for ever."""
    provider = mock(clock, delay_max_s=0.0, delay_min_s=0.0)

    async def told() -> Outcome:
        if ask == "lookup":
            return await provider.lookup("pay_1")
        return await provider.charge(charge("pay_1", number))

    assert await provider.charge(charge("pay_1", number)) == Pending()
    clock.move(2.999999)
    assert await told() == Pending()
    clock.move(0.000001)
    final = await told()
    assert isinstance(final, end)
    clock.move(3600)
    assert await told() == final


async def test_a_pending_charge_is_called_off(clock: ManualClock) -> None:
    """A charge that is pending is voided before its time is over, and not afterwards."""
    (number, _), *_ = LATER.items()
    provider = mock(clock, delay_max_s=0.0, delay_min_s=0.0)
    for reference in ("pay_1", "pay_2"):
        await provider.charge(charge(reference, number))
    assert await provider.void("pay_1") == NotDone()
    clock.move(3)
    assert await provider.lookup("pay_1") == NotDone()
    assert isinstance(await provider.void("pay_2"), Succeeded)


async def test_an_answer_is_lost(clock: ManualClock) -> None:
    """A charge whose answer is lost is taken: a lookup finds it, and a repeat is the same one."""
    provider = mock(clock)
    assert isinstance(await provider.charge(charge("pay_1", LOSES_ANSWER)), Unknown)
    taken = await provider.lookup("pay_1")
    assert isinstance(taken, Succeeded)
    assert await provider.charge(charge("pay_1", LOSES_ANSWER)) == taken


async def test_a_charge_is_lost(clock: ManualClock) -> None:
    """A charge that is lost is not taken, until it is asked for again; then it is."""
    provider = mock(clock)
    for reference in ("pay_1", "pay_2"):
        assert isinstance(await provider.charge(charge(reference, LOSES_CHARGE)), Unknown)
        assert await provider.lookup(reference) == NotDone()
    assert await provider.void("pay_2") == NotDone()
    assert isinstance(await provider.charge(charge("pay_1", LOSES_CHARGE)), Succeeded)
    assert await provider.charge(charge("pay_2", LOSES_CHARGE)) == NotDone()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
