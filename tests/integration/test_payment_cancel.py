"""CancelPayment: no money stays taken for a booking, whatever comes before, after or meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from structlog.testing import capture_logs
from support.client import refused, replayed
from support.clock import ManualClock
from support.databases import Databases
from support.payments import Payments, Question, give_back, process, serving_payments, status

from payment_svc.domain.outcome import DeclineCode, Declined, NotDone, Outcome, Pending, Unknown
from payment_svc.ports import Return

NO = Declined(DeclineCode.CARD_DECLINED)
LOST = Unknown("lost")


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


def states(found: list[pb.Payment]) -> list[tuple[str, str]]:
    """Where payments stand, and how much of each is given back or set aside."""
    return [(status(one), one.refunded_amount.value) for one in found]


def refunds(payments: Payments) -> list[str]:
    """Our references of the refunds that the provider was asked for."""
    return [one.reference for one in payments.provider.journal if isinstance(one, Return)]


def taken_unheard(payments: Payments) -> None:
    """Let the next charge be taken, and its answer be lost."""

    async def answer(question: Question) -> Outcome:
        payments.provider.takes(question.reference)
        return LOST

    payments.provider.answers.append(answer)


async def test_a_late_payment_takes_nothing(payments: Payments, clock: ManualClock) -> None:
    """A payment that comes after its booking was called off is CANCELLED, and nobody is asked."""
    assert await payments.cancel() == []
    late = await payments.pay(key="k")
    assert states([late]) == [("CANCELLED", "0.00")]
    assert not late.HasField("processed_at")
    again = payments.caller.ProcessPayment(process(), idempotency_key="k")
    assert await replayed(again)
    assert await again == late
    clock.move(3600)
    await payments.reconcile()
    assert await payments.cancel() == [late]
    asked = payments.provider.journal, payments.provider.lookups, payments.provider.voids
    assert asked == ([], [], [])


async def test_only_this_booking(payments: Payments) -> None:
    """Payments of other bookings, even with almost the same name, stay as they are."""
    others = [await payments.pay(booking=name) for name in ("BK-2", "bk-1")]
    await payments.cancel("BK-1")
    assert [await payments.now(one) for one in others] == others
    assert status(await payments.pay(booking="BK-2")) == "SUCCESS"


async def test_what_was_taken_goes_back(payments: Payments, clock: ManualClock) -> None:
    """Of all payments of a booking, oldest first, what is left of them is given back."""
    whole = await payments.pay()
    clock.move(1)
    part = await payments.pay(amount="100.00")
    await payments.refund(part, "30.00")
    clock.move(1)
    payments.provider.answers.append(NO)
    declined = await payments.pay()
    found = await payments.cancel()
    assert [one.payment_id for one in found] == [
        one.payment_id for one in (whole, part, declined)
    ]  # fmt: skip
    assert states(found) == [("REFUNDED", "150.00"), ("REFUNDED", "100.00"), ("FAILED", "0.00")]
    amounts = [one.amount_minor for one in payments.provider.journal if isinstance(one, Return)]
    assert sorted(amounts) == [3000, 7000, 15000]
    asked = len(payments.provider.journal)
    assert await payments.cancel() == found
    assert len(payments.provider.journal) == asked


@pytest.mark.parametrize("answer", [LOST, Pending(), ConnectionError("lost")], ids=repr)
async def test_an_open_payment_is_called_off(
    payments: Payments, answer: Outcome | Exception
) -> None:
    """A payment without an answer is CANCELLED, and its provider is told to void it."""
    payments.provider.answers.append(answer)
    waiting = await payments.pay(key="k")
    assert states([waiting]) == [("PENDING", "0.00")]
    found = await payments.cancel()
    assert states(found) == [("CANCELLED", "0.00")]
    assert payments.provider.voids == [waiting.payment_id]
    assert await payments.pay(key="k") == found[0]
    await payments.cancel()
    assert payments.provider.voids == [waiting.payment_id]
    assert len(payments.provider.journal) == 1
    with refused("PAYMENT_NOT_REFUNDABLE", status="CANCELLED"):
        await payments.refund(waiting)


async def test_taken_after_all(payments: Payments) -> None:
    """A payment whose answer was lost, and that was taken, is given back when it is called off."""
    taken_unheard(payments)
    paid = await payments.pay()
    assert status(paid) == "PENDING"
    (after,) = await payments.cancel()
    assert states([after]) == [("REFUNDED", "150.00")]
    assert after.transaction_id == f"txn_{paid.payment_id}"
    assert len(refunds(payments)) == 1


async def test_called_off_while_it_is_charged(payments: Payments) -> None:
    """A charge that is voided while it is on its way takes nothing; its caller sees CANCELLED."""
    payments.provider.hold()
    paying = asyncio.create_task(payments.pay())
    await payments.provider.question()
    assert states(await payments.cancel()) == [("CANCELLED", "0.00")]
    payments.provider.release()
    assert status(await paying) == "CANCELLED"
    assert refunds(payments) == []


async def test_a_charge_that_cannot_be_voided(payments: Payments) -> None:
    """A charge that succeeds after its booking was called off is given back at once, whole."""
    payments.provider.hold()
    payments.provider.void_answers.append(LOST)
    paying = asyncio.create_task(payments.pay())
    await payments.provider.question()
    assert states(await payments.cancel()) == [("CANCELLED", "0.00")]
    payments.provider.release()
    paid = await paying
    assert states([paid]) == [("CANCELLED", "150.00")]
    assert states([await payments.now(paid)]) == [("REFUNDED", "150.00")]
    assert len(refunds(payments)) == 1


async def test_a_void_without_an_answer(payments: Payments, clock: ManualClock) -> None:
    """A void that got no answer is asked for again in the background, until it has one."""
    taken_unheard(payments)
    payments.provider.void_answers.extend([LOST, Pending()])
    paid = await payments.pay()
    assert states(await payments.cancel()) == [("CANCELLED", "0.00")]
    for expected in ("CANCELLED", "REFUNDED", "REFUNDED"):
        clock.move(60)
        await payments.reconcile()
        assert status(await payments.now(paid)) == expected
    assert payments.provider.voids == [paid.payment_id] * 3
    assert len(refunds(payments)) == 1


async def test_one_void_at_a_time(payments: Payments, clock: ManualClock) -> None:
    """While a void is on its way repeats do not void again; once its lease is over, one does."""
    payments.provider.answers.append(LOST)
    paid = await payments.pay()
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slowly(_reference: Question) -> Outcome:
        asked.set()
        await may_answer.wait()
        return NotDone()

    payments.provider.void_answers.append(slowly)
    first = asyncio.create_task(payments.cancel())
    await asked.wait()
    repeats = await asyncio.gather(*(payments.cancel() for _ in range(10)))
    assert [states(found) for found in repeats] == [[("CANCELLED", "0.00")]] * 10
    assert payments.provider.voids == [paid.payment_id]
    clock.move(60)
    await asyncio.gather(*(payments.cancel() for _ in range(10)))
    assert payments.provider.voids == [paid.payment_id] * 2
    may_answer.set()
    assert states(await first) == [("CANCELLED", "0.00")]


async def test_a_void_without_an_answer_is_repeated(payments: Payments) -> None:
    """A void that got no answer leaves nobody waiting: the next call asks for it again."""
    payments.provider.answers.append(LOST)
    paid = await payments.pay()
    payments.provider.void_answers.extend([LOST, ConnectionError("lost")])
    for _ in range(3):
        assert states(await payments.cancel()) == [("CANCELLED", "0.00")]
    assert payments.provider.voids == [paid.payment_id] * 3


async def test_a_refund_that_is_refused_is_made_anew(payments: Payments) -> None:
    """Each call asks anew for a refund that was refused, and the answer shows that it was."""
    await payments.pay()
    payments.provider.answers.append(NO)
    assert states(await payments.cancel()) == [("SUCCESS", "0.00")]
    assert states(await payments.cancel()) == [("REFUNDED", "150.00")]
    assert len(set(refunds(payments))) == 2


async def test_a_refund_without_an_answer_is_repeated(payments: Payments) -> None:
    """A refund without an answer is on its way back, and each call asks by the same reference."""
    await payments.pay()
    payments.provider.answers.extend([LOST, ConnectionError("lost")])
    for _ in range(2):
        assert states(await payments.cancel()) == [("SUCCESS", "150.00")]
    assert states(await payments.cancel()) == [("REFUNDED", "150.00")]
    assert len(refunds(payments)) == 3
    assert len(set(refunds(payments))) == 1


async def test_nobody_else_need_ask_for_a_late_payment(
    payments: Payments, clock: ManualClock
) -> None:
    """A refund of a late payment that is refused is made anew in the background."""
    taken_unheard(payments)
    paid = await payments.pay()
    payments.provider.answers.extend([NO, NO])
    assert states(await payments.cancel()) == [("CANCELLED", "0.00")]
    await payments.reconcile()
    assert len(refunds(payments)) == 1
    for expected in ("CANCELLED", "REFUNDED"):
        clock.move(60)
        await payments.reconcile()
        assert status(await payments.now(paid)) == expected
    assert len(set(refunds(payments))) == 3


async def test_a_late_payment_that_is_refused_again_and_again(
    payments: Payments, clock: ManualClock
) -> None:
    """Refunds of a late payment that are all refused are tried less and less, with warnings."""
    taken_unheard(payments)
    paid = await payments.pay()
    payments.provider.answers.extend([NO] * 8)
    waits = []
    with capture_logs() as lines:
        await payments.cancel()
        for _ in range(6):
            stored = await payments.stored(paid.payment_id)
            assert stored is not None
            assert stored.next_ask_at is not None
            waits.append((stored.next_ask_at - clock.now()).total_seconds())
            clock.move(waits[-1])
            await payments.reconcile()
    assert len(refunds(payments)) == 7
    # The charge itself was the first question without an answer.
    assert all(0.8 * 2**one <= wait_s <= 1.2 * 2**one for one, wait_s in enumerate(waits, 1))
    warned = [one for one in lines if one["event"] == "late_refund_refused"]
    assert {one["payment_id"] for one in warned} == {paid.payment_id}
    assert [one["log_level"] for one in warned] == ["warning"] * 7


async def test_a_caller_of_cancel_that_leaves(payments: Payments) -> None:
    """A cancellation whose caller leaves in the middle is finished all the same."""
    paid = await payments.pay()
    await payments.provider.question()
    payments.provider.hold()
    leaving = payments.caller.CancelPayment(pb.CancelPaymentRequest(booking_reference="BK-1"))
    await payments.provider.question()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    # On the same connection: when this is answered, the server knows that the caller left.
    with refused("PAYMENT_NOT_FOUND"):
        await payments.caller.RefundPayment(give_back("pay_404"))
    payments.provider.release()
    await payments.work_done()
    assert status(await payments.now(paid)) == "REFUNDED"
