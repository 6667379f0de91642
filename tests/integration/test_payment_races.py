"""Many calls at once, at two replicas over one database: no money is moved twice."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest
from support.client import reason_of
from support.clock import ManualClock
from support.databases import Databases, on_mariadb, url_of
from support.payments import Payments, Question, ScriptedProvider, serving_payments, status

from chassis.database import DatabaseTransactions
from payment_svc.persistence.repository import SqlLedger
from payment_svc.ports import Return

CALLS = 40
REFUNDS = 50
PAUSE_S = 0.05


@pytest.fixture
async def replicas(databases: Databases, clock: ManualClock) -> AsyncIterator[list[Payments]]:
    first = await databases.fresh("payment_svc")
    second = databases.open(url_of(first))
    provider = ScriptedProvider()
    async with (
        serving_payments(first, clock, provider) as one,
        serving_payments(second, clock, provider) as other,
    ):
        yield [one, other]


async def pay_patiently(replica: Payments) -> str:
    """Pay with one key, again for as long as it is in use; the payment's id."""
    while True:
        try:
            return (await replica.pay(key="k")).payment_id
        except grpc.RpcError as error:
            if reason_of(error) != "IDEMPOTENCY_KEY_IN_USE":
                raise
        await asyncio.sleep(PAUSE_S)


async def test_forty_identical_calls(replicas: list[Payments]) -> None:
    """Forty calls with one key are one payment and one charge, and all get that payment."""
    ids = await asyncio.gather(*(pay_patiently(replicas[call % 2]) for call in range(CALLS)))
    assert len(set(ids)) == 1
    assert [one.reference for one in replicas[0].provider.journal] == ids[:1]


@pytest.mark.parametrize("provider_is_slow", [False, True])
async def test_fifty_refunds(replicas: list[Payments], provider_is_slow: bool) -> None:  # noqa: FBT001
    """Of fifty refunds of 10.00 on a payment of 150.00 at once exactly fifteen succeed."""
    one, provider = replicas[0], replicas[0].provider
    paid = await one.pay(amount="150.00")
    await provider.question()
    if provider_is_slow:
        provider.hold()

    async def attempt(call: int) -> str:
        try:
            return status(await replicas[call % 2].refund(paid, "10.00", key=f"r{call}"))
        except grpc.RpcError as error:
            return reason_of(error)

    attempts = [asyncio.create_task(attempt(call)) for call in range(REFUNDS)]
    for _ in range(15 if provider_is_slow else 0):
        await provider.question()
    provider.release()
    outcomes = Counter(await asyncio.gather(*attempts))
    assert outcomes == {"REFUNDED": 15, "PAYMENT_NOT_REFUNDABLE": 35}
    returned = [question.amount_minor for question in provider.journal[1:]]
    assert returned == [1000] * 15
    after = await one.now(paid)
    assert (status(after), after.refunded_amount.value) == ("REFUNDED", "150.00")


def kept(provider: ScriptedProvider) -> int:
    """What the provider took and did not give back, in minor units; repeats count once."""
    asked = {one.reference: one for one in provider.journal}
    returned = sum(one.amount_minor for one in asked.values() if isinstance(one, Return))
    return sum(asked[name].amount_minor for name in provider.taken()) - returned


@on_mariadb
async def test_paying_against_cancelling(replicas: list[Payments], clock: ManualClock) -> None:
    """Whichever of a payment and a cancellation comes first, no money stays taken."""
    provider = replicas[0].provider

    async def a_moment(_question: Question) -> None:
        await asyncio.sleep(random.uniform(0, 0.02))

    provider.when_asked = a_moment

    async def cancel(booking: str) -> None:
        await asyncio.sleep(random.uniform(0, 0.05))
        await replicas[1].cancel(booking)

    bookings = [f"BK-{one}" for one in range(CALLS)]
    for part in (bookings[:20], bookings[20:]):
        calls = [call for one in part for call in (replicas[0].pay(booking=one), cancel(one))]
        await asyncio.gather(*calls)
    clock.move(3600)
    await replicas[0].reconcile()
    found = [payment for one in bookings for payment in await replicas[0].cancel(one)]
    assert {status(one) for one in found} <= {"CANCELLED", "REFUNDED"}
    assert len(found) == CALLS
    assert kept(provider) == 0


@on_mariadb
async def test_cancelling_against_refunding(replicas: list[Payments]) -> None:
    """Many cancellations and refunds of one payment at once give it back exactly once."""
    provider = replicas[0].provider
    paid = await replicas[0].pay(amount="150.00")

    async def refund(call: int) -> None:
        try:
            await replicas[call % 2].refund(paid, "40.00")
        except grpc.RpcError as error:
            if reason_of(error) not in {"PAYMENT_NOT_REFUNDABLE", "REFUND_EXCEEDS_PAYMENT"}:
                raise

    cancels = [replicas[call % 2].cancel() for call in range(10)]
    await asyncio.gather(*(refund(call) for call in range(10)), *cancels)
    (after,) = await replicas[0].cancel()
    assert (status(after), after.refunded_amount.value) == ("REFUNDED", "150.00")
    assert kept(provider) == 0


@on_mariadb
async def test_a_cancellation_waits_for_a_refund(replicas: list[Payments]) -> None:
    """A cancellation that meets a refund being stored gives back only what that one leaves."""
    one, other = replicas
    paid = await one.pay(amount="150.00")
    set_aside, may_commit = asyncio.Event(), asyncio.Event()

    async def begin_refund(ledger: SqlLedger) -> None:
        payment = await ledger.lock_payment(paid.payment_id)
        assert payment is not None
        await ledger.save_payment(payment.setting_aside(4000))
        set_aside.set()
        await may_commit.wait()

    transactions = DatabaseTransactions(one.database, SqlLedger)
    refunding = asyncio.create_task(transactions.write(begin_refund))
    await set_aside.wait()
    cancelling = asyncio.create_task(other.cancel())
    await asyncio.wait({cancelling}, timeout=0.3)
    may_commit.set()
    await refunding
    (after,) = await cancelling
    assert after.refunded_amount.value == "150.00"
    assert one.provider.journal[-1].amount_minor == 11000
