"""A stack over the real mock provider, and what is seen of a booking from its beginning to its end.

All of it goes by a clock that runs fast, so that a provider may take its three seconds.
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.payment.v1 import payment_pb2
from holdfast.payment.v1 import payment_pb2_grpc as payment_rpc

import auditor
from chassis.server import Hosted
from payment_svc import wiring
from payment_svc.config import PaymentSettings
from payment_svc.providers.mock_scenarios import Scenario
from support.audit import read_tables
from support.bookings import Answered, Buyer, Stack, confirm_request, until
from support.client import As
from support.databases import Databases, url_of
from support.tokens import auth_settings
from support.webhook_gateway import Forwarded, WebhookGateway

SPEED = 4.0
SECRET = f"whsec_{base64.b64encode(b'a secret of the tests').decode()}"
NEVER_S = 3600.0
LOOK_S = 0.05
STATUS = re.compile("PENDING|CONFIRMED|FAILED|CANCELLING|CANCELLED")
CARD, TOKEN = "card", "token"
SEATS = ("A1", "A2")


class FastClock:
    """`chassis.clock.Clock`, some times as fast as that of the machine."""

    def __init__(self) -> None:
        self._start, self._began = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * SPEED)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s / SPEED)


@dataclass
class Story:
    """What was seen of one booking."""

    scenario: Scenario
    event_id: int
    buyer: Buyer
    answer: Answered
    # Its statuses, in the order in which they were seen.
    seen: list[str]
    booking: pb.Booking
    # As GetPayment tells it in FULL.
    payment: payment_pb2.Payment = field(default_factory=payment_pb2.Payment)

    @property
    def log(self) -> list[str]:
        return log_of(self.payment)

    def said_of_refund(self, number: int) -> set[str]:
        """What was asked and answered about one of the refunds, in whatever order."""
        refund_id = self.payment.refunds[number].refund_id
        about = [one for one in self.payment.log if one.refund_id == refund_id]
        return {payment_pb2.PaymentLogEntry.Outcome.Name(one.outcome) for one in about}

    @property
    def pended_s(self) -> float:
        """How long it took until it was CONFIRMED, by the clock of the stack."""
        began, ended = self.booking.created_at, self.booking.confirmed_at
        return (ended.ToDatetime() - began.ToDatetime()).total_seconds()

    @property
    def refunds(self) -> list[str]:
        return [payment_pb2.Refund.Status.Name(one.status) for one in self.payment.refunds]


class ScenarioStack(Stack):
    """The three services, with the mock provider as settings make it."""

    def __init__(self, books_url: str, gateway: WebhookGateway | None, **payment: Any) -> None:
        super().__init__()
        self.clock = FastClock()
        self.books_url = books_url
        self.gateway = gateway
        webhooks = {"mock_webhook_url": gateway.url()} if gateway else {}
        self._payment_settings = PaymentSettings(
            mock_database_url=books_url,
            # Chance declines: only scenarios succeed.
            mock_success_rate=0,
            mock_delay_min_s=0,
            mock_delay_max_s=0.2,
            webhook_secrets=SECRET,
            **{"provider_timeout_s": 2, "reconcile_interval_s": 0.05, **webhooks, **payment},
        )

    async def start(self, databases: Databases, *args: Any, **settings: Any) -> "ScenarioStack":
        await super().start(databases, *args, **settings)
        stub = payment_rpc.PaymentServiceStub(await self.channel(self.payment))
        self.clerk = As(stub, "clerk", "payments")
        if self.gateway is not None:
            self.gateway.target = self.payment.address
        return self

    async def books(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of the provider's own books: charges, refunds, webhooks."""
        tables = await read_tables(self.books_url)
        return {name.removeprefix("provider_"): rows for name, rows in tables.items()}

    async def books_of(self, story: Story) -> dict[str, list[dict[str, Any]]]:
        """The charge of a booking and its refunds, oldest first, as they are by now.

        Nobody is asked for it: to read a payment is to have its provider asked.
        """
        books = await self.books()
        mine = [one for one in books["charges"] if one["reference"] == story.booking.payment_id]
        names = {one["transaction_id"] for one in mine if one["transaction_id"]}
        back = [one for one in books["refunds"] if one["transaction_id"] in names]
        for row in [*mine, *back]:
            row["state"] = self._state(row)
        return {"charges": mine, "refunds": sorted(back, key=_age)}

    def webhooks_of(self, story: Story) -> list[Forwarded]:
        """What came to the gateway about a payment, or its refunds, in order."""
        mine = {story.payment.payment_id, *(one.refund_id for one in story.payment.refunds)}
        came = self.gateway.forwarded if self.gateway else []
        return [one for one in came if json.loads(one.body)["data"]["reference"] in mine]

    async def told(self) -> None:
        """Wait until the provider has told all that it had to tell."""

        async def nothing_is_due() -> bool:
            return all(row["due_at"] is None for row in (await self.books())["webhooks"])

        await until(nothing_is_due)

    async def says(self, story: Story, words: str) -> None:
        """Read the payment until its log says this: an answer may come when all is decided."""

        async def it_does() -> bool:
            story.payment = await self.full(story.booking.payment_id)
            return words in story.log

        await until(it_does)

    async def full(self, payment_id: str) -> payment_pb2.Payment:
        request = payment_pb2.GetPaymentRequest(
            payment_id=payment_id, view=payment_pb2.GetPaymentRequest.FULL
        )
        return await self.clerk.GetPayment(request)

    async def pay(self, scenario: Scenario) -> str:
        """Ask once for a payment without a booking, and never again; its id."""
        paid = await self.clerk.ProcessPayment(
            payment_pb2.ProcessPaymentRequest(
                amount={"value": "150.00"},
                currency="USD",
                booking_reference=scenario.name,
                user_id="ann",
                payment_method=payment_pb2.PaymentMethod(token=scenario.token),
            )
        )
        return str(paid.payment_id)

    async def listed(self, payment_id: str) -> str:
        """The status of a payment, read in the one way that asks no provider."""
        (status,) = [
            payment_pb2.Payment.Status.Name(one.status)
            for one in await self.payments()
            if one.payment_id == payment_id
        ]
        return status

    async def book(self, scenario: Scenario, means: str) -> Story:
        """Book two seats of a new event, and look on until the booking is decided."""
        event_id = await self.people.event()
        buyer = self.buyer(f"{scenario.name} {means}")
        held = await buyer.hold(*SEATS, event_id=event_id)
        request = confirm_request(held, scenario.number)
        if means == TOKEN:
            request.payment_method.CopyFrom(payment_pb2.PaymentMethod(token=scenario.token))
        seen: list[str] = []
        answer = await _looking_on(buyer, seen, buyer.asks(request))
        booking = await _decided(buyer, seen)
        return Story(scenario, event_id, buyer, answer, seen, booking)

    async def cancel(self, story: Story) -> None:
        """Cancel the booking, and look on until it is CANCELLED."""
        cancelling = story.buyer.cancel(story.booking.booking_id)
        await _looking_on(story.buyer, story.seen, cancelling)
        story.booking = await _decided(story.buyer, story.seen)

    async def seats_of(self, story: Story) -> set[str]:
        """In which states the two seats of a booking are."""
        statuses = await self.people.seat_statuses(story.event_id)
        return {statuses[one] for one in SEATS}

    async def audited(self) -> list[str]:
        """What the auditor finds, once everything has ended."""
        urls = auditor.Urls(
            booking=url_of(self.databases["booking_svc"]),
            payment=url_of(self.databases["payment_svc"]),
            inventory=url_of(self.databases["inventory_svc"]),
            provider=self.books_url,
        )
        found = await auditor.audit(urls, settled=True, now=self.clock.now())
        return [str(one) for one in found]

    def _state(self, row: dict[str, Any]) -> str:
        """What a charge or refund is by now: its row is turned only when somebody asks."""
        is_over = row["settles_at"] is not None and row["settles_at"] <= str(self.clock.now())
        if row["state"] not in ("PENDING", "SUCCEEDED") or not is_over:
            return str(row["state"])
        failed = "DECLINED" if "scenario" in row else "FAILED"
        return failed if row["decline_code"] else "SUCCEEDED"

    async def _payment(self) -> Hosted:
        database = self.databases["payment_svc"]
        return await wiring.wire(self._payment_settings, auth_settings(), database, self.clock)


@asynccontextmanager
async def scenario_stack(
    databases: Databases, gateway: WebhookGateway | None, **payment: Any
) -> AsyncIterator[ScenarioStack]:
    """A stack, without webhooks if there is no gateway; settings as in `PaymentSettings`."""
    stack = ScenarioStack(await databases.empty(), gateway, **payment)
    try:
        yield await stack.start(databases)
    finally:
        await stack.stop()


def log_of(payment: payment_pb2.Payment) -> list[str]:
    """The log of a payment in words, such as `CHARGE SUCCEEDED`."""
    entry = payment_pb2.PaymentLogEntry
    return [
        f"{entry.Action.Name(one.action)} {entry.Outcome.Name(one.outcome)}" for one in payment.log
    ]


def promised(scenario: Scenario) -> list[str]:
    """The statuses that the table names, in the order in which it names them."""
    return STATUS.findall(scenario.outcome)


async def _looking_on(buyer: Buyer, seen: list[str], call: Awaitable[Any]) -> Any:
    """Wait for a call, and note what its caller's booking is meanwhile."""
    calling = asyncio.ensure_future(call)
    while not calling.done():
        await _look(buyer, seen)
        await asyncio.sleep(LOOK_S)
    await _look(buyer, seen)
    return calling.result()


async def _decided(buyer: Buyer, seen: list[str]) -> pb.Booking:
    """The only booking of a buyer, when it is neither PENDING nor CANCELLING."""
    found: list[pb.Booking] = []

    async def is_decided() -> bool:
        found[:] = await _look(buyer, seen)
        return seen[-1] not in ("PENDING", "CANCELLING")

    await until(is_decided)
    return found[0]


async def _look(buyer: Buyer, seen: list[str]) -> list[pb.Booking]:
    bookings = list((await buyer.mine()).bookings)
    for one in bookings:
        status = pb.Booking.Status.Name(one.status)
        if seen[-1:] != [status]:
            seen.append(status)
    return bookings


def _age(row: dict[str, Any]) -> Any:
    return row["created_at"]
