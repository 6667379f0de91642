"""The log of a payment: all that was asked and answered about it, by whom, and only ever added."""

from collections.abc import AsyncIterator

import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from support.clock import ManualClock
from support.databases import Databases
from support.payments import Payments, process, serving_payments

from payment_svc.domain.outcome import DeclineCode, Declined, NotDone, Pending, Unknown

NO = Declined(DeclineCode.INSUFFICIENT_FUNDS)
Line = tuple[str, str, str, str, str]


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


async def log_of(payments: Payments, payment: pb.Payment) -> list[Line]:
    """The log: who, about what, with what outcome, in what detail, and the status after it."""
    log = (await payments.read(payment.payment_id, full=True)).log
    return [
        (
            one.actor,
            pb.PaymentLogEntry.Action.Name(one.action),
            pb.PaymentLogEntry.Outcome.Name(one.outcome),
            one.detail,
            pb.Payment.Status.Name(one.status),
        )
        for one in log
    ]


async def test_a_payment_and_its_refunds(payments: Payments, clock: ManualClock) -> None:
    """Charge and refunds are in the log in their order, with who asked and what was answered."""
    paid = await payments.pay()
    payments.provider.answers.append(NO)
    await payments.refund(paid, "10.00")
    clock.move(1)
    await payments.refund(paid)
    txn = paid.transaction_id
    assert await log_of(payments, paid) == [
        ("booking_svc", "CHARGE", "ASKED", "150.00 USD for BK-1", "PENDING"),
        ("provider/scripted", "CHARGE", "SUCCEEDED", txn, "SUCCESS"),
        ("booking_svc", "REFUND", "ASKED", "10.00 USD, BOOKING_CANCELLED", "SUCCESS"),
        ("provider/scripted", "REFUND", "DECLINED", "INSUFFICIENT_FUNDS", "SUCCESS"),
        ("booking_svc", "REFUND", "ASKED", "150.00 USD, BOOKING_CANCELLED", "SUCCESS"),
        ("provider/scripted", "REFUND", "SUCCEEDED", _refund_name(payments), "REFUNDED"),
    ]
    full = await payments.read(paid.payment_id, full=True)
    about = [one.refund_id for one in full.log]
    first, second = (one.refund_id for one in full.refunds)
    assert about == ["", "", first, first, second, second]


def _refund_name(payments: Payments) -> str:
    return f"txn_{payments.provider.journal[-1].reference}"


async def test_a_payment_that_is_called_off(payments: Payments, clock: ManualClock) -> None:
    """What is done by itself is in the log too: voids, late money, and its way back."""
    payments.provider.answers.append(Unknown("lost"))
    payments.provider.void_answers.append(Pending())
    paid = await payments.pay()
    await payments.cancel()
    taken = payments.provider.takes(paid.payment_id)
    clock.move(60)
    await payments.reconcile()
    assert await log_of(payments, paid) == [
        ("booking_svc", "CHARGE", "ASKED", "150.00 USD for BK-1", "PENDING"),
        ("provider/scripted", "CHARGE", "UNKNOWN", "lost", "PENDING"),
        ("booking_svc", "CANCEL", "ASKED", "UNDONE", "CANCELLED"),
        ("provider/scripted", "VOID", "PENDING", "", "CANCELLED"),
        ("provider/scripted", "VOID", "SUCCEEDED", taken.transaction_id, "CANCELLED"),
        ("payment_svc", "REFUND", "ASKED", "150.00 USD, CALLED_OFF", "CANCELLED"),
        ("provider/scripted", "REFUND", "SUCCEEDED", _refund_name(payments), "REFUNDED"),
    ]


async def test_the_same_answer_again(payments: Payments, clock: ManualClock) -> None:
    """The same answer to the same question again is no entry; another one is."""
    payments.provider.answers.append(Pending())
    paid = await payments.pay()
    payments.provider.lookup_answers.extend([Pending(), Pending(), NotDone(), NotDone(), Pending()])
    for _ in range(5):
        clock.move(60)
        await payments.reconcile()
    log = await log_of(payments, paid)
    assert [line[1:3] for line in log] == [
        ("CHARGE", "ASKED"),
        ("CHARGE", "PENDING"),
        ("LOOKUP", "NOT_DONE"),
        ("LOOKUP", "PENDING"),
    ]


async def test_a_repeat_that_takes_over(payments: Payments) -> None:
    """Who asks again with the key of an open payment is in the log, by name."""
    payments.provider.answers.append(Unknown("lost"))
    paid = await payments.pay(key="k")
    other = payments.called_by("ops")
    await other.ProcessPayment(process(), idempotency_key="k")
    asked = [line[0] for line in await log_of(payments, paid) if line[2] == "ASKED"]
    assert asked == ["booking_svc", "ops"]


async def test_the_basic_view(payments: Payments) -> None:
    """Without the view FULL neither refunds nor log are returned, nor are they in lists."""
    paid = await payments.pay()
    await payments.refund(paid)
    basic = await payments.read(paid.payment_id)
    assert not basic.refunds
    assert not basic.log
    assert basic == await payments.now(paid)
