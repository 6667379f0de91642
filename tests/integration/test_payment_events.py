"""StreamPaymentEvents: an event for each change, in order, without a gap, from any cursor on."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from support.clock import ManualClock
from support.databases import Databases, url_of
from support.payments import (
    Payments,
    next_event,
    refused_fields,
    serving_payments,
    status,
)

from chassis.events import Event, EventFeed
from chassis.outbox import OutboxTable
from payment_svc import wiring
from payment_svc.domain.outcome import DeclineCode, Declined, Unknown


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


async def told(stream: object, count: int) -> list[tuple[str, str]]:
    events = [await next_event(stream) for _ in range(count)]
    return [(one.payment.booking_reference, status(one.payment)) for one in events]


async def test_each_change_is_told(payments: Payments, clock: ManualClock) -> None:
    """Each change of a payment is one event, with the payment and the moment as they then were."""
    stream = payments.events()
    paid = await payments.pay()
    clock.move(60)
    await payments.refund(paid, "50.00")
    await payments.refund(paid, "50.00")
    await payments.refund(paid)
    first, *events = [await next_event(stream) for _ in range(4)]
    assert first.payment == paid
    assert first.occurred_at == paid.processed_at
    assert [(status(one.payment), one.payment.refunded_amount.value) for one in events] == [
        ("PARTIALLY_REFUNDED", "50.00"),
        ("PARTIALLY_REFUNDED", "100.00"),
        ("REFUNDED", "150.00"),
    ]
    assert events[-1].payment == await payments.now(paid)
    assert events[-1].occurred_at.ToDatetime(clock.now().tzinfo) == clock.now()


async def test_what_is_no_change_is_not_told(payments: Payments) -> None:
    """That a payment is asked for, or has no answer yet, is no event; all outcomes are."""
    payments.provider.answers.extend(
        [Unknown("lost"), Declined(DeclineCode.CARD_DECLINED), Unknown("lost")]
    )
    await payments.pay(booking="A", key="k")
    await payments.pay(booking="B")
    await payments.pay(booking="C")
    await payments.cancel("C")
    await payments.cancel("D")
    await payments.pay(booking="D")
    await payments.pay(booking="A", key="k")
    assert await told(payments.events(), 4) == [
        ("B", "FAILED"),
        ("C", "CANCELLED"),
        ("D", "CANCELLED"),
        ("A", "SUCCESS"),
    ]


async def test_a_stream_goes_on_from_its_cursor(payments: Payments) -> None:
    """After any cursor come exactly the later events; the same ones to each reader."""
    for booking in "ABCD":
        await payments.pay(booking=booking)
    stream = payments.events()
    events = [await next_event(stream) for _ in range(4)]
    assert [one.payment.booking_reference for one in events] == list("ABCD")
    for place, one in enumerate(events[:-1], start=1):
        assert await next_event(payments.events(one.cursor)) == events[place]


async def test_a_cursor_of_something_else(payments: Payments) -> None:
    """A cursor that is not from this stream is an INVALID_FIELD."""
    for _ in range(2):
        await payments.pay()
    page = await payments.caller.ListPayments(pb.ListPaymentsRequest(page_size=1))
    for cursor in ("made up", page.next_page_token):
        with refused_fields("cursor"):
            await payments.events(cursor).read()


async def test_another_replica_tells_it_too(databases: Databases, clock: ManualClock) -> None:
    """A stream that waits at one replica gets the events of another."""
    database = await databases.fresh("payment_svc")
    async with (
        serving_payments(database, clock) as one,
        serving_payments(databases.open(url_of(database)), clock) as other,
    ):
        stream = other.events()
        for booking in "AB":
            await one.pay(booking=booking)
            assert await told(stream, 1) == [(booking, "SUCCESS")]


async def test_many_streams_look_only_when_there_is_news(
    databases: Databases, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty streams look for five payments once each, and once when they begin."""
    monkeypatch.setattr(wiring, "EventFeed", partial(EventFeed, poll_s=3600))
    after, looks = OutboxTable.after, []

    async def noted(self: OutboxTable, sequence: int, limit: int) -> list[Event]:
        looks.append(sequence)
        return await after(self, sequence, limit)

    monkeypatch.setattr(OutboxTable, "after", noted)
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        streams = [payments.events() for _ in range(20)]
        for booking in "ABCDE":
            await payments.pay(booking=booking)
            await asyncio.gather(*(next_event(one) for one in streams))
    assert 100 <= len(looks) <= 120


async def test_only_news_wakes_the_sequencer(payments: Payments) -> None:
    """The sequencer is woken by a commit that stored an event, and by no other."""
    bell = payments.worker("sequencer").bell
    payments.provider.answers.append(Unknown("lost"))
    rings = []
    for booking, key in (("A", "k"), ("A", "k"), ("A", "k"), ("B", "")):
        await payments.pay(booking=booking, key=key)
        rings.append(bell.rings)
    payments.provider.answers.append(Unknown("lost"))
    payments.provider.void_answers.append(Unknown("lost"))
    await payments.pay(booking="C")
    # It is called off, which is news; that the void got no answer is none.
    await payments.cancel("C")
    assert [*rings, bell.rings] == [0, 1, 1, 2, 3]
