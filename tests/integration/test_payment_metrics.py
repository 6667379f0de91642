"""Payments, refunds, webhooks and what a provider is asked are counted, each once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody
from holdfast.payment.v1 import payment_pb2 as pb
from support.bookings import on_sqlite
from support.client import refused
from support.clock import ManualClock
from support.commits import LOCKED, Trouble, in_all_troubles, next_commit
from support.databases import Databases, url_of
from support.payments import (
    NUMBER,
    Payments,
    ScriptedProvider,
    serving_payments,
    silence,
    status,
)
from support.telemetry import Tally, recorded, value
from support.tokens import auth_settings

from chassis.bell import Bell
from chassis.database import Database, DatabaseTransactions
from chassis.ids import Ids
from payment_svc import translate, wiring
from payment_svc.config import PaymentSettings
from payment_svc.domain.outcome import DeclineCode, Declined, NotDone, Outcome, Pending
from payment_svc.persistence import tables
from payment_svc.persistence.repository import SqlLedger
from payment_svc.servicer import NAME
from payment_svc.usecases.census import Census
from payment_svc.usecases.records import Records

pytestmark = on_sqlite

PAYMENTS, REFUNDS = "holdfast_payments_total", "holdfast_refunds_total"
DURATIONS = "holdfast_payment_duration_seconds_sum"
ASKED, WEBHOOKS = "holdfast_provider_requests_total", "holdfast_webhooks_total"
GAUGES = (
    "holdfast_payments_open",
    "holdfast_payment_oldest_open_seconds",
    "holdfast_refunds_open",
    "holdfast_refund_oldest_open_seconds",
)
SUCCESS, CANCELLED = ("SUCCESS", ""), ("CANCELLED", "")
NO = Declined(DeclineCode.CARD_DECLINED)
WAIT_S = 20.0


@pytest.fixture
async def database(databases: Databases) -> Database:
    return await databases.fresh("payment_svc")


@pytest.fixture
async def payments(database: Database, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(database, clock) as payments:
        yield payments


@pytest.fixture
def tally(payments: Payments) -> Tally:  # noqa: ARG001 - it counts from when they are served
    return Tally()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0.005)


async def test_a_payment_that_succeeds(payments: Payments, tally: Tally) -> None:
    """A payment is counted once, when it is settled; a repeat of its call is nothing."""
    for _ in range(3):
        await payments.pay(key="k")
    assert tally.of(PAYMENTS) == {SUCCESS: 1}
    assert tally.of("holdfast_payment_duration_seconds_count") == {("SUCCESS",): 1}
    assert tally.of(ASKED) == {("scripted", "charge", "succeeded"): 1}
    assert tally.of("holdfast_provider_request_seconds_count") == {("scripted", "charge"): 1}


@pytest.mark.parametrize("code", list(DeclineCode))
async def test_a_payment_that_is_declined(
    payments: Payments, tally: Tally, code: DeclineCode
) -> None:
    """A declined payment is counted by why it was."""
    payments.provider.answers.append(Declined(code))
    await payments.pay()
    assert tally.of(PAYMENTS) == {("FAILED", str(code)): 1}
    assert tally.of(ASKED) == {("scripted", "charge", "declined"): 1}


async def test_a_payment_that_is_settled_later(
    payments: Payments, tally: Tally, clock: ManualClock
) -> None:
    """A payment that stays open is counted when it is settled, with the time that it took."""
    payments.provider.answers.append(Pending())
    paid = await payments.pay()
    assert tally.of(PAYMENTS) == {}
    payments.provider.takes(paid.payment_id)
    clock.move(90)
    await payments.reconcile()
    assert tally.of(PAYMENTS) == {SUCCESS: 1}
    assert tally.of(DURATIONS) == {("SUCCESS",): 90}
    assert tally.of(ASKED) == {
        ("scripted", "charge", "pending"): 1,
        ("scripted", "lookup", "succeeded"): 1,
    }


@pytest.mark.parametrize("asked", [True, False], ids=["in the middle", "too late"])
async def test_a_payment_that_is_called_off(
    payments: Payments, tally: Tally, *, asked: bool
) -> None:
    """A payment that is called off before it is decided, or before it comes, is CANCELLED."""
    if asked:
        payments.provider.answers.append(Pending())
        await payments.pay()
    await payments.cancel()
    if not asked:
        await payments.pay()
    await payments.work_done()
    assert tally.of(PAYMENTS) == {CANCELLED: 1}
    assert tally.of(ASKED).get(("scripted", "void", "not_done"), 0) == int(asked)


async def test_refunds(payments: Payments, tally: Tally) -> None:
    """A refund is counted when it is settled, and once more if its bank sends the money back."""
    paid = await payments.pay()
    payments.provider.answers.extend([NO, Pending()])
    for key in ("refused", "open", "done", "done"):
        await payments.refund(paid, "1.00", key=key)
    assert tally.of(REFUNDS) == {("REFUNDED",): 1, ("FAILED",): 1}
    assert tally.of(ASKED) == {
        ("scripted", "charge", "succeeded"): 1,
        ("scripted", "refund", "declined"): 1,
        ("scripted", "refund", "pending"): 1,
        ("scripted", "refund", "succeeded"): 1,
    }
    done = await payments.refund(paid, "1.00", key="done")
    await payments.webhook("evt_1", done.refund_id, "declined")
    assert tally.of(REFUNDS) == {("REFUNDED",): 1, ("FAILED",): 2}
    # The payment was settled long ago.
    assert tally.of(PAYMENTS) == {SUCCESS: 1}


async def test_webhooks(payments: Payments, tally: Tally, clock: ManualClock) -> None:
    """A webhook is applied, or again, or kept until it can be; or of no use, or of a stranger."""
    payments.provider.answers.append(Pending())
    paid = await payments.pay()
    for _ in range(3):
        await payments.webhook("evt_1", paid.payment_id, "succeeded")
    assert tally.of(PAYMENTS) == {SUCCESS: 1}
    # It is about a payment that is still to come.
    await payments.webhook("evt_2", "pay_404", "succeeded")
    clock.move(60)
    await payments.worker("webhooks").run_once()
    body = HttpBody(data=b'{"event_id": "evt_3"}')
    ping = pb.HandleWebhookRequest(provider="scripted", body=body)
    await payments.stub.HandleWebhook(ping, metadata=(("x-signature", "good"),))
    strangers: tuple[dict[str, Any], ...] = ({"x_signature": "forged"}, {"provider": "stripe"})
    for changes in strangers:
        changes = {name.replace("_", "-"): one for name, one in changes.items()}  # noqa: PLW2901
        with pytest.raises(grpc.aio.AioRpcError):
            await payments.webhook("evt_4", paid.payment_id, "succeeded", **changes)
    assert tally.of(WEBHOOKS) == {
        ("scripted", "applied"): 1,
        ("scripted", "duplicate"): 2,
        ("scripted", "kept"): 1,
        ("scripted", "ignored"): 1,
        ("scripted", "refused"): 2,
    }


async def test_a_webhook_that_is_applied_later(
    payments: Payments, tally: Tally, clock: ManualClock
) -> None:
    """A webhook that comes before its payment is kept, and applied once its payment is here."""
    await payments.webhook("evt_1", "pay_1", "succeeded")
    payments.provider.answers.append(Pending())
    await payments.pay()
    rename = tables.payments.update().values(payment_id="pay_1")
    await payments.database.write(lambda one: one.execute(rename))
    clock.move(60)
    for _ in range(2):
        await payments.worker("webhooks").run_once()
    assert tally.of(WEBHOOKS) == {("scripted", "kept"): 1, ("scripted", "applied"): 1}
    assert tally.of(PAYMENTS) == {SUCCESS: 1}


# What becomes of a commit.


@in_all_troubles
@pytest.mark.parametrize("answer", [None, NO], ids=["succeeded", "declined"])
async def test_a_commit_of_a_payment(
    payments: Payments, tally: Tally, answer: Outcome | None, trouble: Trouble
) -> None:
    """A payment is counted once, or not at all when it was stored and that was not heard."""
    payments.provider.answers.append(answer)
    with next_commit(payments.database, "UPDATE payments ", trouble) as happened:
        paid = await payments.pay()
    assert happened
    settled = SUCCESS if answer is None else ("FAILED", "CARD_DECLINED")
    assert status(paid) == settled[0]
    assert tally.of(PAYMENTS) == ({} if trouble is Trouble.LANDED else {settled: 1})
    assert tally.of(ASKED) == {("scripted", "charge", "declined" if answer else "succeeded"): 1}


@in_all_troubles
@pytest.mark.parametrize("answer", [None, NO], ids=["REFUNDED", "FAILED"])
async def test_a_commit_of_a_refund(
    payments: Payments, tally: Tally, answer: Outcome | None, trouble: Trouble
) -> None:
    """A refund is counted once, or not at all when it was stored and that was not heard."""
    paid = await payments.pay()
    payments.provider.answers.append(answer)
    with next_commit(payments.database, "UPDATE refunds ", trouble) as happened:
        refund = await payments.refund(paid)
    assert happened
    assert tally.of(REFUNDS) == ({} if trouble is Trouble.LANDED else {(status(refund),): 1})
    assert status(refund) == ("FAILED" if answer else "REFUNDED")


@in_all_troubles
async def test_a_commit_of_a_webhook(payments: Payments, tally: Tally, trouble: Trouble) -> None:
    """What a webhook settles is counted once, or not at all when storing it was not heard."""
    payments.provider.answers.append(Pending())
    paid = await payments.pay()
    with next_commit(payments.database, "INSERT INTO webhook_events ", trouble) as happened:
        if trouble is not Trouble.AGAIN:
            # Its sender repeats it.
            with refused("DEPENDENCY_UNAVAILABLE"):
                await payments.webhook("evt_1", paid.payment_id, "succeeded")
        await payments.webhook("evt_1", paid.payment_id, "succeeded")
    assert happened
    assert tally.of(PAYMENTS) == ({} if trouble is Trouble.LANDED else {SUCCESS: 1})


async def test_a_unit_that_settles_nothing_when_it_runs_again(
    databases: Databases, payments: Payments, tally: Tally, clock: ManualClock
) -> None:
    """What a unit did before it ran again, and then had no need to do, is not counted."""
    payments.provider.answers.append(Pending())
    paid = await payments.pay()
    database = payments.database
    replica = databases.open(url_of(database))

    async def other_first(connection: Any) -> None:
        """Another process is told the same, and is the first to store it."""
        del database._commit
        await connection.rollback()
        async with serving_payments(replica, clock) as other:
            await other.webhook("evt_1", paid.payment_id, "succeeded")
        raise LOCKED

    database._commit = other_first
    await payments.webhook("evt_1", paid.payment_id, "succeeded")
    assert tally.of(PAYMENTS) == {SUCCESS: 1}
    assert tally.of(WEBHOOKS) == {("scripted", "applied"): 1, ("scripted", "duplicate"): 1}


# What a provider is asked.


@pytest.mark.parametrize("failure", [silence, RuntimeError(NUMBER)], ids=["silent", "fails"])
async def test_a_provider_without_an_answer(
    database: Database, clock: ManualClock, failure: Any
) -> None:
    """A provider that does not answer in time, or fails, is counted as unknown, and not why."""
    provider = ScriptedProvider(failure)
    async with serving_payments(database, clock, provider, provider_timeout_s=0.05) as payments:
        tally = Tally()
        with recorded() as spans:
            await payments.pay()
        assert tally.of(ASKED) == {("scripted", "charge", "unknown"): 1}
        assert tally.of(PAYMENTS) == {}
    assert spans.one("scripted charge").attributes["holdfast.outcome"] == "UNKNOWN"
    assert NUMBER not in spans.text()


async def test_a_provider_that_is_asked_again(payments: Payments, tally: Tally) -> None:
    """Each request to a provider counts, those of one call too, and is a span of its trace."""
    payments.provider.answers.extend([NotDone(), NotDone()])
    with recorded() as spans:
        await payments.pay()
        await until(lambda: f"{NAME}/ProcessPayment" in spans.names())
    assert tally.of(ASKED) == {
        ("scripted", "charge", "not_done"): 2,
        ("scripted", "charge", "succeeded"): 1,
    }
    asked = [one for one in spans.all() if one.name == "scripted charge"]
    outcomes = [one.attributes["holdfast.outcome"] for one in asked]
    assert outcomes == ["NOT_DONE", "NOT_DONE", "SUCCEEDED"]
    call = spans.one(f"{NAME}/ProcessPayment")
    assert {one.parent.span_id for one in asked} == {call.context.span_id}


# What is open.


async def gauges(database: Database, clock: ManualClock) -> tuple[float, ...]:
    transactions = DatabaseTransactions(database, SqlLedger)
    records = Records(transactions, clock, Ids(clock), translate.encode, Bell())
    assert not await Census(records).run_once()
    return tuple(value(one) for one in GAUGES)


async def test_a_census(payments: Payments, clock: ManualClock) -> None:
    """A census finds the payments and the refunds that are open, and since when; then none."""
    assert await gauges(payments.database, clock) == (0, 0, 0, 0)
    payments.provider.answers.append(Pending())
    opened = await payments.pay()
    clock.move(40)
    payments.provider.answers.extend([None, Pending()])
    await payments.refund(await payments.pay(booking="BK-2"))
    clock.move(2)
    assert await gauges(payments.database, clock) == (1, 42, 1, 2)
    payments.provider.takes(opened.payment_id)
    clock.move(600)
    await payments.reconcile()
    assert await gauges(payments.database, clock) == (0, 0, 0, 0)


@pytest.mark.parametrize(("listen", "takes"), [("", False), ("127.0.0.1:0", True)])
async def test_a_census_is_for_who_reads_it(
    database: Database, listen: str, *, takes: bool
) -> None:
    """What is open is not counted unless metrics are served."""
    settings = PaymentSettings(metrics_listen=listen)
    provider = ScriptedProvider()
    hosted = await wiring.wire(settings, auth_settings(), database, None, provider)
    assert ("census" in {one.name for one in hosted.workers}) is takes
    await hosted.close()
