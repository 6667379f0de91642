"""Bookings and sagas are counted by how they end, each once, whatever happens on the way."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import grpc.aio
import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from support import bookings, build
from support.bookings import POOR_CARD, Buyer, Stack, confirm_request, on_sqlite, stack_on
from support.client import refused
from support.commits import Trouble, in_all_troubles, next_commit
from support.databases import Databases
from support.operators import cancellation_parked, operator, refund_by_hand
from support.telemetry import Tally, recorded, trace_of, value
from support.tokens import auth_settings

from booking_svc import wiring
from booking_svc.config import BookingSettings
from booking_svc.persistence.repository import SqlBookings
from booking_svc.usecases.census import Census
from chassis import database as database_module
from chassis.database import DatabaseTransactions
from payment_svc.domain.outcome import Unknown

pytestmark = on_sqlite
stack = bookings.stack

BOOKINGS, DURATIONS = "holdfast_bookings_total", "holdfast_booking_duration_seconds_count"
ROLLBACKS, ACTIONS = "holdfast_saga_rollbacks_total", "holdfast_saga_actions_total"
RECOVERIES = "holdfast_saga_recoveries_total"
CONFIRMED, CANCELLED = ("CONFIRMED", ""), ("CANCELLED", "")
DECLINED, SEATS_LOST = ("FAILED", "PAYMENT_FAILED"), ("FAILED", "SEATS_LOST")
# What begins a booking, stores a step of it, and stores its end.
WRITES = ("INSERT INTO bookings ", "UPDATE bookings ", "INSERT INTO outbox ")
WAIT_S = 20.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0.005)


async def counted(tally: Tally, *outcomes: tuple[str, str]) -> None:
    """Wait until so many bookings have been counted: these, and no others."""
    await until(lambda: sum(tally.of(BOOKINGS).values()) >= len(outcomes))
    assert tally.of(BOOKINGS) == {one: outcomes.count(one) for one in outcomes}


async def in_the_middle(stack: Stack, ann: Buyer) -> tuple[pb.Booking, list[int]]:
    """A booking whose payment is under way, until the provider is released."""
    held = await ann.hold("A1")
    stack.provider.hold()
    asking = asyncio.ensure_future(ann.asks(confirm_request(held)))
    await stack.provider.asked()
    # A caller who leaves changes nothing.
    asking.cancel()
    await asyncio.wait({asking})
    mine = (await ann.mine()).bookings
    (booking,) = [one for one in mine if one.status == pb.Booking.PENDING]
    return booking, held


async def call_off(stack: Stack, ann: Buyer, booking: pb.Booking) -> None:
    """Cancel a booking whose payment is under way, again if that fails, and let it end."""

    async def cancel() -> None:
        with suppress(grpc.aio.AioRpcError):
            await ann.cancel(booking.booking_id)
        await ann.cancel(booking.booking_id)

    cancelling = asyncio.ensure_future(cancel())
    await ann.sees(booking.booking_id, "CANCELLING")
    stack.provider.release()
    await cancelling


async def test_a_booking_that_is_confirmed(stack: Stack) -> None:
    """A confirmed booking is counted once, with its time and its actions; a replay is nothing."""
    ann, tally = stack.buyer("ann"), Tally()
    held = await ann.hold("A1")
    for _ in range(3):
        await ann.confirm(held)
    await counted(tally, CONFIRMED)
    assert tally.of(DURATIONS) == {("CONFIRMED",): 1}
    assert tally.of(ROLLBACKS) == {}
    actions = {("take_payment", "DONE"): 1, ("confirm_seats", "DONE"): 1}
    assert tally.of(ACTIONS) == actions
    times = tally.of("holdfast_saga_action_seconds_count")
    assert times == {("take_payment",): 1, ("confirm_seats",): 1}


async def test_a_booking_that_is_declined(stack: Stack) -> None:
    """A declined booking is one that failed and one saga that turned back, and says why."""
    ann, tally = stack.buyer("ann"), Tally()
    await ann.asks(confirm_request(await ann.hold("A1"), POOR_CARD))
    await counted(tally, DECLINED)
    assert tally.of(DURATIONS) == {("FAILED",): 1}
    assert tally.of(ROLLBACKS) == {("PAYMENT_FAILED",): 1}
    assert tally.of(ACTIONS) == {("take_payment", "REFUSED"): 1, ("release_seats", "DONE"): 1}


async def test_a_booking_that_loses_its_seats(stack: Stack) -> None:
    """A booking whose seats were lost after its payment is counted as that."""
    ann, tally = stack.buyer("ann"), Tally()
    _, held = await in_the_middle(stack, ann)
    await stack.people.service.CancelReservations(build.cancel(*held, booking=""))
    stack.provider.release()
    await counted(tally, SEATS_LOST)
    assert tally.of(ROLLBACKS) == {("RESERVATION_NOT_ACTIVE",): 1}
    assert tally.of(ACTIONS)[("give_back_payment", "DONE")] == 1


async def test_a_booking_that_is_given_up(stack: Stack) -> None:
    """A booking whose payment never ends is given up: one that failed, by its own reason."""
    ann, tally = stack.buyer("ann"), Tally()
    stack.provider.answers = [Unknown("lost")] * 1000
    stack.provider.lookup_answers = [Unknown("lost")] * 1000
    pending = await ann.asks(confirm_request(await ann.hold("A1")))
    await stack.passing(ann.sees(pending.booking.booking_id, "FAILED"), step_s=60)
    await counted(tally, DECLINED)
    assert tally.of(ROLLBACKS) == {("GIVEN_UP",): 1}
    found = tally.of(ACTIONS)
    assert found["take_payment", "GIVEN_UP"] == 1
    assert found["take_payment", "PENDING"] >= 1
    # It rested, and was taken up when it was due.
    assert tally.of(RECOVERIES)[("confirm_booking",)] >= 1


async def test_a_booking_that_is_called_off_in_the_middle(stack: Stack) -> None:
    """A booking that is cancelled before it is confirmed is CANCELLED, and one that turned back."""
    ann, tally = stack.buyer("ann"), Tally()
    booking, _ = await in_the_middle(stack, ann)
    await call_off(stack, ann, booking)
    await counted(tally, CANCELLED)
    assert tally.of(ROLLBACKS) == {("CANCELLED",): 1}
    assert tally.of(DURATIONS) == {}


async def test_a_booking_that_is_cancelled_later(stack: Stack) -> None:
    """A booking that is cancelled when it was confirmed is counted as both, and turned nowhere."""
    ann, tally = stack.buyer("ann"), Tally()
    booking = await ann.confirm(await ann.hold("A1"))
    for _ in range(2):
        await ann.cancel(booking.booking_id)
    await counted(tally, CONFIRMED, CANCELLED)
    assert tally.of(ROLLBACKS) == {}
    assert tally.of(DURATIONS) == {("CONFIRMED",): 1}


@in_all_troubles
@pytest.mark.parametrize("writing", WRITES)
async def test_a_commit_goes_wrong(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, writing: str, trouble: Trouble
) -> None:
    """A declined booking counts once, whatever becomes of the commit of any of its units."""
    monkeypatch.setattr(database_module, "LOOK_UP_EVERY_S", 0.001)
    ann, tally = stack.buyer("ann"), Tally()
    request = confirm_request(await ann.hold("A1"), POOR_CARD)
    with next_commit(stack.databases["booking_svc"], writing, trouble) as happened:
        await ann.asks(request)
        # If it was not stored, its key is free.
        await ann.asks(request)
    assert happened
    await counted(tally, DECLINED)
    assert tally.of(ROLLBACKS) == {("PAYMENT_FAILED",): 1}
    assert tally.of(ACTIONS) == {("take_payment", "REFUSED"): 1, ("release_seats", "DONE"): 1}


@in_all_troubles
async def test_a_commit_of_a_cancellation_goes_wrong(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    """A booking that is called off counts once, whatever becomes of the commit of that."""
    monkeypatch.setattr(database_module, "LOOK_UP_EVERY_S", 0.001)
    ann, tally = stack.buyer("ann"), Tally()
    booking, _ = await in_the_middle(stack, ann)
    with next_commit(stack.databases["booking_svc"], "INSERT INTO sagas ", trouble) as happened:
        await call_off(stack, ann, booking)
    assert happened
    await counted(tally, CANCELLED)
    assert tally.of(ROLLBACKS) == {("CANCELLED",): 1}


async def test_a_saga_that_is_taken_over(databases: Databases) -> None:
    """A saga that two processes ran is one booking, and another trace linked to its call's."""
    async with stack_on(databases, replicas=2, booking={"lease_s": 60.0}) as stack:
        ann, tally = stack.buyer("ann"), Tally()
        with recorded() as spans:
            await in_the_middle(stack, ann)
            stack.clock.move(61)
            await until(lambda: bool(tally.of(RECOVERIES)))
            stack.provider.release()
            await until(lambda: spans.names().count("saga confirm_booking") == 2)
    await counted(tally, CONFIRMED)
    assert tally.of(RECOVERIES) == {("confirm_booking",): 1}
    calls = [one for one in spans.all() if one.name.endswith("/ConfirmBooking")]
    (call,) = [one for one in calls if one.kind.name == "SERVER"]
    first, again = sorted(
        (one for one in spans.all() if one.name == "saga confirm_booking"),
        key=lambda one: one.start_time,
    )
    assert (first.parent.span_id, first.links) == (call.context.span_id, ())
    assert again.parent is None
    assert trace_of(again) != trace_of(call)
    assert [one.context.trace_id for one in again.links] == [call.context.trace_id]
    references = {one.attributes["holdfast.booking_reference"] for one in (call, first, again)}
    assert len(references) == 1


async def counts(stack: Stack) -> tuple[float, float, float]:
    """RUNNING, NEEDS_ATTENTION and the age of the oldest, as a census finds them."""
    transactions = DatabaseTransactions(stack.databases["booking_svc"], SqlBookings)
    assert not await Census(transactions, stack.clock).run_once()
    states = [value("holdfast_sagas", state) for state in ("RUNNING", "NEEDS_ATTENTION")]
    return (*states, value("holdfast_saga_oldest_seconds"))


async def test_a_census(stack: Stack) -> None:
    """A census finds the sagas that run, since when, and those that are parked; then none."""
    assert await counts(stack) == (0, 0, 0)
    parked = await cancellation_parked(stack, "A2", "parked")
    ann = stack.buyer("ann")
    booking, _ = await in_the_middle(stack, ann)
    stack.clock.move(7)
    assert await counts(stack) == (1, 1, 7)
    stack.provider.release()
    await ann.sees(booking.booking_id, "CONFIRMED")
    assert await counts(stack) == (0, 1, 0)
    olga = await operator(stack)
    await olga.retry(parked.booking_id)
    await olga.sees(parked.booking_id, "SUCCEEDED")
    assert await counts(stack) == (0, 0, 0)


@pytest.mark.parametrize(("listen", "takes"), [("", False), ("127.0.0.1:0", True)])
async def test_a_census_is_for_who_reads_it(
    databases: Databases, listen: str, *, takes: bool
) -> None:
    """Nothing is counted in the database unless metrics are served."""
    settings = BookingSettings(metrics_listen=listen)
    database = await databases.fresh("booking_svc")
    hosted = await wiring.wire(settings, auth_settings(), database)
    assert ("census" in {one.name for one in hosted.workers}) is takes
    await hosted.close()


async def test_a_resolved_saga(stack: Stack) -> None:
    """A cancellation that a person ends is counted once, as CANCELLED."""
    booking = await cancellation_parked(stack)
    await refund_by_hand(stack, booking)
    tally, olga = Tally(), await operator(stack)
    await olga.resolve(booking.booking_id)
    await counted(tally, CANCELLED)
    with refused("SAGA_NOT_PARKED"):
        await olga.resolve(booking.booking_id)
    await counted(tally, CANCELLED)
