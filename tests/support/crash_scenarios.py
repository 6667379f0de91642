"""What happens in a world while its processes die: each scenario has its path of points."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import grpc.aio
from holdfast.payment.v1 import payment_pb2

from support.bookings import GOOD_CARD, POOR_CARD
from support.crash_client import WEBHOOK_SECRET, Client
from support.crash_points import SERVICES, points_of, stretches
from support.crash_seams import Plan
from support.crash_world import BOOKING, INVENTORY, UNTOUCHED, World, until

# The mock provider's: see `payment_svc.providers.mock_scenarios`.
ANSWER_LOST_CARD = "4000000000003204"
SLOW_CARD = "4000000000003188"
REFUND_FAILS_CARD = "4000000000003287"
# From here on a process takes the card with it, and it has not reached the payment adapter.
CARD_LOST = (
    "booking_svc/ConfirmBooking._begin/after-commit",
    "confirm_booking/charge/forward/before-call",
)
NOTHING_STORED = "booking_svc/ConfirmBooking._begin/before-commit"

Play = Callable[[World, Client], Awaitable[str]]


@dataclass(frozen=True)
class Scenario:
    """One course of events, whatever dies on the way."""

    name: str
    # The stretches, units of work and calls that it is made of, as in `crash_points`.
    path: tuple[str, ...]
    play: Play
    # What the client is told in the end.
    answer: str
    settings: Mapping[str, str] = field(default_factory=dict)
    # What else is wrong, all the time.
    plans: Mapping[str, Plan] = field(default_factory=dict)
    # Its path begins when a process has died here.
    after: str = ""
    # Another answer that is right too, when somebody was slow.
    or_else: str = ""

    @property
    def stretches(self) -> tuple[str, ...]:
        """Those of its path that are steps of sagas."""
        return tuple(one for one in self.path if not one.startswith(SERVICES))

    def answers_after(self, point: str) -> tuple[str, ...]:
        """What the client may be told when a process dies here."""
        if point in CARD_LOST and self.answer in ("CONFIRMED", "SEATS_LOST"):
            return ("PAYMENT_FAILED",)
        return (self.answer, self.or_else) if self.or_else else (self.answer,)


async def live_through(world: World, scenario: Scenario, deaths: Sequence[tuple[str, ...]]) -> str:
    """Play a scenario; processes die, each at the first that it reaches of some points.

    The processes of a service come one after the other. Then everything comes to rest, and the
    auditor finds nothing. Gives the client's answer.
    """
    world.plans = scenario.plans
    for points in deaths:
        service = service_of(points[0])
        plan = replace(scenario.plans.get(service, UNTOUCHED), die_at=points)
        world.successors.setdefault(service, []).append(plan)
    await world.start_all()
    async with world.guarded():
        answer = await scenario.play(world, Client(world))
        await world.settles()
    return answer


def service_of(name: str) -> str:
    """Whose process a point, or what it belongs to, is in."""
    return next((service for service in SERVICES if name.startswith(service)), BOOKING)


# Where a saga is taken over, and where it then first finishes a call.
SECOND_DEATHS = {
    "before it takes over": ("booking_svc/Recovery._take_over/before-commit",),
    "after it took over": ("booking_svc/Recovery._take_over/after-commit",),
    "after its first call": tuple(f"{name}/after-call" for name in stretches()),
}


def firsts(scenario: Scenario) -> list[str]:
    """The points of a scenario at which a replica leaves a saga that is to go on."""
    begins = (BEGIN, CANCEL)
    points = points_of(*[one for one in scenario.path if one in (*begins, *stretches())])
    nothing_yet = [f"{one}/before-commit" for one in begins]
    return [point for point in points[:-1] if point not in nothing_yet]


def _booking_with(card: str) -> Play:
    async def play(_world: World, client: Client) -> str:
        held = await client.holds(await client.event("A1", "A2"), "A1", "A2")
        return await client.books(held, card)

    return play


async def _cancel_confirmed(world: World, client: Client) -> str:
    await _booking_with(GOOD_CARD)(world, client)
    return await client.cancels(await client.first_booking())


async def _cancel_pending(_world: World, client: Client) -> str:
    """The provider has taken the money, and nobody knows it yet."""
    held = await client.holds(await client.event("A1", "A2"), "A1", "A2")
    booked = asyncio.create_task(client.books(held, ANSWER_LOST_CARD))
    answer = await client.cancels(await client.first_booking())
    await booked
    return answer


async def _stop_waiting(world: World, client: Client) -> str:
    """A replica that waits for a payment is told to stop."""
    held = await client.holds(await client.event("A1", "A2"), "A1", "A2")
    booked = asyncio.create_task(client.books(held, SLOW_CARD))
    replica = world.present(BOOKING)
    await until(lambda: f"{CHARGE}/after-commit" in replica.reached)
    replica.signal(signal.SIGTERM)
    return await booked


async def _clerk(_world: World, client: Client) -> str:
    return await client.refunds(await client.pays())


async def _clerk_who_waits(world: World, client: Client) -> str:
    """Nobody asks again for a refund before it is done."""
    payment_id = await client.pays()
    with suppress(grpc.aio.AioRpcError):
        await client.tries_to_refund(payment_id)
    await world.settles()
    return await client.refunds(payment_id)


async def _told(world: World, client: Client) -> str:
    """The provider tells something of a payment, and something of one that nobody knows."""
    paid = await client.pays()
    known = await client.payment()
    await client.tells("evt_1", paid, known.transaction_id)
    await client.tells("evt_2", "pay_404", "txn_404")
    again = f"{TRY_AGAIN}/after-commit"
    await until(lambda: any(again in one.reached for one in world.children))
    return payment_pb2.Payment.Status.Name((await client.payment()).status)


async def _called_off(world: World, client: Client) -> str:
    """The refund of an order that was called off fails, and nobody asks for another."""
    await client.pays(REFUND_FAILS_CARD)
    await client.calls_off()
    await until(lambda: any(f"{GO_BACK}/after-commit" in one.reached for one in world.children))
    await world.settles()
    return payment_pb2.Payment.Status.Name((await client.payment()).status)


TAKE, TRY_AGAIN = "payment_svc/Webhooks._take", "payment_svc/Webhooks._try_again"
GO_BACK = "payment_svc/Settling.go_back"
BEGIN, CANCEL = "booking_svc/ConfirmBooking._begin", "booking_svc/CancelBooking._begin"
TAKE_OVER = "booking_svc/Recovery._take_over"
CHARGE, CONFIRM = "confirm_booking/charge/forward", "confirm_booking/confirm/forward"
GIVE_BACK, RELEASE = "confirm_booking/charge/backward", "confirm_booking/hold/backward"
CANCELLING = (CANCEL, "cancel_booking/release/forward", "cancel_booking/refund/forward")
AT_ONCE = {"BOOKING_CHARGE_GIVE_UP_S": "0.001"}

SCENARIOS = (
    Scenario(
        "confirmed",
        (
            "inventory_svc/Reservations.reserve",
            "inventory_svc/Reservations.extend",
            BEGIN,
            CHARGE,
            "payment_svc/ProcessPayment._process",
            "payment_svc/provider.charge",
            "payment_svc/Settling.charged",
            CONFIRM,
            "inventory_svc/Reservations.confirm",
            "booking_svc/EventFeed.run_once",
            "payment_svc/EventFeed.run_once",
        ),
        _booking_with(GOOD_CARD),
        "CONFIRMED",
    ),
    Scenario("declined", (CHARGE, RELEASE), _booking_with(POOR_CARD), "PAYMENT_FAILED"),
    Scenario(
        "seats lost after the payment",
        (CHARGE, CONFIRM, GIVE_BACK, RELEASE),
        _booking_with(GOOD_CARD),
        "SEATS_LOST",
        plans={INVENTORY: Plan(loses_seats=True)},
    ),
    Scenario(
        "charge given up",
        (
            CHARGE,
            GIVE_BACK,
            "payment_svc/CancelPayment._cancel",
            "payment_svc/provider.void",
            "payment_svc/provider.refund",
            "payment_svc/Settling.give_back",
            RELEASE,
            "inventory_svc/Reservations.cancel",
        ),
        _booking_with(ANSWER_LOST_CARD),
        "PAYMENT_FAILED",
        settings=AT_ONCE,
        # By then the provider has said that it did take the money.
        or_else="CONFIRMED",
    ),
    Scenario(
        "answer of the provider lost",
        ("payment_svc/Reconciler._payment", "payment_svc/provider.lookup"),
        _booking_with(ANSWER_LOST_CARD),
        "CONFIRMED",
        # With the card gone, nobody repeats the charge.
        after=f"{CHARGE}/after-call",
    ),
    Scenario("cancelled", CANCELLING, _cancel_confirmed, "CANCELLED"),
    Scenario("called off", CANCELLING, _cancel_pending, "CANCELLED"),
    Scenario(
        "told to stop",
        ("booking_svc/BookingJournal.hand_back", "booking_svc/Sagas.hand_back"),
        _stop_waiting,
        "CONFIRMED",
    ),
    Scenario(
        "taken over",
        (TAKE_OVER,),
        _booking_with(GOOD_CARD),
        "CONFIRMED",
        after=f"{CHARGE}/after-call",
    ),
    Scenario(
        "refund left open",
        ("payment_svc/Reconciler._refund",),
        _clerk_who_waits,
        "REFUNDED",
        after="payment_svc/RefundPayment._refund/after-commit",
    ),
    Scenario("clerk", ("payment_svc/RefundPayment._refund",), _clerk, "REFUNDED"),
    Scenario(
        "told by the provider",
        (TAKE, TRY_AGAIN),
        _told,
        "SUCCESS",
        settings={"PAYMENT_WEBHOOK_SECRETS": WEBHOOK_SECRET},
    ),
    Scenario("refund failed and forgotten", (GO_BACK,), _called_off, "REFUNDED"),
)
