"""What is open is resolved without anybody asking: the provider is asked, soon and then slower."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from sqlalchemy import update
from structlog.testing import capture_logs
from support.clock import ManualClock
from support.databases import Databases, on_mariadb, url_of
from support.payments import (
    WAIT_S,
    Payments,
    ScriptedProvider,
    serving_payments,
    silence,
    status,
)

from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from payment_svc.persistence import tables
from payment_svc.ports import Return
from payment_svc.usecases import reconciler

NO = Declined(DeclineCode.CARD_DECLINED)
LOST = Unknown("lost")


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


async def left_open(payments: Payments, answer: Outcome = LOST) -> pb.Payment:
    # What was surely not done is asked for three times.
    payments.provider.answers.extend([answer] * (3 if answer == NotDone() else 1))
    paid = await payments.pay()
    assert status(paid) == "PENDING"
    return paid


async def test_a_killed_process(databases: Databases, clock: ManualClock) -> None:
    """A payment that a dead process left open is resolved when its lease is over, not before."""
    database, provider = await databases.fresh("payment_svc"), ScriptedProvider()
    async with serving_payments(database, clock, provider, grace_s=0) as payments:
        provider.hold()
        cut_off = asyncio.create_task(payments.pay())
        asked = await provider.question()
    await asyncio.gather(cut_off, return_exceptions=True)
    provider.takes(asked.reference)
    async with serving_payments(databases.open(url_of(database)), clock, provider) as payments:
        paid = pb.Payment(payment_id=asked.reference, booking_reference="BK-1")
        clock.move(34.999999)
        await payments.reconcile()
        assert status(await payments.now(paid)) == "PENDING"
        clock.move(0.000001)
        await payments.reconcile()
        assert status(await payments.now(paid)) == "SUCCESS"
    assert (len(provider.journal), provider.lookups) == (1, [asked.reference])


@pytest.mark.parametrize(
    ("told", "expected"), [("taken", "SUCCESS"), (NO, "FAILED")], ids=["SUCCESS", "FAILED"]
)
async def test_a_provider_that_answers_later(
    payments: Payments, clock: ManualClock, told: Outcome | str, expected: str
) -> None:
    """A payment that its provider holds as pending gets the outcome that a lookup tells."""
    paid = await left_open(payments, Pending())
    final = payments.provider.takes(paid.payment_id) if told == "taken" else told
    payments.provider.lookup_answers.extend([Pending(), final])
    for status_then in ("PENDING", expected, expected):
        clock.move(10)
        await payments.reconcile()
        assert status(await payments.now(paid)) == status_then
    assert len(payments.provider.lookups) == 2


async def test_asked_less_and_less(payments: Payments, clock: ManualClock) -> None:
    """Without an answer the next question comes later and later, and none in between."""
    paid = await left_open(payments)
    payments.provider.lookup_answers.extend([LOST] * 6)
    waits = []
    for asked in range(6):
        stored = await payments.stored(paid.payment_id)
        assert stored is not None
        assert stored.next_ask_at is not None
        waits.append((stored.next_ask_at - clock.now()).total_seconds())
        clock.move(waits[-1] - 0.001)
        await payments.reconcile()
        assert len(payments.provider.lookups) == asked
        clock.move(0.001)
        await payments.reconcile()
    assert all(0.8 * 2**one <= wait_s <= 1.2 * 2**one for one, wait_s in enumerate(waits))


async def test_reading_asks(payments: Payments, clock: ManualClock) -> None:
    """Reading an open payment has its provider asked at once, and the answer is read."""
    paid = await left_open(payments)
    payments.provider.takes(paid.payment_id)
    clock.move(2)
    assert status(await payments.read(paid.payment_id)) == "SUCCESS"
    assert (len(payments.provider.journal), payments.provider.lookups) == (1, [paid.payment_id])


async def test_reading_asks_about_refunds(payments: Payments, clock: ManualClock) -> None:
    """Reading a payment with an open refund has its provider asked about that."""
    paid = await payments.pay()
    payments.provider.answers.append(Pending())
    assert status(await payments.refund(paid)) == "PENDING"
    clock.move(2)
    assert status(await payments.read(paid.payment_id)) == "REFUNDED"


async def test_reading_does_not_ask_too_often(payments: Payments, clock: ManualClock) -> None:
    """Within two seconds of an answer, and of a settled payment, reading asks nobody."""
    settled, paid = await payments.pay(), await left_open(payments)
    payments.provider.lookup_answers.extend([Pending(), Pending()])
    for _ in range(3):
        clock.move(1.999)
        await asyncio.gather(*(payments.read(paid.payment_id) for _ in range(5)))
        await payments.read(settled.payment_id)
    assert payments.provider.lookups == [paid.payment_id]


async def test_reading_leaves_the_schedule(payments: Payments, clock: ManualClock) -> None:
    """However often it is read, an open payment is asked about when its schedule says so."""
    paid = await left_open(payments)
    before = await payments.stored(paid.payment_id)
    payments.provider.lookup_answers.extend([Pending()] * 20)
    for _ in range(20):
        clock.move(2)
        await payments.read(paid.payment_id)
    assert len(payments.provider.lookups) == 20
    after = await payments.stored(paid.payment_id)
    assert before is not None
    assert after is not None
    assert (after.next_ask_at, after.asks) == (before.next_ask_at, before.asks)


async def test_reading_makes_no_refund(payments: Payments, clock: ManualClock) -> None:
    """A refused refund of a booking that was called off is made anew by the schedule alone."""
    paid = await payments.pay()
    payments.provider.answers.append(NO)
    await payments.cancel()
    asked = len(payments.provider.journal)
    for _ in range(5):
        clock.move(2)
        await payments.read(paid.payment_id)
    assert len(payments.provider.journal) == asked
    await payments.reconcile()
    assert status(await payments.now(paid)) == "REFUNDED"


async def test_reading_does_not_wait_long(payments: Payments, clock: ManualClock) -> None:
    """A reader gets the payment as it was when the provider does not answer; it may leave early."""
    paid = await left_open(payments)
    payments.provider.lookup_answers.append(silence)
    clock.move(2)
    began = time.monotonic()
    call = payments.caller.GetPayment(pb.GetPaymentRequest(payment_id=paid.payment_id), timeout=1)
    assert status(await call) == "PENDING"
    assert time.monotonic() - began < 1
    assert payments.provider.lookups == [paid.payment_id]


async def test_given_up(payments: Payments, clock: ManualClock) -> None:
    """A payment that its provider has never seen is voided and CANCELLED after 15 minutes."""
    paid = await left_open(payments, NotDone())
    clock.move(899)
    await payments.reconcile()
    assert (status(await payments.now(paid)), payments.provider.voids) == ("PENDING", [])
    clock.move(3600)
    await payments.reconcile()
    assert status(await payments.now(paid)) == "CANCELLED"
    assert payments.provider.voids == [paid.payment_id]
    clock.move(3600)
    await payments.reconcile()
    assert len(payments.provider.lookups) == 2


async def test_not_given_up_without_a_word(payments: Payments, clock: ManualClock) -> None:
    """A payment about which its provider says nothing stays PENDING, however old it is."""
    paid = await left_open(payments)
    payments.provider.lookup_answers.extend([LOST, Pending(), NotDone()])
    payments.provider.void_answers.append(LOST)
    for _ in range(3):
        clock.move(7200)
        await payments.reconcile()
        assert status(await payments.now(paid)) == "PENDING"


async def test_surely_not_done_is_asked_again(payments: Payments) -> None:
    """A charge that surely was not done is tried three times, and again when it is repeated."""
    payments.provider.answers.extend([NotDone()] * 5)
    assert status(await payments.pay(key="k")) == "PENDING"
    assert len(payments.provider.journal) == 3
    assert status(await payments.pay(key="k")) == "SUCCESS"
    assert len(payments.provider.journal) == 6
    assert len({one.reference for one in payments.provider.journal}) == 1


async def test_an_open_refund(payments: Payments, clock: ManualClock) -> None:
    """A refund without an answer is asked for again by its reference, until it has one."""
    paid = await payments.pay()
    payments.provider.answers.extend([LOST, LOST])
    assert status(await payments.refund(paid, "60.00")) == "PENDING"
    await payments.reconcile()
    for expected in ("SUCCESS", "PARTIALLY_REFUNDED", "PARTIALLY_REFUNDED"):
        clock.move(10)
        await payments.reconcile()
        assert status(await payments.now(paid)) == expected
    orders = [one for one in payments.provider.journal if isinstance(one, Return)]
    assert len(orders) == 3
    assert len(set(orders)) == 1


async def test_a_batch_at_a_time(
    payments: Payments, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round takes one batch, the longest due first, and says that there is more."""
    monkeypatch.setattr(reconciler, "BATCH", 2)
    opened = []
    for _ in range(3):
        opened.append((await left_open(payments)).payment_id)
        clock.move(5)
    run_once: Callable[[], object] = payments.worker("reconciler").run_once
    assert [await run_once(), await run_once()] == [True, False]
    assert set(payments.provider.lookups[:2]) == set(opened[:2])
    assert payments.provider.lookups[2:] == opened[2:]


@on_mariadb
async def test_replicas_share_the_work(databases: Databases, clock: ManualClock) -> None:
    """Of several reconcilers at once exactly one asks about each payment, and about each refund."""
    database, provider = await databases.fresh("payment_svc"), ScriptedProvider()
    async with (
        serving_payments(database, clock, provider) as one,
        serving_payments(databases.open(url_of(database)), clock, provider) as other,
    ):
        opened = [await left_open(one) for _ in range(10)]
        refunded = [await one.pay() for _ in range(5)]
        provider.answers.extend([LOST] * 5)
        for paid in refunded:
            await one.refund(paid)
        provider.journal.clear()
        clock.move(60)
        await asyncio.gather(*(replica.reconcile() for replica in (one, other) * 3))
    assert sorted(provider.lookups) == sorted(paid.payment_id for paid in opened)
    assert len(provider.journal) == len({asked.reference for asked in provider.journal}) == 5


async def test_rows_of_a_newer_version(payments: Payments, clock: ManualClock) -> None:
    """A row in a state that this version does not know is left alone, and stops no other."""
    strange, waiting = await left_open(payments), await left_open(payments)
    paid = await payments.pay()
    payments.provider.answers.append(LOST)
    refund = await payments.refund(paid, "10.00")
    for statement in (
        update(tables.payments)
        .where(tables.payments.c.payment_id == strange.payment_id)
        .values(status="REQUIRES_ACTION"),
        update(tables.refunds).values(status="REQUIRES_ACTION"),
    ):
        await payments.database.write(lambda one, statement=statement: one.execute(statement))
    payments.provider.takes(waiting.payment_id)
    asked = len(payments.provider.journal)
    clock.move(60)
    await payments.reconcile()
    assert payments.provider.lookups == [waiting.payment_id]
    assert payments.provider.journal[asked:] == []
    assert status(refund) == "PENDING"
    assert status(await payments.read(waiting.payment_id)) == "SUCCESS"


async def test_rows_of_an_older_version(payments: Payments, clock: ManualClock) -> None:
    """A row that an older version has stored or settled is brought in order, whatever it says."""
    paid, waiting = await payments.pay(), await left_open(payments)
    await payments.refund(paid, "10.00")
    long_ago = update(tables.payments).values(next_ask_at=clock.now() - timedelta(days=9999))
    refunds_too = update(tables.refunds).values(next_ask_at=clock.now() - timedelta(days=9999))
    for statement in (long_ago, refunds_too):
        await payments.database.write(lambda one, statement=statement: one.execute(statement))
    payments.provider.takes(waiting.payment_id)
    before = await payments.now(paid)
    asked = len(payments.provider.journal)
    await payments.reconcile()
    clock.move(3600)
    await payments.reconcile()
    assert await payments.now(paid) == before
    assert status(await payments.now(waiting)) == "SUCCESS"
    assert payments.provider.journal[asked:] == []
    assert payments.provider.lookups == [waiting.payment_id]


async def cancelled_within(_question: object) -> Outcome:
    raise asyncio.CancelledError


async def test_a_provider_that_is_cancelled_within(payments: Payments, clock: ManualClock) -> None:
    """A task of the provider's own that is cancelled is no answer, and ends nothing of ours."""
    payments.provider.answers.append(cancelled_within)
    async with asyncio.timeout(WAIT_S):
        paid = await payments.pay()
    assert status(paid) == "PENDING"
    payments.provider.takes(paid.payment_id)
    payments.provider.lookup_answers.append(cancelled_within)
    for expected in ("PENDING", "SUCCESS"):
        clock.move(10)
        await payments.reconcile()
        assert status(await payments.now(paid)) == expected


async def test_taken_after_it_was_declined(payments: Payments, clock: ManualClock) -> None:
    """A success of a payment that was declined changes nothing and is an error in the log."""
    payments.provider.hold()
    paying = asyncio.create_task(payments.pay())
    asked = await payments.provider.question()
    payments.provider.lookup_answers.append(NO)
    clock.move(60)
    await payments.reconcile()
    with capture_logs() as lines:
        payments.provider.release()
        assert status(await paying) == "FAILED"
    errors = [one for one in lines if one["log_level"] == "error"]
    assert [(one["event"], one["payment_id"]) for one in errors] == [
        ("declined_payment_was_taken", asked.reference)
    ]


@pytest.mark.parametrize("name", ["", "t" * 65], ids=["none", "long"])
async def test_a_success_that_has_no_name(
    payments: Payments, clock: ManualClock, name: str
) -> None:
    """A charge is not known as taken before there is a name by which it can be given back."""
    payments.provider.answers.append(Succeeded(name))
    paid = await payments.pay()
    assert (status(paid), paid.transaction_id) == ("PENDING", "")
    payments.provider.lookup_answers.append(Succeeded(name))
    for expected in ("PENDING", "SUCCESS"):
        clock.move(10)
        await payments.reconcile()
        assert status(await payments.now(paid)) == expected
        payments.provider.takes(paid.payment_id)
    (off,) = await payments.cancel()
    assert status(off) == "REFUNDED"
