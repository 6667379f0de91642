"""Others away, callers that leave, stops in the middle: nothing is lost and nothing doubled."""

import asyncio

import grpc
from holdfast.booking.v1 import booking_pb2 as pb
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from support import bookings
from support.bookings import POOR_CARD, Stack, confirm_request

from booking_svc.persistence import tables
from booking_svc.persistence.tables import sagas
from payment_svc.domain.outcome import Unknown

stack = bookings.stack


async def test_without_the_inventory(stack: Stack) -> None:
    """Without the inventory nothing begins: UNAVAILABLE, and the key works once it is back."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    await stack.inventory.stop()
    answered = await ann.asks(confirm_request(held))
    assert (answered.code.name, answered.reason) == ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE")
    assert not (await ann.mine()).bookings
    await stack.inventory.start()
    async with asyncio.timeout(bookings.WAIT_S):
        while (answered := await ann.asks(confirm_request(held))).code != grpc.StatusCode.OK:
            assert answered.reason == "DEPENDENCY_UNAVAILABLE"
    assert answered.booking.status == pb.Booking.CONFIRMED


async def test_without_the_payment_adapter(stack: Stack) -> None:
    """Without the payment adapter the caller gets PENDING in time; the booking goes on later."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    await stack.payment.stop()
    pending = await ann.asks(confirm_request(held), timeout_s=3)
    assert pending.booking.status == pb.Booking.PENDING
    assert await stack.people.statuses(*held) == ["ACTIVE"]
    await stack.payment.start()
    confirmed = await ann.sees(pending.booking.booking_id, "CONFIRMED")
    assert len(await stack.payments()) == stack.provider.charges_asked == 1
    again = await ann.asks(confirm_request(held))
    assert (again.booking, again.replayed) == (confirmed, True)


async def test_a_provider_without_an_answer(stack: Stack) -> None:
    """A charge without an answer is asked again as the same payment, until there is one."""
    ann = stack.buyer("ann")
    stack.provider.answers = [Unknown("timeout")] * 3
    booking = await ann.confirm(await ann.hold("A1"))
    assert booking.status == pb.Booking.CONFIRMED
    assert stack.provider.charges_asked == 4
    assert len(stack.provider.taken) == len(await stack.payments()) == 1


async def test_a_caller_that_leaves(stack: Stack) -> None:
    """A confirm whose caller leaves after 100 ms is CONFIRMED when it is asked again."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.hold()
    await ann.asks(confirm_request(held), timeout_s=0.1)
    # It left before anything was stored, or after: the same key is right either way.
    await ann.asks(confirm_request(held), timeout_s=3)
    await stack.provider.asked()
    stack.provider.release()
    (booking,) = (await ann.mine()).bookings
    confirmed = await ann.sees(booking.booking_id, "CONFIRMED")
    again = await ann.asks(confirm_request(held))
    assert (again.booking, again.replayed) == (confirmed, True)
    assert stack.provider.charges_asked == 1


async def test_a_caller_that_cancels(stack: Stack) -> None:
    """A caller that hangs up in the middle of the payment does not stop the booking."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.hold()
    call = asyncio.create_task(ann.asks(confirm_request(held)))
    await stack.provider.asked()
    call.cancel()
    (booking,) = (await ann.mine()).bookings
    stack.provider.release()
    await ann.sees(booking.booking_id, "CONFIRMED")


async def test_a_stop_waits_for_its_sagas(stack: Stack) -> None:
    """A stop takes no new call, and ends when the booking that runs has come to its end."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.hold()
    pending = await ann.asks(confirm_request(held), timeout_s=3)
    stop = asyncio.create_task(stack.bookings[0].stop())
    await asyncio.sleep(0.2)
    assert not stop.done()
    assert (await ann.asks(confirm_request(held), timeout_s=0.5)).code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    stack.provider.release()
    await stop
    await stack.bookings[0].start()
    # Nothing runs any more: it was finished before the stop was.
    assert (await ann.get(pending.booking.booking_id)).status == pb.Booking.CONFIRMED


async def test_a_process_that_lost_its_lease(stack: Stack) -> None:
    """A saga whose attempt is over writes nothing: not its step, not its booking, no seats."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.hold()
    pending = await ann.asks(confirm_request(held, POOR_CARD), timeout_s=3)
    await stack.provider.asked()

    async def take_over(connection: AsyncConnection) -> None:
        await connection.execute(update(sagas).values(attempt=2))

    await stack.databases["booking_svc"].write(take_over)
    stack.provider.release()
    await stack.bookings[0].stop()

    async def stored(connection: AsyncConnection) -> list[tuple[str, str]]:
        found = select(tables.bookings.c.status, sagas.c.step).join_from(
            tables.bookings, sagas, tables.bookings.c.booking_id == sagas.c.booking_id
        )
        return [tuple(row) for row in await connection.execute(found)]

    # Read where nobody goes on with it yet.
    assert await stack.databases["booking_svc"].read(stored) == [("PENDING", "charge")]
    assert await stack.people.statuses(*held) == ["ACTIVE"]
    await stack.bookings[0].start()
    await ann.sees(pending.booking.booking_id, "FAILED")
