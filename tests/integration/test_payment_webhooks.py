"""What a provider tells unasked: each event once, in any order, and nothing from strangers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from holdfast.payment.v1 import payment_pb2 as pb
from sqlalchemy import select, update
from support.client import refused
from support.clock import ManualClock
from support.databases import Databases, on_mariadb, url_of
from support.payments import Payments, ScriptedProvider, next_event, serving_payments, status

from payment_svc.domain.outcome import DeclineCode, Declined, NotDone, Pending
from payment_svc.persistence import tables
from payment_svc.ports import Charge, Return

NO = Declined(DeclineCode.CARD_DECLINED)


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


async def pending(payments: Payments) -> pb.Payment:
    payments.provider.answers.append(Pending())
    paid = await payments.pay()
    assert status(paid) == "PENDING"
    return paid


async def kept(payments: Payments) -> list[Any]:
    """The events that are stored: their ids, and whether they wait for what they are about."""

    async def unit(connection: Any) -> list[Any]:
        events = tables.webhook_events.c
        found = await connection.execute(
            select(events.event_id, events.next_try_at.is_not(None)).order_by(events.event_id)
        )
        return [tuple(row) for row in found]

    return await payments.database.read(unit)


async def log_of(payments: Payments, payment_id: str) -> list[str]:
    """What the log says that webhooks said."""
    log = (await payments.read(payment_id, full=True)).log
    return [one.detail for one in log if one.action == pb.PaymentLogEntry.WEBHOOK]


@pytest.mark.parametrize(
    ("outcome", "expected"), [("succeeded", "SUCCESS"), ("declined", "FAILED")]
)
async def test_it_settles_a_payment(payments: Payments, outcome: str, expected: str) -> None:
    """A webhook settles an open payment without anybody asking, and others are told so."""
    paid = await pending(payments)
    await payments.webhook("evt_1", paid.payment_id, outcome)
    now = await payments.now(paid)
    assert status(now) == expected
    assert payments.provider.lookups == []
    told = await next_event(payments.events())
    assert told.payment == now


async def test_each_event_once(payments: Payments) -> None:
    """Fifty deliveries of one event at once are fifty successes with one effect."""
    paid = await pending(payments)
    await asyncio.gather(
        *(payments.webhook("evt_1", paid.payment_id, "succeeded") for _ in range(50))
    )
    assert status(await payments.now(paid)) == "SUCCESS"
    assert await kept(payments) == [("evt_1", False)]
    assert await log_of(payments, paid.payment_id) == [f"evt_1 txn_{paid.payment_id}"]


@on_mariadb
async def test_each_event_once_at_replicas(databases: Databases, clock: ManualClock) -> None:
    """One event that comes to two replicas many times at once has one effect."""
    database, provider = await databases.fresh("payment_svc"), ScriptedProvider()
    async with (
        serving_payments(database, clock, provider) as one,
        serving_payments(databases.open(url_of(database)), clock, provider) as other,
    ):
        paid = await pending(one)
        await asyncio.gather(
            *(
                replica.webhook("evt_1", paid.payment_id, "succeeded")
                for replica in (one, other) * 25
            )
        )
        assert status(await one.now(paid)) == "SUCCESS"
        assert len(await log_of(one, paid.payment_id)) == 1


@pytest.mark.parametrize("last", ["pending", "declined", "not_done"])
async def test_disorder_of_a_payment(payments: Payments, last: str) -> None:
    """What is told late of a payment that was taken takes nothing away from it."""
    paid = await pending(payments)
    await payments.webhook("evt_2", paid.payment_id, "succeeded")
    await payments.webhook("evt_1", paid.payment_id, last)
    assert status(await payments.now(paid)) == "SUCCESS"
    assert len(await log_of(payments, paid.payment_id)) == 2


@pytest.mark.parametrize("outcome", ["pending", "not_done"])
async def test_what_decides_nothing(payments: Payments, outcome: str) -> None:
    """A webhook that decides nothing changes nothing: a charge that runs keeps its lease."""
    payments.provider.hold()
    paying = asyncio.create_task(payments.pay(key="k"))
    asked = await payments.provider.question()
    before = await payments.stored(asked.reference)
    await payments.webhook("evt_1", asked.reference, outcome)
    assert await payments.stored(asked.reference) == before
    with refused("IDEMPOTENCY_KEY_IN_USE"):
        await payments.pay(key="k")
    payments.provider.release()
    assert status(await paying) == "SUCCESS"


async def test_before_the_answer(payments: Payments) -> None:
    """A webhook that is faster than the answer to the charge settles it, and the answer agrees."""
    payments.provider.hold()
    paying = asyncio.create_task(payments.pay())
    asked = await payments.provider.question()
    await payments.webhook("evt_1", asked.reference, "succeeded")
    assert status(await payments.read(asked.reference)) == "SUCCESS"
    payments.provider.release()
    paid = await paying
    assert (status(paid), paid.transaction_id) == ("SUCCESS", f"txn_{asked.reference}")


async def test_money_for_a_booking_that_was_called_off(payments: Payments) -> None:
    """Money that turns out to be taken after its booking was called off is given back at once."""
    paid = await pending(payments)
    payments.provider.void_answers.append(Pending())
    await payments.cancel()
    await payments.webhook("evt_1", paid.payment_id, "succeeded")
    await payments.work_done()
    assert status(await payments.now(paid)) == "REFUNDED"
    returned = [one for one in payments.provider.journal if isinstance(one, Return)]
    assert [one.transaction_id for one in returned] == [f"txn_{paid.payment_id}"]


@pytest.mark.parametrize("order", [("done", "failed"), ("failed", "done")], ids="-".join)
async def test_a_refund_that_fails_after_it_was_accepted(
    payments: Payments, order: tuple[str, str]
) -> None:
    """A refund that fails after it was accepted or done is FAILED, in whatever order it is told."""
    paid = await payments.pay()
    payments.provider.answers.append(Pending())
    refund = await payments.refund(paid, "60.00")
    for told in order:
        outcome = {"done": "succeeded", "failed": "declined"}[told]
        await payments.webhook(f"evt_{told}", refund.refund_id, outcome)
    now = await payments.read(paid.payment_id, full=True)
    assert (status(now), now.refunded_amount.value) == ("SUCCESS", "0.00")
    assert [status(one) for one in now.refunds] == ["FAILED"]
    assert status(await payments.refund(paid)) == "REFUNDED"


async def test_a_refund_of_a_cancelled_booking_that_fails_late(
    payments: Payments, clock: ManualClock
) -> None:
    """A refund of a booking that was called off is made anew when it fails after it was done."""
    paid = await payments.pay()
    (off,) = await payments.cancel()
    assert status(off) == "REFUNDED"
    (first,) = [one for one in payments.provider.journal if isinstance(one, Return)]
    await payments.webhook("evt_1", first.reference, "declined")
    assert status(await payments.now(paid)) == "SUCCESS"
    clock.move(10)
    await payments.reconcile()
    now = await payments.read(paid.payment_id, full=True)
    assert [status(one) for one in now.refunds] == ["FAILED", "REFUNDED"]
    assert status(now) == "REFUNDED"


async def test_a_refund_of_an_abandoned_payment_that_fails_late(
    payments: Payments, clock: ManualClock
) -> None:
    """Money that came after its payment was given up goes back anew when its refund fails late."""
    payments.provider.answers.extend([NotDone()] * 3)
    paid = await payments.pay()
    clock.move(3600)
    await payments.reconcile()
    assert status(await payments.now(paid)) == "CANCELLED"
    await payments.webhook("evt_1", paid.payment_id, "succeeded")
    await payments.work_done()
    assert status(await payments.now(paid)) == "REFUNDED"
    (first,) = [one for one in payments.provider.journal if isinstance(one, Return)]
    await payments.webhook("evt_2", first.reference, "declined")
    assert status(await payments.now(paid)) == "SUCCESS"
    clock.move(10)
    await payments.reconcile()
    assert status(await payments.now(paid)) == "REFUNDED"


async def test_a_booking_that_an_older_version_called_off(
    payments: Payments, clock: ManualClock
) -> None:
    """What a replica of an older version has called off goes back anew when its refund fails."""
    paid = await payments.pay()
    await payments.cancel()
    # It knows the row of the booking and not the column of the payment.
    forgotten = update(tables.payments).values(called_off=False)
    await payments.database.write(lambda one: one.execute(forgotten))
    (first,) = [one for one in payments.provider.journal if isinstance(one, Return)]
    await payments.webhook("evt_1", first.reference, "declined")
    clock.move(10)
    await payments.reconcile()
    assert status(await payments.now(paid)) == "REFUNDED"


async def test_one_that_fails_holds_up_no_other(payments: Payments, clock: ManualClock) -> None:
    """An event that a newer version has stored, or one about its rows, stops no other event."""
    opened = []
    for name in ("pay_event", "pay_row", "pay_good"):
        await payments.webhook(f"evt_{name}", name, "declined")
        clock.move(0.1)
        opened.append((await pending(payments)).payment_id)
    events, rows = tables.webhook_events, tables.payments
    newer_event = events.c.event_id == "evt_pay_event"
    for statement in (
        update(events).where(newer_event).values(detail="STOLEN_CARD"),
        update(rows).where(rows.c.payment_id == opened[1]).values(status="REQUIRES_ACTION"),
        update(rows).where(rows.c.payment_id == opened[1]).values(payment_id="pay_row"),
        update(rows).where(rows.c.payment_id == opened[2]).values(payment_id="pay_good"),
    ):
        await payments.database.write(lambda one, statement=statement: one.execute(statement))
    clock.move(10)
    with pytest.raises(ValueError, match="REQUIRES_ACTION"):
        await payments.worker("webhooks").run_once()
    good = await payments.stored("pay_good")
    assert good is not None
    assert good.status == "FAILED"
    assert await kept(payments) == [
        ("evt_pay_event", True),
        ("evt_pay_good", False),
        ("evt_pay_row", True),
    ]


@pytest.mark.parametrize("reference", ["x" * 65, "pay_\x00", "pay_1 ", "\ud800", ""])
async def test_what_cannot_be_ours(payments: Payments, reference: str) -> None:
    """An event about what cannot be a payment of ours is a success, and nothing is stored."""
    await payments.webhook("evt_1", reference, "succeeded")
    assert await kept(payments) == []


@pytest.mark.parametrize("event_id", ["", "e" * 256, "evt ", "e\x00", "\ud800"])
async def test_no_event_id(payments: Payments, event_id: str) -> None:
    """An event is refused whose id no database could tell from others for certain."""
    with refused("WEBHOOK_REFUSED"):
        await payments.webhook(event_id, "pay_1", "succeeded")
    assert await kept(payments) == []


async def test_too_much_to_verify(payments: Payments, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of more than a mebibyte is refused before anybody computes a signature of it."""
    read: list[int] = []
    monkeypatch.setattr(payments.provider, "read_webhook", lambda _, body: read.append(len(body)))
    for size in (1 << 20, (1 << 20) + 1):
        body = HttpBody(data=bytes(size))
        call = payments.stub.HandleWebhook(pb.HandleWebhookRequest(provider="scripted", body=body))
        expected = grpc.StatusCode.UNAUTHENTICATED if size > 1 << 20 else grpc.StatusCode.OK
        assert await call.code() == expected
    assert read == [1 << 20]


async def test_an_unknown_payment(payments: Payments, clock: ManualClock) -> None:
    """What is told of a payment that is not here is kept, and takes effect when it is here."""
    charge = Charge("pay_1", 15000, "USD", clock.now())
    await payments.webhook("evt_1", charge.reference, "succeeded")
    assert await kept(payments) == [("evt_1", True)]
    paid = await pending(payments)
    rename = tables.payments.update().values(payment_id="pay_1")
    await payments.database.write(lambda one: one.execute(rename))
    clock.move(4)
    await payments.worker("webhooks").run_once()
    assert await kept(payments) == [("evt_1", True)]
    clock.move(1)
    await payments.worker("webhooks").run_once()
    assert await kept(payments) == [("evt_1", False)]
    paid.payment_id = "pay_1"
    assert status(await payments.now(paid)) == "SUCCESS"


async def test_an_unknown_payment_is_given_up(payments: Payments, clock: ManualClock) -> None:
    """An event about nothing is tried less and less often, and not any more after three days."""
    began, moments = clock.now(), []
    await payments.webhook("evt_1", "pay_404", "succeeded")
    while (due := await next_try(payments)) is not None:
        moments.append((due - began).total_seconds() / 3600)
        clock.move((due - clock.now()).total_seconds())
        await payments.worker("webhooks").run_once()
    pauses = [round(later - earlier, 6) for earlier, later in pairwise(moments)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1
    assert 71 < moments[-1] <= 72
    assert await kept(payments) == [("evt_1", False)]


async def next_try(payments: Payments) -> datetime | None:
    """When an event is looked at again."""

    async def unit(connection: Any) -> datetime | None:
        found = await connection.execute(select(tables.webhook_events.c.next_try_at))
        return found.scalar_one()

    return await payments.database.read(unit)


async def test_strangers_are_refused(payments: Payments) -> None:
    """An unsigned or forged webhook, and one of a provider that is not in use, get one answer."""
    paid, answers = await pending(payments), set()
    for provider, good in (("scripted", "bad"), ("scripted", ""), ("stripe", "good"), ("", "")):
        with refused("WEBHOOK_REFUSED") as said:
            await payments.webhook(
                "evt_1", paid.payment_id, "succeeded", provider, **{"x-signature": good}
            )
        answers.add((said[0].code, said[0].message, *said[0].metadata.items()))
    assert answers == {(grpc.StatusCode.UNAUTHENTICATED, "the webhook is refused")}
    assert status(await payments.now(paid)) == "PENDING"
    assert await kept(payments) == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\x00", b"[]", b'{"event_id": "e"}'])
async def test_any_bytes(payments: Payments, body: bytes) -> None:
    """A body that says nothing about a payment is taken or refused, and never a fault of ours."""
    request = pb.HandleWebhookRequest(provider="scripted", body=HttpBody(data=body))
    call = payments.stub.HandleWebhook(request, metadata=(("x-signature", "good"),))
    assert await call.code() in {grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED}
    assert await kept(payments) == []
