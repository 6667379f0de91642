"""What looks like a statement, a placeholder or a format is kept and given back to the letter."""

import grpc
from holdfast.payment.v1 import payment_pb2 as pb
from support import build
from support.clock import ManualClock
from support.databases import Databases
from support.hostile import TEXTS
from support.inventory import InventoryPeople
from support.payments import Payments, give_back, process, serving_payments

# In characters, as the contracts have it; other scripts need up to four bytes for each.
LONGEST = 64
SEAT_LONGEST = 32
KEPT = {
    **{name: text[:LONGEST] for name, text in TEXTS.items()},
    "four bytes each": "\U0001f3ab" * LONGEST,
    "quotes": "'\"`''\\'\\\\\"",
    "placeholders": "%s %% %(a)s ? :a :1 $1 {0}",
    "a comment": "/* x */ -- x # x",
    "wild cards": "%_*[a-z]",
    "nothing": "NULL",
    "a number": "0e0",
}
# Those of them that two databases may take for one and the same: by case, accents and spaces.
ALIKE = ["A1", "a1", "Á1", "A1\u200b", "%1", "_1", "A%", "A_"]


async def test_names_of_the_inventory(inventory: InventoryPeople) -> None:
    """Names of events and seats come back as they were given, and take no other seat."""
    for text in KEPT.values():
        await named(inventory, text)


async def named(inventory: InventoryPeople, text: str) -> None:
    seat = text[:SEAT_LONGEST].strip()
    request = build.create_event([seat, "another"])
    request.name = text
    try:
        event = await inventory.admin.CreateEvent(request)
    except grpc.aio.AioRpcError as error:
        # A rule may refuse it; then it is in no table.
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017
        return
    assert event.name == text
    held = await inventory.buyer("ann").ReserveSeats(build.reserve(event.event_id, seat))
    assert [one.seat.seat_number for one in held.reservations] == [seat]
    found = await inventory.buyer("ann").GetReservations(
        build.get(held.reservations[0].reservation_id)
    )
    assert found.reservations[0].seat.seat_number == seat


async def test_seats_that_look_alike(inventory: InventoryPeople) -> None:
    """Names that differ by case, accent or what cannot be seen are seats of their own."""
    event_id = await inventory.event(ALIKE)
    for seat in ALIKE:
        request = build.reserve(event_id, seat)
        held = await inventory.buyer("ann").ReserveSeats(request)
        assert [one.seat.seat_number for one in held.reservations] == [seat]


async def test_texts_of_payments(databases: Databases, clock: ManualClock) -> None:
    """References, users and reasons come back as they were given, and find no other payment."""
    database = await databases.fresh("payment_svc")
    async with serving_payments(database, clock) as payments:
        for text in KEPT.values():
            await told(payments, text)


async def told(payments: Payments, text: str) -> None:
    caller = payments.caller
    request = process(booking=text)
    request.user_id = text
    try:
        paid = await caller.ProcessPayment(request)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # noqa: PT017
        return
    refund = give_back(paid.payment_id)
    refund.reason = text
    assert (await caller.RefundPayment(refund)).reason == text
    whole = await caller.GetPayment(pb.GetPaymentRequest(payment_id=paid.payment_id))
    assert (whole.booking_reference, whole.user_id) == (text, text)
    listed = await caller.ListPayments(pb.ListPaymentsRequest(booking_reference=text))
    assert [one.payment_id for one in listed.payments] == [paid.payment_id]
