"""What every `Provider` must do: the mock on its databases, and the fakes of the tests."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.bookings import GOOD_CARD, POOR_CARD, FakeProvider
from support.clock import ManualClock
from support.databases import KINDS, Databases, on_mariadb, require
from support.payments import MemoryBooks, ScriptedProvider

from chassis.cards import Card
from chassis.database import Database
from payment_svc.domain.outcome import DeclineCode, Declined, NotDone, Pending, Succeeded
from payment_svc.ports import Charge, Provider, Return
from payment_svc.providers.mock import MockBehaviour, MockProvider
from payment_svc.providers.mock_ledger import MockLedger

AT_ONCE = MockBehaviour(success_rate=1, delay_min_s=0, delay_max_s=0)
# As the header of `mock_ledger.py` has it.
TAKEN = """
    SELECT COALESCE(SUM(amount_minor), 0) FROM provider_charges WHERE state = 'SUCCEEDED'
    OR (state = 'PENDING' AND decline_code IS NULL AND settles_at <= '{now:%Y-%m-%d %H:%M:%S.%f}')
"""
RETURNED = "SELECT COALESCE(SUM(amount_minor), 0) FROM provider_refunds WHERE state = 'SUCCEEDED'"


def charge(reference: str, card: str = GOOD_CARD, amount_minor: int = 15000) -> Charge:
    method = Card("CREDIT_CARD", card, 12, 2030, "123")
    return Charge(reference, amount_minor, "USD", method)


@dataclass(frozen=True)
class Subject:
    """A provider, and how it is made to decline the next charge."""

    provider: Provider
    decline: Callable[[], Any] = lambda: None


def scripted() -> Subject:
    provider = ScriptedProvider()
    refusal = Declined(DeclineCode.INSUFFICIENT_FUNDS)
    return Subject(provider, lambda: provider.answers.append(refusal))


@pytest.fixture(params=[*KINDS, "memory", "fake", "scripted"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Any:
    if request.param in KINDS:
        async with Databases(require(request.param), tmp_path) as databases:
            yield Subject(MockProvider(AT_ONCE, clock, await ledger_on(databases)))
    elif request.param == "memory":
        yield Subject(MockProvider(AT_ONCE, clock, MemoryBooks()))
    else:
        yield scripted() if request.param == "scripted" else Subject(FakeProvider())


async def ledger_on(databases: Databases, url: str = "") -> MockLedger:
    ledger = MockLedger(databases.open(url or await databases.empty()))
    await ledger.create()
    return ledger


async def test_a_charge_is_one_charge(subject: Subject) -> None:
    """A charge has the same outcome when it is asked for again, or looked up, at any time."""
    first = await subject.provider.charge(charge("pay_1"))
    assert isinstance(first, Succeeded)
    assert await subject.provider.charge(charge("pay_1")) == first
    assert await subject.provider.lookup("pay_1") == first
    assert await subject.provider.charge(charge("pay_2")) != first


async def test_a_decline_stays_one(subject: Subject) -> None:
    """A charge that was declined is declined to whoever asks, and a void finds nothing to undo."""
    subject.decline()
    declined = await subject.provider.charge(charge("pay_1", POOR_CARD))
    assert declined == Declined(DeclineCode.INSUFFICIENT_FUNDS)
    assert await subject.provider.lookup("pay_1") == declined
    assert await subject.provider.void("pay_1") == NotDone()


async def test_what_was_never_seen(subject: Subject) -> None:
    """A charge that was never seen is NotDone, and to look it up changes nothing."""
    assert await subject.provider.lookup("pay_1") == NotDone()
    assert isinstance(await subject.provider.charge(charge("pay_1")), Succeeded)


async def test_voided_in_time(subject: Subject) -> None:
    """A charge that comes after its void is NotDone for ever."""
    for _ in range(2):
        assert await subject.provider.void("pay_1") == NotDone()
        assert await subject.provider.charge(charge("pay_1")) == NotDone()
        assert await subject.provider.lookup("pay_1") == NotDone()


async def test_voided_too_late(subject: Subject) -> None:
    """A void of what is taken tells so, by the name of the charge, and changes nothing."""
    taken = await subject.provider.charge(charge("pay_1"))
    for _ in range(2):
        assert await subject.provider.void("pay_1") == taken
    assert await subject.provider.lookup("pay_1") == taken


async def test_a_refund_is_one_refund(subject: Subject) -> None:
    """A refund has the same outcome when it is asked for again; another has another."""
    taken = await subject.provider.charge(charge("pay_1"))
    assert isinstance(taken, Succeeded)
    order = Return("ref_1", taken.transaction_id, 5000, "USD")
    first = await subject.provider.refund(order)
    assert isinstance(first, Succeeded)
    assert await subject.provider.refund(order) == first
    other = Return("ref_2", taken.transaction_id, 5000, "USD")
    assert await subject.provider.refund(other) != first


async def sums(database: Database, clock: ManualClock) -> tuple[int, int]:
    """What the provider has taken and given back, from its tables alone."""

    async def unit(connection: Any) -> tuple[int, int]:
        now = clock.now()
        taken = await connection.exec_driver_sql(TAKEN.format(now=now))
        returned = await connection.exec_driver_sql(RETURNED)
        return int(taken.scalar_one()), int(returned.scalar_one())

    return await database.read(unit)


async def test_the_books_are_open(databases: Databases, clock: ManualClock) -> None:
    """The sums of the two tables follow each charge, refund, void and moment; repeats add none."""
    url = await databases.empty()
    provider = MockProvider(AT_ONCE, clock, await ledger_on(databases, url))
    database = databases.open(url)
    for _ in range(2):
        for reference, card in (
            ("a", GOOD_CARD),
            ("b", POOR_CARD),
            ("c", "4000000000003188"),
            ("d", "4000000000003188"),
            ("e", "4000000000003196"),
        ):
            await provider.charge(charge(reference, card, 1000))
        await provider.refund(Return("ref_1", "txn_1", 300, "USD"))
    await provider.void("d")
    await provider.void("f")
    assert await sums(database, clock) == (1000, 300)
    clock.move(3)
    assert await sums(database, clock) == (2000, 300)
    assert isinstance(await provider.lookup("c"), Succeeded)
    assert await sums(database, clock) == (2000, 300)


async def test_the_books_survive(databases: Databases, clock: ManualClock) -> None:
    """After a restart, with another seed and another rate, what was decided stays decided."""
    url = await databases.empty()
    first = MockProvider(AT_ONCE, clock, await ledger_on(databases, url))
    ordinary = charge("pay_1", "4111111111111111")
    taken = await first.charge(ordinary)
    given = await first.refund(Return("ref_1", "txn_1", 100, "USD"))
    await first.void("pay_2")
    changed = MockBehaviour(success_rate=0, delay_min_s=0, delay_max_s=0, seed="other")
    second = MockProvider(changed, clock, await ledger_on(databases, url))
    assert await second.charge(ordinary) == await second.lookup("pay_1") == taken
    assert await second.refund(Return("ref_1", "txn_1", 100, "USD")) == given
    assert await second.charge(charge("pay_2")) == NotDone()


@on_mariadb
async def test_replicas_share_the_books(databases: Databases, clock: ManualClock) -> None:
    """Many charges and voids of one reference at once, at three replicas, agree on one outcome."""
    url = await databases.empty()
    ledgers = await asyncio.gather(*(ledger_on(databases, url) for _ in range(3)))
    providers = [MockProvider(AT_ONCE, clock, ledger) for ledger in ledgers]
    for one in range(10):
        reference = f"pay_{one}"
        asked = [
            call
            for provider in providers
            for call in (provider.charge(charge(reference)), provider.void(reference))
        ]
        said = await asyncio.gather(*asked)
        assert len(set(said)) == 1
        assert Pending() not in said
        assert await providers[0].lookup(reference) == said[0]
