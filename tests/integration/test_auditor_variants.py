"""The system broken on purpose, in ways that are easy to make: the auditor sees each of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
from support import build
from support.audit import audit
from support.bookings import GOOD_CARD, POOR_CARD, Stack, confirm_request, on_sqlite, until
from support.databases import Databases

from booking_svc.clients.inventory import InventoryClient
from booking_svc.clients.payments import PaymentClient
from booking_svc.domain.booking import Booking
from booking_svc.domain.outcome import Done, Refused
from booking_svc.persistence.repository import SqlBookings
from booking_svc.persistence.sagas import SqlSagas
from booking_svc.usecases import steps
from booking_svc.usecases.journal import BookingJournal
from booking_svc.usecases.sagas import Sagas
from chassis.outbox import OutboxTable
from inventory_svc.persistence.repository import SqlInventory
from payment_svc.domain.payment import Payment
from payment_svc.ports import Return
from payment_svc.usecases.settling import Settling

# Charged, and the first answer is lost.
LOST_ANSWER_CARD = "4000000000003204"

Patch = pytest.MonkeyPatch
Scenario = Callable[[Stack], Awaitable[object]]


# What is done to the system.


async def confirmed(stack: Stack) -> None:
    ann = stack.buyer("ann")
    await ann.asks(confirm_request(await ann.hold("A1", "A2")))


async def declined(stack: Stack) -> None:
    ann = stack.buyer("ann")
    await ann.asks(confirm_request(await ann.hold("A1"), POOR_CARD))


async def answer_lost(stack: Stack) -> None:
    """The money is taken, and whoever asked does not hear of it at first."""
    ann = stack.buyer("ann")
    await ann.asks(confirm_request(await ann.hold("A1"), LOST_ANSWER_CARD))

    async def all_is_known() -> bool:
        stack.clock.move(60)
        return all(one.status != one.PENDING for one in await stack.payments())

    await until(all_is_known)


async def cancelled(stack: Stack) -> None:
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"))
    await ann.cancel(booking.booking_id)


async def seats_lost(stack: Stack) -> None:
    """The seats go while the provider thinks."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", "A2")
    stack.provider.hold()
    call = asyncio.create_task(ann.asks(confirm_request(held)))
    await stack.provider.asked()
    await stack.people.service.CancelReservations(build.cancel(held[0], booking=""))
    stack.provider.release()
    await call


async def two_buyers(stack: Stack) -> None:
    """One after the other wants the same seat, which both hold if that is let happen."""
    for name in ("ann", "bob"):
        buyer = stack.buyer(name)
        try:
            held = await buyer.hold("A1")
        except Exception:  # noqa: BLE001 - so it should be
            return
        await buyer.asks(confirm_request(held, GOOD_CARD))


# How it is broken.


def charges_anew(patch: Patch) -> None:
    """Each try of a charge has a key of its own."""
    numbers = count()
    order = steps.ChargeOrder
    patch.setattr(
        steps, "ChargeOrder", lambda **facts: order(**{**facts, "key": f"k{next(numbers)}"})
    )


def no_answer_is_a_no(patch: Patch) -> None:
    """A charge without an answer is taken for one that was refused, and left as it is."""
    charge = PaymentClient.charge

    async def impatient(self: Any, asked: Any) -> Any:
        outcome = await charge(self, asked)
        return outcome if isinstance(outcome, Done) else Refused("PAYMENT_FAILED", "no answer")

    patch.setattr(PaymentClient, "charge", impatient)


def forgets_the_money(patch: Patch) -> None:
    """Nothing is given back."""
    patch.setattr(PaymentClient, "cancel", _says(Done("REFUNDED")))


def charges_too_much(patch: Patch) -> None:
    """The charge is not the total."""
    order = steps.ChargeOrder

    def more(**facts: Any) -> Any:
        return order(**{**facts, "amount_minor": facts["amount_minor"] + 1})

    patch.setattr(steps, "ChargeOrder", more)


def gives_back_twice(patch: Patch) -> None:
    """A refund is asked for under two names."""
    give_back = Settling.give_back

    async def twice(self: Any, payment: Any, refund: Any, **more: Any) -> Any:
        await self.asking.provider.refund(_return(payment, refund))
        return await give_back(self, payment, refund, **more)

    patch.setattr(Settling, "give_back", twice)


def keeps_no_sums(patch: Patch) -> None:
    """What was given back is not noted at the payment."""
    patch.setattr(Payment, "given_back", lambda self, _amount_minor: self)


def forgets_to_book(patch: Patch) -> None:
    """The seats are never booked."""
    patch.setattr(InventoryClient, "confirm", _says(Done(None)))


def forgets_to_release(patch: Patch) -> None:
    """The seats are never released."""
    patch.setattr(InventoryClient, "cancel", _says(Done(None)))


def sells_twice(patch: Patch) -> None:
    """A seat is taken whoever has it."""
    take = SqlInventory.take_seats

    async def always(self: Any, wanted: Any, now: Any) -> bool:
        await take(self, wanted, now)
        return True

    async def as_many_as_wanted(self: Any, held: Any, reference: str, now: Any) -> int:
        await confirm(self, held, reference, now)
        return len(held)

    confirm = SqlInventory.confirm
    patch.setattr(SqlInventory, "take_seats", always)
    patch.setattr(SqlInventory, "confirm", as_many_as_wanted)


def keeps_no_answer(patch: Patch) -> None:
    """The answer is not stored with the booking."""
    patch.setattr(BookingJournal, "answered", lambda _self, booking: booking)


def keeps_no_claims(patch: Patch) -> None:
    """Reservations are not tied to their booking."""
    patch.setattr(SqlBookings, "claim_reservations", _says([]))


def tells_nobody(patch: Patch) -> None:
    """Events are not stored."""
    patch.setattr(OutboxTable, "add", _says(None))


def tells_twice(patch: Patch) -> None:
    """Events are stored twice."""
    add = OutboxTable.add

    async def twice(self: Any, event: Any) -> None:
        await add(self, event)
        await add(self, replace(event, event_id=event.event_id + 1))

    patch.setattr(OutboxTable, "add", twice)


def forgets_the_saga(patch: Patch) -> None:
    """What was stored is never run."""
    patch.setattr(Sagas, "start", lambda *_: None)
    patch.setattr(SqlSagas, "due", _says([]))


def stops_half_way(patch: Patch) -> None:
    """The booking is stored, where its saga stands is not."""
    patch.setattr(SqlSagas, "save", _says(answer=True))


def fails_too_early(patch: Patch) -> None:
    """A booking is confirmed as one that has failed."""
    patch.setattr(
        "booking_svc.saga.lessons.ENDINGS",
        {("confirm_booking", "SUCCEEDED"): _failed, ("confirm_booking", "UNDONE"): _failed},
    )


def writes_the_card_down(patch: Patch) -> None:
    """The card's number gets into the text of a failure."""
    failed = Booking.declined

    def chatty(self: Any, payment_id: str, code: str, _message: str) -> Any:
        return failed(self, payment_id, code, f"declined: {POOR_CARD}")

    patch.setattr(Booking, "declined", chatty)


@dataclass(frozen=True)
class Variant:
    """A way to break the system, what brings it to light, and what the auditor calls it."""

    breaks: Callable[[Patch], None]
    scenario: Scenario
    code: str


VARIANTS = (
    Variant(charges_anew, answer_lost, "CHARGED_TWICE"),
    Variant(no_answer_is_a_no, answer_lost, "MONEY_NOT_DUE"),
    Variant(forgets_the_money, cancelled, "MONEY_NOT_DUE"),
    Variant(forgets_the_money, seats_lost, "PROVIDER_NOT_DUE"),
    Variant(charges_too_much, confirmed, "PAYMENT_DIFFERS"),
    Variant(gives_back_twice, cancelled, "RETURN_UNKNOWN"),
    Variant(keeps_no_sums, cancelled, "REFUND_SUMS_DIFFER"),
    Variant(forgets_to_book, confirmed, "SEAT_NOT_BOOKED"),
    Variant(forgets_to_release, declined, "SEAT_OF_DEAD_BOOKING"),
    Variant(sells_twice, two_buyers, "SEAT_SHARED"),
    Variant(keeps_no_answer, confirmed, "ANSWER_MISSING"),
    Variant(keeps_no_claims, confirmed, "CLAIM_DIFFERS"),
    Variant(tells_nobody, confirmed, "EVENT_MISSING"),
    Variant(tells_twice, confirmed, "EVENT_UNEXPECTED"),
    Variant(forgets_the_saga, confirmed, "BOOKING_NOT_SETTLED"),
    Variant(stops_half_way, confirmed, "SAGA_STILL_OPEN"),
    Variant(fails_too_early, confirmed, "MONEY_NOT_DUE"),
    Variant(writes_the_card_down, declined, "CARD_STORED"),
)


@pytest.fixture(autouse=True)
def broken() -> Iterator[Patch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


async def audit_of(databases: Databases, scenario: Scenario) -> list[str]:
    stack = await Stack().start(databases)
    try:
        await scenario(stack)
        stack.provider.release()
        for service in stack.bookings:
            await service.stop()
        return await audit(stack.databases, stack.provider)
    finally:
        await stack.stop()


@on_sqlite
@pytest.mark.parametrize("scenario", sorted({one.scenario for one in VARIANTS}, key=str))
async def test_nothing_is_found_in_the_system_as_it_is(
    databases: Databases, scenario: Scenario
) -> None:
    """What is done to the broken systems leaves no trace in the whole one."""
    assert await audit_of(databases, scenario) == []


@on_sqlite
@pytest.mark.parametrize(
    "variant", VARIANTS, ids=lambda one: f"{one.breaks.__name__}-{one.scenario.__name__}"
)
async def test_a_broken_system_is_caught(
    databases: Databases, variant: Variant, broken: Patch
) -> None:
    """The auditor finds what the variant breaks, by the name of the rule."""
    variant.breaks(broken)
    found = await audit_of(databases, variant.scenario)
    assert variant.code in {one.split(" ")[0] for one in found}, found


def _says(answer: Any) -> Callable[..., Awaitable[Any]]:
    async def say(*_args: Any, **_options: Any) -> Any:
        return answer

    return say


def _failed(booking: Booking, now: Any) -> Booking:
    return booking.declined("", "", "so it is said").failed(now)


def _return(payment: Payment, refund: Any) -> Any:
    return Return(
        f"{refund.refund_id}-again",
        payment.transaction_id,
        refund.amount_minor,
        refund.currency,
        refund.created_at,
    )
