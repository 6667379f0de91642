"""What operators see of sagas, and do about those that are parked."""

import asyncio

import pytest
from holdfast.booking.v1 import booking_pb2
from holdfast.booking.v1 import saga_pb2 as pb
from support import bookings
from support.bookings import Stack
from support.client import refused
from support.databases import Databases
from support.operators import (
    CANCEL,
    CONFIRM,
    NO,
    Operator,
    cancellation_parked,
    operator,
    refund_by_hand,
)

from booking_svc.saga.machine import PATIENCE

stack = bookings.stack


def timeline(saga: pb.Saga) -> list[tuple[str, str]]:
    """Action and outcome of each entry."""
    outcome = pb.Saga.StepRecord.Outcome.Name
    return [(one.action, outcome(one.outcome)) for one in saga.timeline]


def state(saga: pb.Saga) -> str:
    return pb.Saga.State.Name(saga.state)


async def test_a_saga_that_went_well(stack: Stack) -> None:
    """The saga of a confirmed booking has SUCCEEDED, and its timeline tells each action once."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"))
    saga = await (await operator(stack)).show(booking.booking_id, CONFIRM)
    assert (saga.booking_reference, saga.name) == (booking.booking_reference, CONFIRM)
    assert (state(saga), saga.attempt, saga.last_error) == ("SUCCEEDED", 1, "")
    assert timeline(saga) == [("take_payment", "DONE"), ("confirm_seats", "DONE")]
    assert [one.step for one in saga.timeline] == ["charge", "confirm"]
    assert saga.began_at == saga.timeline[0].began_at == booking.created_at


async def test_a_refused_step_says_why(stack: Stack) -> None:
    """The saga of a declined booking is UNDONE, and its timeline gives the reason and the undo."""
    ann = stack.buyer("ann")
    declined = bookings.confirm_request(await ann.hold("A1"), bookings.POOR_CARD)
    await ann.asks(declined)
    (booking,) = (await ann.mine()).bookings
    saga = await (await operator(stack)).show(booking.booking_id, CONFIRM)
    assert state(saga) == "UNDONE"
    assert timeline(saga) == [("take_payment", "REFUSED"), ("release_seats", "DONE")]
    assert saga.timeline[0].detail.startswith("PAYMENT_FAILED: ")


async def test_a_refund_that_is_refused_again_and_again(stack: Stack) -> None:
    """After so many refusals a cancellation is parked, and says at which step and why."""
    booking = await cancellation_parked(stack)
    assert booking.status == booking_pb2.Booking.CANCELLING
    saga = await (await operator(stack)).show(booking.booking_id)
    assert (state(saga), saga.step, saga.refusals) == (
        "NEEDS_ATTENTION",
        "refund",
        PATIENCE.refusals,
    )
    assert saga.last_error.startswith("PAYMENT_NOT_REFUNDABLE")
    refusals = [("give_back_payment", "REFUSED")] * PATIENCE.refusals
    assert timeline(saga) == [("release_seats", "DONE"), *refusals]
    assert {one.detail for one in saga.timeline[1:]} == {saga.last_error}


async def test_a_retry_that_works(stack: Stack) -> None:
    """A parked saga that is retried goes on from its step to its end, under another attempt."""
    booking = await cancellation_parked(stack)
    olga = await operator(stack)
    parked = await olga.show(booking.booking_id)
    retried = await olga.retry(booking.booking_id)
    assert retried.attempt == parked.attempt + 1
    saga = await olga.sees(booking.booking_id, "SUCCEEDED")
    assert timeline(saga)[-2:] == [("give_back_payment", "RETRIED"), ("give_back_payment", "DONE")]
    assert saga.timeline[-2].detail == "by olga"
    assert saga.last_error == ""
    assert (await stack.buyer("ann").get(booking.booking_id)).status == booking.CANCELLED
    assert list(stack.provider.returned.values()) == [7500]


async def test_a_retry_has_new_patience(stack: Stack) -> None:
    """A retry that is refused as often as before is parked again, and may be retried again."""
    booking = await cancellation_parked(stack)
    stack.provider.refund_answers = [NO] * PATIENCE.refusals
    olga = await operator(stack)
    await olga.retry(booking.booking_id)
    saga = await olga.sees(booking.booking_id, "NEEDS_ATTENTION")
    assert saga.refusals == PATIENCE.refusals
    assert timeline(saga).count(("give_back_payment", "REFUSED")) == 2 * PATIENCE.refusals
    await olga.retry(booking.booking_id)
    await olga.sees(booking.booking_id, "SUCCEEDED")


async def test_a_resolved_step_is_not_tried_again(stack: Stack) -> None:
    """A step that a person did is taken as done: the booking is CANCELLED, nothing is called."""
    booking = await cancellation_parked(stack)
    await refund_by_hand(stack, booking)
    asked = len(stack.provider.refunds_asked)
    saga = await (await operator(stack)).resolve(booking.booking_id)
    assert (state(saga), saga.owner) == ("SUCCEEDED", "")
    assert timeline(saga)[-1] == ("give_back_payment", "RESOLVED")
    assert saga.timeline[-1].detail == "by olga: refunded at the desk"
    cancelled = await stack.buyer("ann").get(booking.booking_id)
    assert (cancelled.status, cancelled.cancelled_at.seconds > 0) == (booking.CANCELLED, True)
    assert len(stack.provider.refunds_asked) == asked


async def test_an_undo_in_the_middle_is_resolved(stack: Stack) -> None:
    """After a resolved undo the undos before it are done, and the booking has FAILED."""
    ann, olga = stack.buyer("ann"), await operator(stack)
    held = await ann.hold("A1", ttl_s=60)
    stack.provider.hold()
    stack.provider.refund_answers = [NO] * PATIENCE.refusals
    confirming = asyncio.create_task(ann.asks(bookings.confirm_request(held)))
    await stack.provider.asked()
    (booking,) = (await ann.mine()).bookings
    # The seats are gone by the time that they are paid for.
    stack.clock.move(3600)
    stack.provider.release()
    saga = await olga.sees(booking.booking_id, "NEEDS_ATTENTION", CONFIRM)
    assert (saga.step, saga.direction) == ("charge", pb.Saga.BACKWARD)
    await refund_by_hand(stack, await ann.get(booking.booking_id))
    await olga.resolve(booking.booking_id, CONFIRM)
    saga = await olga.sees(booking.booking_id, "UNDONE", CONFIRM)
    assert timeline(saga)[-2:] == [("give_back_payment", "RESOLVED"), ("release_seats", "DONE")]
    failed = await ann.get(booking.booking_id)
    assert (failed.status, failed.failure_message != "") == (booking.FAILED, True)
    await confirming


async def test_two_operators(stack: Stack) -> None:
    """Of two who retry the same parked saga at once one is told that it is not parked."""
    booking = await cancellation_parked(stack)
    both = [await operator(stack, user_id=name) for name in ("olga", "otto")]
    stack.provider.hold()
    answers = await asyncio.gather(
        *(one.retry(booking.booking_id) for one in both), return_exceptions=True
    )
    stack.provider.release()
    (error,) = [one for one in answers if isinstance(one, BaseException)]
    facts = {"bookingId": str(booking.booking_id), "name": CANCEL, "state": "RUNNING"}
    with refused("SAGA_NOT_PARKED", **facts):
        raise error
    await both[0].sees(booking.booking_id, "SUCCEEDED")
    assert len(stack.provider.returned) == 1


async def test_another_replica_helps(databases: Databases) -> None:
    """What was parked at one replica is retried at another, which runs it."""
    async with bookings.stack_on(databases, replicas=2) as stack:
        booking = await cancellation_parked(stack)
        await (await operator(stack, replica=1)).retry(booking.booking_id)
        await stack.buyer("ann").sees(booking.booking_id, "CANCELLED")


async def test_what_is_not_parked(stack: Stack) -> None:
    """A saga that has ended is neither retried nor resolved, and its state is named."""
    ann, olga = stack.buyer("ann"), await operator(stack)
    booking = await ann.confirm(await ann.hold("A1"))
    before = await olga.show(booking.booking_id, CONFIRM)
    for call in (olga.retry, olga.resolve):
        facts = {"bookingId": str(booking.booking_id), "name": CONFIRM, "state": "SUCCEEDED"}
        with refused("SAGA_NOT_PARKED", **facts):
            await call(booking.booking_id, CONFIRM)
    assert await olga.show(booking.booking_id, CONFIRM) == before


async def test_what_does_not_exist(stack: Stack) -> None:
    """A booking that is unknown, and a saga that a booking does not have, are SAGA_NOT_FOUND."""
    ann, olga = stack.buyer("ann"), await operator(stack)
    booking = await ann.confirm(await ann.hold("A1"))
    for call in (olga.show, olga.retry, olga.resolve):
        for booking_id, name in ((4711, CONFIRM), (booking.booking_id, CANCEL)):
            with refused("SAGA_NOT_FOUND", bookingId=str(booking_id), name=name):
                await call(booking_id, name)


async def listed(olga: Operator, page_size: int, **request: str) -> list[list[tuple[str, str]]]:
    pages, token = [], ""
    while token or not pages:
        page = await olga.page(page_size=page_size, page_token=token, **request)
        token = page.next_page_token
        pages.append([(one.booking_reference, one.name) for one in page.sagas])
    return pages


async def test_sagas_are_listed(stack: Stack) -> None:
    """Sagas are listed newest first, each once, page by page, by state or by booking."""
    parked = await cancellation_parked(stack, "A1", "k1")
    stack.clock.move(1)
    ann, olga = stack.buyer("ann"), await operator(stack)
    second = (await ann.confirm(await ann.hold("A2"), "k2")).booking_reference
    first = parked.booking_reference
    newest_first = [(second, CONFIRM), (first, CONFIRM), (first, CANCEL)]
    assert await listed(olga, 0) == [newest_first]
    assert await listed(olga, 2) == [newest_first[:2], newest_first[2:]]
    assert await listed(olga, 1) == [[one] for one in newest_first]
    assert await listed(olga, 1, state="NEEDS_ATTENTION") == [[(first, CANCEL)]]
    assert await listed(olga, 1, state="SUCCEEDED") == [[(second, CONFIRM)], [(first, CONFIRM)]]
    assert await listed(olga, 0, booking_reference=first) == [newest_first[1:]]
    assert await listed(olga, 0, booking_reference="BK-2026-CCCCCCCCCC") == [[]]
    assert not any(saga.timeline or saga.HasField("booking") for saga in (await olga.page()).sagas)


async def test_a_saga_with_its_booking(stack: Stack) -> None:
    """The methods on one saga tell the booking as it is, whosever it is."""
    ann = stack.buyer("ann")
    declined = bookings.confirm_request(await ann.hold("A1"), bookings.POOR_CARD)
    await ann.asks(declined)
    (booking,) = (await ann.mine()).bookings
    saga = await (await operator(stack)).show(booking.booking_id, CONFIRM)
    assert saga.booking == booking
    assert booking.failure_message


async def test_an_intervention_with_its_booking(stack: Stack) -> None:
    """A retry and a resolve tell the booking as it is after them."""
    parked = await cancellation_parked(stack)
    stack.provider.refund_answers = [NO] * PATIENCE.refusals
    olga = await operator(stack)
    retried = await olga.retry(parked.booking_id)
    assert (retried.booking.booking_id, retried.booking.status) == (
        parked.booking_id,
        booking_pb2.Booking.CANCELLING,
    )
    await olga.sees(parked.booking_id, "NEEDS_ATTENTION")
    await refund_by_hand(stack, parked)
    resolved = await olga.resolve(parked.booking_id)
    assert resolved.booking == await stack.buyer("ann").get(parked.booking_id)
    assert resolved.booking.status == booking_pb2.Booking.CANCELLED


@bookings.on_sqlite
@pytest.mark.parametrize("token", ["not a token", "bXkgYm9va2luZ3MKeA", "c2FnYXMKMQ"])
async def test_a_page_of_another_list_of_sagas(stack: Stack, token: str) -> None:
    """A page token that is not from the list of sagas is refused by name."""
    with refused("INVALID_FIELD") as said:
        await (await operator(stack)).page(page_token=token)
    assert said[0].message.startswith("page_token")


@bookings.on_sqlite
async def test_sagas_are_for_operators(stack: Stack) -> None:
    """Without the scope `admin` no method of the SagaService is answered."""
    ann = await operator(stack, user_id="ann", scope="bookings payments inventory")
    calls = (ann.page(), ann.show(1), ann.retry(1), ann.resolve(1))
    for call in calls:
        with refused("SCOPE_MISSING"):
            await call


@bookings.on_sqlite
@pytest.mark.parametrize("note", ["", "x" * 201], ids=["empty", "too long"])
async def test_a_resolve_needs_a_note(stack: Stack, note: str) -> None:
    """To resolve without a note, or with one that does not fit, is refused by name."""
    with refused("INVALID_FIELD") as said:
        await (await operator(stack)).resolve(1, note=note)
    assert said[0].message.startswith("note")
