"""Refunds: in whole, in part, never more than was paid."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from support.client import refused
from support.clock import ManualClock
from support.databases import Databases, url_of
from support.payments import (
    Payments,
    Question,
    ScriptedProvider,
    refused_fields,
    serving_payments,
    status,
)

from payment_svc.domain.outcome import DeclineCode, Declined, Outcome, Pending, Unknown
from payment_svc.domain.payment import Payment
from payment_svc.ports import Charge, Return

NO = Declined(DeclineCode.CARD_DECLINED)


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


async def standing(payments: Payments, payment: pb.Payment) -> tuple[str, str]:
    """Where a payment stands, and how much of it is given back or set aside."""
    now = await payments.now(payment)
    return status(now), now.refunded_amount.value


async def test_all_of_it(payments: Payments, clock: ManualClock) -> None:
    """A refund without an amount gives all back, by our reference and the provider's charge."""
    paid = await payments.pay()
    clock.move(60)
    refund = await payments.refund(paid)
    assert refund.refund_id.startswith("ref_")
    assert (status(refund), refund.refunded_amount.value, refund.currency) == (
        "REFUNDED", "150.00", "USD"
    )  # fmt: skip
    assert (refund.payment_id, refund.reason) == (paid.payment_id, "BOOKING_CANCELLED")
    assert refund.created_at.ToDatetime(clock.now().tzinfo) == clock.now()
    assert await standing(payments, paid) == ("REFUNDED", "150.00")
    order = Return(refund.refund_id, paid.transaction_id, 15000, "USD", clock.now())
    assert payments.provider.journal[1:] == [order]


async def test_in_parts(payments: Payments) -> None:
    """Parts add up, the last may be whatever is left, and then there is nothing more."""
    paid = await payments.pay()
    await payments.refund(paid, "50")
    assert await standing(payments, paid) == ("PARTIALLY_REFUNDED", "50.00")
    assert (await payments.refund(paid)).refunded_amount.value == "100.00"
    assert await standing(payments, paid) == ("REFUNDED", "150.00")
    for amount in (None, "0.01"):
        with refused("PAYMENT_NOT_REFUNDABLE", paymentId=paid.payment_id, status="REFUNDED"):
            await payments.refund(paid, amount)


async def test_equal_parts_are_two(payments: Payments) -> None:
    """Two equal refunds with different keys, or without, are two; with one key, one."""
    paid = await payments.pay()
    keys = ("a", "b", "", "", "a")
    refunds = [await payments.refund(paid, "10.00", key=key) for key in keys]
    assert len({one.refund_id for one in refunds}) == 4
    assert refunds[0] == refunds[4]
    assert await standing(payments, paid) == ("PARTIALLY_REFUNDED", "40.00")


async def test_a_full_refund_repeats_itself(payments: Payments) -> None:
    """A repeat of a full refund is not refused because nothing is left."""
    paid = await payments.pay()
    assert await payments.refund(paid, key="r") == await payments.refund(paid, key="r")


async def test_more_than_is_left(payments: Payments) -> None:
    """A refund larger than what is left is refused with what is left, and its key stays free."""
    paid = await payments.pay()
    await payments.refund(paid, "100.00")
    facts = {"paymentId": paid.payment_id, "refundable": "50.00", "currency": "USD"}
    with refused("REFUND_EXCEEDS_PAYMENT", **facts):
        await payments.refund(paid, "50.01", key="r")
    assert status(await payments.refund(paid, "50.00", key="r")) == "REFUNDED"


@pytest.mark.parametrize(
    ("answer", "state", "cause"),
    [
        (Pending(), "PENDING", "PENDING"),
        (Unknown("lost"), "PENDING", "OUTCOME_UNKNOWN"),
        (NO, "FAILED", "FAILED"),
    ],
    ids=["pending", "unknown", "failed"],
)
async def test_nothing_was_taken(
    payments: Payments, answer: Outcome, state: str, cause: str
) -> None:
    """A payment that holds no money for certain gives none back, and tells why."""
    payments.provider.answers.append(answer)
    paid = await payments.pay()
    facts = {"paymentId": paid.payment_id, "status": state, "cause": cause}
    with refused("PAYMENT_NOT_REFUNDABLE", **facts):
        await payments.refund(paid)
    assert len(payments.provider.journal) == 1


async def test_a_cancelled_payment(payments: Payments) -> None:
    """A payment that was called off gives nothing back by a refund of its own, and tells why."""
    payments.provider.answers.append(Pending())
    paid = await payments.pay()
    await payments.cancel()
    with refused("PAYMENT_NOT_REFUNDABLE", status="CANCELLED", cause="CANCELLED"):
        await payments.refund(paid)
    assert [type(one) for one in payments.provider.journal] == [Charge]


@pytest.mark.parametrize("keyed", [False, True], ids=["another", "the same"])
async def test_no_second_refund_while_one_is_unknown(payments: Payments, *, keyed: bool) -> None:
    """While it is not known what became of a refund no other is begun; its repeat finds out."""
    paid = await payments.pay()
    payments.provider.answers.append(ConnectionError("lost"))
    assert status(await payments.refund(paid, "100.00", key="r")) == "PENDING"
    if keyed:
        assert status(await payments.refund(paid, "100.00", key="r")) == "REFUNDED"
    else:
        with refused("PAYMENT_NOT_REFUNDABLE", status="SUCCESS", cause="REFUND_UNKNOWN"):
            await payments.refund(paid, "10.00", key="s")
        await payments.refund(paid, "100.00", key="r")
    assert status(await payments.refund(paid, "10.00", key="s")) == "REFUNDED"
    assert await standing(payments, paid) == ("PARTIALLY_REFUNDED", "110.00")


@pytest.mark.parametrize("who", ["reads", "repeats", "reconciles"])
async def test_no_second_refund_while_a_dead_process_has_one(
    databases: Databases, clock: ManualClock, who: str
) -> None:
    """Nor is one begun while somebody asks what became of a refund that a dead process left."""
    database, provider = await databases.fresh("payment_svc"), ScriptedProvider()
    async with serving_payments(database, clock, provider, grace_s=0) as payments:
        paid = await payments.pay()
        await provider.question()
        provider.hold()
        cut_off = asyncio.create_task(payments.refund(paid, "100.00", key="r"))
        await provider.question()
    await asyncio.gather(cut_off, return_exceptions=True)
    async with serving_payments(databases.open(url_of(database)), clock, provider) as payments:
        # The first round of the background finds it leased still.
        await payments.reconcile()
        clock.move(40)
        asks: dict[str, Callable[[], Awaitable[object]]] = {
            "reads": lambda: payments.read(paid.payment_id),
            "repeats": lambda: payments.refund(paid, "100.00", key="r"),
            "reconciles": payments.reconcile,
        }
        asking = asyncio.ensure_future(asks[who]())
        await provider.question()
        with refused("PAYMENT_NOT_REFUNDABLE", status="SUCCESS", cause="REFUND_UNKNOWN"):
            await payments.refund(paid, "10.00", key="s")
        provider.release()
        await asking
        await payments.work_done()
        assert status(await payments.refund(paid, "10.00", key="s")) == "REFUNDED"


async def test_no_such_payment(payments: Payments) -> None:
    """A refund of a payment that does not exist is PAYMENT_NOT_FOUND."""
    with refused("PAYMENT_NOT_FOUND", paymentId="pay_404"):
        await payments.refund(pb.Payment(payment_id="pay_404"))


async def test_a_bad_amount(payments: Payments) -> None:
    """An amount that the payment's currency does not have is an INVALID_FIELD."""
    paid = await payments.pay()
    for amount in ("0", "-1", "1.001", "ten", "", "1e99"):
        with refused_fields("amount"):
            await payments.refund(paid, amount)
    assert await standing(payments, paid) == ("SUCCESS", "0.00")


async def test_refused_by_the_provider(payments: Payments) -> None:
    """A refund that the provider refuses is FAILED, and its amount is part of the payment again."""
    paid = await payments.pay()
    await payments.refund(paid, "100.00")
    payments.provider.answers.append(NO)
    failed = await payments.refund(paid, "50.00")
    assert (status(failed), failed.refunded_amount.value) == ("FAILED", "50.00")
    assert await standing(payments, paid) == ("PARTIALLY_REFUNDED", "100.00")
    assert status(await payments.refund(paid, "50.00")) == "REFUNDED"
    assert await standing(payments, paid) == ("REFUNDED", "150.00")


async def test_an_open_refund_keeps_its_amount(payments: Payments) -> None:
    """While a refund is PENDING nobody else gets its amount; a repeat of its key finishes it."""
    paid = await payments.pay()
    payments.provider.answers.append(Pending())
    assert status(await payments.refund(paid, "100.00", key="r")) == "PENDING"
    assert await standing(payments, paid) == ("SUCCESS", "100.00")
    with refused("REFUND_EXCEEDS_PAYMENT", refundable="50.00"):
        await payments.refund(paid, "100.00")
    assert status(await payments.refund(paid)) == "REFUNDED"
    assert await standing(payments, paid) == ("PARTIALLY_REFUNDED", "150.00")
    with refused("PAYMENT_NOT_REFUNDABLE", status="PARTIALLY_REFUNDED"):
        await payments.refund(paid)
    assert status(await payments.refund(paid, "100.00", key="r")) == "REFUNDED"
    assert await standing(payments, paid) == ("REFUNDED", "150.00")


async def test_set_aside_first(payments: Payments) -> None:
    """When the provider is asked, the amount is set aside and no transaction is open."""
    paid = await payments.pay()
    seen: list[Payment | None] = []

    async def look(_question: Question) -> None:
        await payments.no_transaction_is_open()
        seen.append(await payments.stored(paid.payment_id))

    payments.provider.when_asked = look
    await payments.refund(paid, "60.00")
    (then,) = seen
    assert then is not None
    assert (then.status, then.refunded_minor, then.returned_minor) == ("SUCCESS", 6000, 0)
