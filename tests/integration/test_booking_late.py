"""Payments that take long, come late or never: the booking waits, gives up, and keeps no money."""

import asyncio

import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.payment.v1 import payment_pb2
from holdfast.payment.v1 import payment_pb2_grpc as payment_rpc
from support import bookings
from support.bookings import GOOD_CARD, Answered, Buyer, Stack, confirm_request, stack_on
from support.clock import START
from support.databases import Databases
from support.tokens import metadata_for

from payment_svc.domain.outcome import Pending, Unknown

stack = bookings.stack
# The provider decides about these when it is told to.
PENDING_CARD, PENDING_DECLINED_CARD = "4000000000003188", "4000000000003196"
GIVE_UP_S = 900.0


async def open_payment(ann: Buyer, held: list[int], card: str = PENDING_CARD) -> Answered:
    """Begin a booking whose payment is not decided."""
    pending = await ann.asks(confirm_request(held, card))
    assert pending.booking.status == pb.Booking.PENDING
    assert pending.booking.payment_id
    return pending


@pytest.mark.parametrize(
    ("card", "ends"), [(PENDING_CARD, "CONFIRMED"), (PENDING_DECLINED_CARD, "FAILED")]
)
async def test_a_payment_that_is_decided_later(stack: Stack, card: str, ends: str) -> None:
    """A booking whose provider decides later stays PENDING, and then ends as the provider says."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    pending = await open_payment(ann, held, card)
    stack.clock.move(300)
    assert (await ann.asks(confirm_request(held, card))).reason == "IDEMPOTENCY_KEY_IN_USE"
    stack.provider.settle()
    await stack.passing(ann.sees(pending.booking.booking_id, ends), step_s=1)
    again = await ann.asks(confirm_request(held, card))
    assert again.replayed
    assert stack.provider.charges_asked >= 1
    assert len(await stack.payments()) == 1


async def test_the_hold_lives_as_long_as_the_payment(stack: Stack) -> None:
    """While its payment may still succeed, a booking keeps its seats beyond their own time."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", ttl_s=120)
    pending = await open_payment(ann, held)
    await stack.passing(stack.clock_at(400), step_s=30)
    assert await stack.people.statuses(*held) == ["ACTIVE"]
    stack.provider.settle()
    await stack.passing(ann.sees(pending.booking.booking_id, "CONFIRMED"), step_s=1)


async def test_an_event_wakes_what_waits(stack: Stack) -> None:
    """A saga that waits goes on when its payment is decided, before its own time has come."""
    ann = stack.buyer("ann")
    pending = await open_payment(ann, await ann.hold("A1"))
    await stack.rests()
    # The clock stands still: the saga would not ask by itself.
    payments = payment_rpc.PaymentServiceStub(await stack.channel(stack.payment))
    request = payment_pb2.CancelPaymentRequest(booking_reference=pending.booking.booking_reference)
    await payments.CancelPayment(request, metadata=metadata_for("clerk", "payments"))
    await ann.sees(pending.booking.booking_id, "FAILED")


@pytest.mark.parametrize("answer", [Unknown("timeout"), Pending()], ids=repr)
async def test_a_payment_without_end_is_given_up(stack: Stack, answer: Unknown | Pending) -> None:
    """After BOOKING_CHARGE_GIVE_UP_S an open payment is called off, and its booking has failed."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.answers = [answer] * 1000
    stack.provider.lookup_answers = [answer] * 1000
    pending = await ann.asks(confirm_request(held), timeout_s=3)
    await stack.passing(ann.sees(pending.booking.booking_id, "FAILED"), step_s=20)
    gave_up_after_s = (stack.clock.now() - START).total_seconds()
    assert gave_up_after_s >= GIVE_UP_S
    refused = await ann.asks(confirm_request(held))
    assert (refused.code.name, refused.reason) == ("FAILED_PRECONDITION", "PAYMENT_FAILED")
    assert await stack.people.statuses(*held) == ["CANCELLED"]
    stack.provider.answers.clear()
    stack.provider.lookup_answers.clear()


async def test_money_that_comes_after_the_end_goes_back(stack: Stack) -> None:
    """A payment that succeeds after its booking has failed is given back."""
    ann = stack.buyer("ann")
    pending = await open_payment(ann, await ann.hold("A1"))
    stack.provider.void_answers = [Unknown("timeout")] * 1000
    await stack.passing(ann.sees(pending.booking.booking_id, "FAILED"), step_s=20)
    stack.provider.void_answers.clear()
    stack.provider.settle()
    assert stack.provider.taken
    async with asyncio.timeout(bookings.WAIT_S):
        while list(stack.provider.returned.values()) != [7500]:
            stack.clock.move(60)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("policy", "others", "ends"),
    [("refund", [], "FAILED"), ("reaccept", [], "CONFIRMED"), ("reaccept", ["A1"], "FAILED")],
)
async def test_money_that_comes_after_the_hold(
    databases: Databases, policy: str, others: list[str], ends: str
) -> None:
    """Money that comes when the hold is over gets the seats only if they are free and it may."""
    booking = {"late_payment": policy}
    async with stack_on(databases, booking=booking) as stack:
        ann, bob = stack.buyer("ann"), stack.buyer("bob")
        held = await ann.hold("A1", ttl_s=120)
        pending = await open_payment(ann, held)
        await stack.bookings[0].stop()
        stack.clock.move(200)
        stack.provider.settle()
        for seat in others:
            await bob.hold(seat)
        await stack.bookings[0].start()
        await stack.passing(ann.sees(pending.booking.booking_id, ends), step_s=0.1)
        again = await ann.asks(confirm_request(held, PENDING_CARD))
        assert again.replayed
        kept = sum(stack.provider.taken.values()) - sum(stack.provider.returned.values())
        assert kept == (7500 if ends == "CONFIRMED" else 0)


async def test_a_caller_that_sends_the_card_again(stack: Stack) -> None:
    """A repeat of the key while its payment is open charges nothing, whatever the provider does."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.answers = [Unknown("timeout")] * 2
    answers = [await ann.asks(confirm_request(held, GOOD_CARD)) for _ in range(5)]
    assert answers[-1].booking.status == pb.Booking.CONFIRMED
    assert len(stack.provider.taken) == 1
