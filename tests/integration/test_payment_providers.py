"""What every `Provider` must do, and the open books of the mock."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.bookings import GOOD_CARD, POOR_CARD, FakeProvider
from support.clock import START, ManualClock
from support.databases import KINDS, Databases, on_mariadb, require
from support.payments import MemoryBooks, ScriptedProvider
from support.provider_suite import GOOD, ProviderSuite, Subject

from chassis.bell import Bell
from chassis.cards import Card
from chassis.database import Database
from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Outcome,
    Pending,
    Succeeded,
)
from payment_svc.ports import Charge, Return
from payment_svc.providers.mock import MockBehaviour, MockProvider
from payment_svc.providers.mock_ledger import MockLedger

AT_ONCE = MockBehaviour(success_rate=1, delay_min_s=0, delay_max_s=0)
# As the header of `mock_ledger.py` has it.
TAKEN = """
    SELECT COALESCE(SUM(amount_minor), 0) FROM provider_charges WHERE state = 'SUCCEEDED'
    OR (state = 'PENDING' AND decline_code IS NULL AND settles_at <= '{now:%Y-%m-%d %H:%M:%S.%f}')
"""
RETURNED = """
    SELECT COALESCE(SUM(amount_minor), 0) FROM provider_refunds WHERE
    (decline_code IS NULL AND (state = 'SUCCEEDED'
      OR (state = 'PENDING' AND settles_at <= '{now:%Y-%m-%d %H:%M:%S.%f}')))
    OR (decline_code IS NOT NULL AND state = 'SUCCEEDED'
      AND settles_at > '{now:%Y-%m-%d %H:%M:%S.%f}')
"""
# As an older version made them.
OLD_BOOKS = """
    CREATE TABLE provider_charges (
        reference VARCHAR(64) PRIMARY KEY, amount_minor BIGINT NOT NULL,
        currency VARCHAR(3) NOT NULL, state VARCHAR(16) NOT NULL,
        transaction_id VARCHAR(64) NOT NULL, decline_code VARCHAR(32),
        created_at DATETIME NOT NULL, settles_at DATETIME NOT NULL
    );
    CREATE TABLE provider_refunds (
        reference VARCHAR(64) PRIMARY KEY, transaction_id VARCHAR(64) NOT NULL,
        amount_minor BIGINT NOT NULL, currency VARCHAR(3) NOT NULL,
        state VARCHAR(16) NOT NULL, refund_id VARCHAR(64) NOT NULL, created_at DATETIME NOT NULL
    );
    INSERT INTO provider_charges VALUES ('pay_1', 15000, 'USD', 'SUCCEEDED', 'txn_1', NULL,
        '2026-11-16 10:00:00.000000', '2026-11-16 10:00:00.000000');
    INSERT INTO provider_refunds VALUES ('ref_1', 'txn_1', 4000, 'USD', 'SUCCEEDED', 'txn_r',
        '2026-11-16 10:01:00.000000')
"""
FAILS, FAILS_LATE = "4000000000003287", "4000000000003295"


def charge(reference: str, amount_minor: int = 15000) -> Charge:
    return Charge(reference, amount_minor, "USD", START)


def card(number: str) -> Card:
    return Card("CREDIT_CARD", number, 12, 2030, "123")


def scripted(clock: ManualClock) -> Subject:
    provider = ScriptedProvider()
    refusal = Declined(DeclineCode.INSUFFICIENT_FUNDS)
    return Subject(provider, clock, decline=lambda: provider.answers.append(refusal))


class TestProviders(ProviderSuite):
    """The mock on its databases and in memory, and the fakes of the tests."""

    @pytest.fixture(params=[*KINDS, "memory", "fake", "scripted"])
    async def subject(
        self, request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
    ) -> Any:
        if request.param in KINDS:
            async with Databases(require(request.param), tmp_path) as databases:
                yield Subject(MockProvider(AT_ONCE, clock, await ledger_on(databases)), clock)
        elif request.param == "memory":
            yield Subject(MockProvider(AT_ONCE, clock, MemoryBooks()), clock)
        elif request.param == "fake":
            yield Subject(FakeProvider(), clock)
        else:
            yield scripted(clock)


async def ledger_on(databases: Databases, url: str = "") -> MockLedger:
    ledger = MockLedger(databases.open(url or await databases.empty()))
    await ledger.create()
    return ledger


async def sums(database: Database, clock: ManualClock) -> tuple[int, int]:
    """What the provider has taken and given back, from its tables alone."""

    async def unit(connection: Any) -> tuple[int, int]:
        now = clock.now()
        taken = await connection.exec_driver_sql(TAKEN.format(now=now))
        returned = await connection.exec_driver_sql(RETURNED.format(now=now))
        return int(taken.scalar_one()), int(returned.scalar_one())

    return await database.read(unit)


async def refund(
    provider: MockProvider, reference: str, taken: Outcome, amount_minor: int
) -> Outcome:
    assert isinstance(taken, Succeeded)
    return await provider.refund(
        Return(reference, taken.transaction_id, amount_minor, "USD", START)
    )


async def test_the_books_are_open(databases: Databases, clock: ManualClock) -> None:
    """The sum of what is taken follows each charge, void and moment; repeats add none."""
    url = await databases.empty()
    provider = MockProvider(AT_ONCE, clock, await ledger_on(databases, url))
    database = databases.open(url)
    for _ in range(2):
        for reference, number in (
            ("a", GOOD_CARD),
            ("b", POOR_CARD),
            ("c", "4000000000003188"),
            ("d", "4000000000003188"),
            ("e", "4000000000003196"),
        ):
            await provider.charge(charge(reference, 1000), card(number))
    await provider.void(charge("d"))
    await provider.void(charge("f"))
    assert await sums(database, clock) == (1000, 0)
    clock.move(3)
    assert await sums(database, clock) == (2000, 0)
    assert isinstance(await provider.lookup(charge("c")), Succeeded)
    assert await sums(database, clock) == (2000, 0)


async def test_the_books_of_refunds_are_open(databases: Databases, clock: ManualClock) -> None:
    """The sum of what is given back follows each refund and moment; repeats add none."""
    url = await databases.empty()
    provider = MockProvider(AT_ONCE, clock, await ledger_on(databases, url))
    database = databases.open(url)
    taken = {
        number: await provider.charge(charge(number, 1000), card(number))
        for number in (GOOD_CARD, FAILS, FAILS_LATE)
    }

    async def give_back() -> None:
        await refund(provider, "a", taken[GOOD_CARD], 1)
        await refund(provider, "b", taken[FAILS], 10)
        await refund(provider, "c", taken[FAILS_LATE], 100)
        await refund(provider, "d", taken[GOOD_CARD], 1000)

    for _ in range(2):
        await give_back()
    assert await sums(database, clock) == (3000, 101)
    clock.move(3)
    assert await sums(database, clock) == (3000, 1)
    await give_back()
    assert await sums(database, clock) == (3000, 1)
    await refund(provider, "e", taken[FAILS_LATE], 1000)
    assert await sums(database, clock) == (3000, 1001)


async def test_old_books_are_kept(databases: Databases, clock: ManualClock) -> None:
    """Books of an older version get what they lack, from whoever starts first, and stay true."""
    url = await databases.empty()
    database = databases.open(url)
    async with database.writer.begin() as connection:
        for statement in OLD_BOOKS.split(";"):
            await connection.exec_driver_sql(statement)
    ledgers = await asyncio.gather(*(ledger_on(databases, url) for _ in range(3)))
    assert await sums(database, clock) == (15000, 4000)
    provider = MockProvider(AT_ONCE, clock, ledgers[0], bell=Bell())
    taken = await provider.lookup(charge("pay_1"))
    assert taken == Succeeded("txn_1")
    assert await refund(provider, "ref_1", taken, 4000) == Succeeded("txn_r")
    assert isinstance(await refund(provider, "ref_2", taken, 11001), Declined)
    assert isinstance(await refund(provider, "ref_3", taken, 11000), Succeeded)
    assert await sums(database, clock) == (15000, 15000)
    await ledger_on(databases, url)


async def test_the_books_survive(databases: Databases, clock: ManualClock) -> None:
    """After a restart, with another seed and another rate, what was decided stays decided."""
    url = await databases.empty()
    first = MockProvider(AT_ONCE, clock, await ledger_on(databases, url))
    asked, ordinary = charge("pay_1"), card("4111111111111111")
    taken = await first.charge(asked, ordinary)
    given = await refund(first, "ref_1", taken, 100)
    assert isinstance(given, Succeeded)
    await first.void(charge("pay_2"))
    changed = MockBehaviour(success_rate=0, delay_min_s=0, delay_max_s=0, seed="other")
    second = MockProvider(changed, clock, await ledger_on(databases, url))
    assert await second.charge(asked, ordinary) == await second.lookup(asked) == taken
    assert await refund(second, "ref_1", taken, 100) == given
    assert await second.charge(charge("pay_2"), GOOD) == NotDone()


async def test_the_first_refund_stays_the_first(databases: Databases, clock: ManualClock) -> None:
    """After a restart the books know of a charge which card it was and which refund was first."""
    url = await databases.empty()
    first = MockProvider(AT_ONCE, clock, await ledger_on(databases, url))
    taken = await first.charge(charge("pay_1"), card(FAILS))
    second = MockProvider(AT_ONCE, clock, await ledger_on(databases, url))
    assert await refund(second, "ref_1", taken, 15000) == Pending()
    clock.move(3)
    third = MockProvider(AT_ONCE, clock, await ledger_on(databases, url))
    assert isinstance(await refund(third, "ref_2", taken, 15000), Succeeded)
    assert isinstance(await refund(third, "ref_1", taken, 15000), Declined)


@on_mariadb
async def test_refunds_at_once(databases: Databases, clock: ManualClock) -> None:
    """Of many refunds at three replicas no more is given back than was taken, and one fails."""
    url = await databases.empty()
    ledgers = await asyncio.gather(*(ledger_on(databases, url) for _ in range(3)))
    providers = [MockProvider(AT_ONCE, clock, ledger) for ledger in ledgers]
    for round_ in range(5):
        taken = await providers[0].charge(charge(f"pay_{round_}", 5000), card(FAILS))
        asked = [
            refund(provider, f"ref_{round_}_{one}", taken, 1000)
            for one in range(8)
            for provider in providers
        ]
        said = [type(one) for one in await asyncio.gather(*asked)]
        assert (said.count(Succeeded), said.count(Pending), said.count(Declined)) == (12, 3, 9)


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
            for call in (provider.charge(charge(reference), GOOD), provider.void(charge(reference)))
        ]
        said = await asyncio.gather(*asked)
        assert len(set(said)) == 1
        assert Pending() not in said
        assert await providers[0].lookup(charge(reference)) == said[0]
