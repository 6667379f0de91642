"""Many calls at once, at two replicas over one database: no money is moved twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest
from support.client import reason_of
from support.clock import ManualClock
from support.databases import Databases, url_of
from support.payments import Payments, ScriptedProvider, serving_payments, status

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
