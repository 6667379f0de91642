"""Bookings over gRPC: the three services as one stack in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Self

import grpc.aio
import pytest
from google.rpc import status_pb2
from grpc_status import rpc_status
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc
from holdfast.payment.v1 import payment_pb2
from holdfast.payment.v1 import payment_pb2_grpc as payment_rpc
from sqlalchemy import or_, select

from booking_svc import wiring as booking_wiring
from booking_svc.config import BookingSettings
from booking_svc.persistence.tables import sagas
from chassis.cards import Card, Method
from chassis.database import Database
from chassis.server import Hosted, running
from chassis.status import from_rpc_error
from payment_svc import wiring as payment_wiring
from payment_svc.config import PaymentSettings
from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.outcome import NotDone, Notice, Pending, Succeeded, Unknown
from payment_svc.domain.outcome import Outcome as ProviderOutcome
from payment_svc.ports import Charge, KnownCard, Return
from payment_svc.providers import mock_scenarios
from payment_svc.providers.mock_scenarios import Fault
from support.audit import audit
from support.clock import START, ManualClock
from support.databases import SQLITE, Databases, url_of
from support.inventory import InventoryPeople, hosted_inventory
from support.tokens import auth_settings, metadata_for, verifier

GOOD_CARD = "4242424242424242"
POOR_CARD = "4000000000009995"
ANY_CARD = Card("CREDIT_CARD", GOOD_CARD, 12, 2030, "123")
# For what is refused before any database is asked.
on_sqlite = pytest.mark.parametrize("database_kind", [SQLITE], indirect=True)
WAIT_S = 20.0
GRACE_S = 10.0


class HurriedClock(ManualClock):
    """Stands still until it is moved; to sleep takes almost no time, and does not move it."""

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(min(delay_s, 0.01))


class FakeProvider:
    """Takes money on paper, by test card. A test can hold it back and see what it was asked."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.returned: dict[str, int] = {}
        # What it answers next, instead of what the card says.
        self.answers: list[ProviderOutcome] = []
        self.refund_answers: list[ProviderOutcome] = []
        self.lookup_answers: list[ProviderOutcome] = []
        self.void_answers: list[ProviderOutcome] = []
        self.charges_asked = 0
        # By our own references, in the order in which they came.
        self.refunds_asked: list[str] = []
        self.lookups_asked: list[str] = []
        self.voids_asked: list[str] = []
        # Charges of pending cards, until `settle`.
        self._pending: dict[str, tuple[Charge, ProviderOutcome]] = {}
        self._declined: dict[str, ProviderOutcome] = {}
        self._lost: set[str] = set()
        self._voided: set[str] = set()
        self._asked = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Give no answer from now on."""
        self._asked.clear()
        self._open.clear()

    def release(self) -> None:
        """Answer again."""
        self._open.set()

    async def asked(self) -> None:
        """Wait until something is asked, after `hold`."""
        async with asyncio.timeout(WAIT_S):
            await self._asked.wait()

    def settle(self) -> None:
        """Decide about all charges that are pending, as their cards say."""
        for charge, outcome in self._pending.values():
            self._decide(charge, outcome)
        self._pending.clear()

    @property
    def name(self) -> str:
        return "fake"

    def known_cards(self) -> Sequence[KnownCard]:
        return [one.card for one in mock_scenarios.SCENARIOS]

    def check(self, charge: Charge, method: Method) -> None:  # noqa: ARG002 - it takes any amount
        mock_scenarios.scenario_of(method)

    async def charge(self, charge: Charge, method: Method) -> ProviderOutcome:
        self.charges_asked += 1
        await self._wait()
        if charge.reference in self._voided:
            return NotDone()
        if self.answers:
            return self.answers.pop(0)
        known = self._known(charge.reference)
        if not isinstance(known, NotDone):
            return known
        decision = mock_scenarios.decide(method, 1.0, Random(charge.reference))
        fault = decision.script.fault
        if fault is Fault.CHARGE_LOST and charge.reference not in self._lost:
            self._lost.add(charge.reference)
            return Unknown("the answer is lost")
        if decision.script.settles_after_s:
            self._pending[charge.reference] = (charge, decision.outcome)
            return Pending()
        self._decide(charge, decision.outcome)
        return Unknown("the answer is lost") if fault is Fault.ANSWER_LOST else decision.outcome

    async def lookup(self, charge: Charge) -> ProviderOutcome:
        self.lookups_asked.append(charge.reference)
        await self._wait()
        return self.lookup_answers.pop(0) if self.lookup_answers else self._known(charge.reference)

    async def void(self, charge: Charge) -> ProviderOutcome:
        reference = charge.reference
        self.voids_asked.append(reference)
        await self._wait()
        if self.void_answers:
            return self.void_answers.pop(0)
        if reference in self.taken:
            return self._known(reference)
        self._pending.pop(reference, None)
        self._voided.add(reference)
        return NotDone()

    async def refund(self, order: Return) -> ProviderOutcome:
        self.refunds_asked.append(order.reference)
        await self._wait()
        if self.refund_answers:
            return self.refund_answers.pop(0)
        self.returned[order.reference] = order.amount_minor
        return Succeeded(mock_scenarios.transaction_id(Random(order.reference)))

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:  # noqa: ARG002
        raise WebhookRefused

    def _decide(self, charge: Charge, outcome: ProviderOutcome) -> None:
        if isinstance(outcome, Succeeded):
            self.taken[charge.reference] = charge.amount_minor
        else:
            self._declined[charge.reference] = outcome

    def _known(self, reference: str) -> ProviderOutcome:
        """What became of a charge."""
        if reference in self.taken:
            return mock_scenarios.decide(ANY_CARD, 1.0, Random(reference)).outcome
        if reference in self._pending:
            return Pending()
        return self._declined.get(reference, NotDone())

    async def _wait(self) -> None:
        self._asked.set()
        await self._open.wait()


class Service:
    """A service that a test can stop, and start again at the same address."""

    def __init__(self, make: Callable[[], Awaitable[Hosted]], grace_s: float = GRACE_S) -> None:
        self._make = make
        self._grace_s = grace_s
        self._exit = AsyncExitStack()
        self.address = "127.0.0.1:0"

    async def start(self) -> None:
        context = running(await self._make(), self.address, verifier(), self._grace_s)
        self.address = f"127.0.0.1:{await self._exit.enter_async_context(context)}"

    async def stop(self) -> None:
        await self._exit.aclose()


@dataclass(frozen=True)
class Answered:
    """What a call of ConfirmBooking was answered, as it was on the wire."""

    code: grpc.StatusCode
    message: bytes
    # `grpc-status-details-bin`: code, text, reason and facts of a refusal.
    status: bytes
    reason: str
    replayed: bool

    @property
    def booking(self) -> pb.Booking:
        assert self.code is grpc.StatusCode.OK, self.reason
        return pb.Booking.FromString(self.message)

    @property
    def same(self) -> tuple[bytes, bytes]:
        """What must not differ between an answer and its replay."""
        return self.message, self.status


def confirm_request(
    reservation_ids: Sequence[int], card: str = GOOD_CARD, expiry_year: int = 2030, key: str = ""
) -> pb.ConfirmBookingRequest:
    method = payment_pb2.PaymentMethod(
        type="CREDIT_CARD", card_number=card, expiry_month=12, expiry_year=expiry_year, cvv="123"
    )
    return pb.ConfirmBookingRequest(
        reservation_ids=reservation_ids, payment_method=method, idempotency_key=key
    )


class Buyer:
    """One user of the booking service."""

    def __init__(self, user_id: str, stack: "Stack", channel: grpc.aio.Channel) -> None:
        self.user_id = user_id
        self._stack = stack
        self._stub = rpc.BookingServiceStub(channel)
        # Without a deserializer: the bytes, as they came.
        self._confirm_raw = channel.unary_unary(
            "/holdfast.booking.v1.BookingService/ConfirmBooking",
            request_serializer=pb.ConfirmBookingRequest.SerializeToString,
        )

    async def hold(self, *seats: str, event_id: int = 0, ttl_s: float = 600) -> list[int]:
        """Reserve seats of the event, by default of the stack's own."""
        event_id = event_id or self._stack.event_id
        return await self._stack.people.hold(event_id, *seats, buyer=self.user_id, ttl_s=ttl_s)

    async def confirm(
        self, reservation_ids: Sequence[int], key: str = "k", **fields: Any
    ) -> pb.Booking:
        return (await self.asks(confirm_request(reservation_ids, **fields), key)).booking

    async def asks(
        self, request: pb.ConfirmBookingRequest, key: str = "k", timeout_s: float = WAIT_S
    ) -> Answered:
        """Call ConfirmBooking; a refusal is an answer too."""
        metadata = metadata_for(self.user_id, idempotency_key=key)
        call = self._confirm_raw(request, metadata=metadata, timeout=timeout_s)
        try:
            message = await call
        except grpc.aio.AioRpcError as error:
            status = rpc_status.from_call(error) or status_pb2.Status()
            trailing = error.trailing_metadata()
            told = (b"", status.SerializeToString(deterministic=True), from_rpc_error(error).reason)
            return Answered(error.code(), *told, _replayed(trailing))
        trailing = await call.trailing_metadata()
        return Answered(grpc.StatusCode.OK, message, b"", "", _replayed(trailing))

    async def get(self, booking_id: int) -> pb.Booking:
        return await self._call(self._stub.GetBooking, pb.GetBookingRequest(booking_id=booking_id))

    async def cancel(self, booking_id: int, timeout_s: float = WAIT_S) -> pb.Booking:
        request = pb.CancelBookingRequest(booking_id=booking_id)
        return await self._call(self._stub.CancelBooking, request, timeout_s)

    def watch(self, booking_id: int) -> Any:
        """The stream of a booking, as `grpc.aio` gives it: to be iterated, or cancelled."""
        request = pb.WatchBookingRequest(booking_id=booking_id)
        return self._stub.WatchBooking(request, metadata=metadata_for(self.user_id))

    async def mine(self, page_size: int = 0, page_token: str = "") -> pb.ListMyBookingsResponse:
        request = pb.ListMyBookingsRequest(page_size=page_size, page_token=page_token)
        return await self._call(self._stub.ListMyBookings, request)

    async def sees(self, booking_id: int, status: str) -> pb.Booking:
        """Read a booking until it has this status."""
        wanted = pb.Booking.Status.Value(status)
        async with asyncio.timeout(WAIT_S):
            while True:
                booking = await self.get(booking_id)
                if booking.status == wanted:
                    return booking
                await asyncio.sleep(0.02)

    async def _call(self, method: Any, request: Any, timeout_s: float = WAIT_S) -> Any:
        metadata = metadata_for(self.user_id)
        return await method(request, metadata=metadata, timeout=timeout_s, wait_for_ready=True)


class Stack:
    """The three services over loopback, with a clock and a provider that the test holds."""

    def __init__(self, **inventory_settings: Any) -> None:
        self._inventory_settings = inventory_settings
        self.clock = HurriedClock()
        self.provider = FakeProvider()
        self.event_id = 0
        self._exit = AsyncExitStack()

    async def start(
        self,
        databases: Databases,
        replicas: int = 1,
        grace_s: float = GRACE_S,
        **settings: Any,
    ) -> Self:
        """Serve on fresh databases; settings by their names in `BookingSettings`."""
        self.databases = {
            name: await databases.fresh(name)
            for name in ("inventory_svc", "payment_svc", "booking_svc")
        }
        self.inventory = Service(self._inventory)
        self.payment = Service(self._payment)
        for service in (self.inventory, self.payment):
            await self._enter(service)
        self.bookings = []
        for replica in range(replicas):
            first = self.databases["booking_svc"]
            database = databases.open(url_of(first)) if replica else first
            service = Service(
                lambda database=database: self._booking(database, **settings), grace_s
            )
            await self._enter(service)
            self.bookings.append(service)
        self.people = InventoryPeople(await self.channel(self.inventory))
        self._booking_channels = [await self.channel(one) for one in self.bookings]
        self.event_id = await self.people.event()
        return self

    async def stop(self) -> None:
        self.provider.release()
        await self._exit.aclose()

    def buyer(self, user_id: str = "ann", replica: int = 0) -> Buyer:
        return Buyer(user_id, self, self._booking_channels[replica])

    async def channel(self, service: Service) -> grpc.aio.Channel:
        channel = grpc.aio.insecure_channel(service.address)
        return await self._exit.enter_async_context(channel)

    async def payments(self) -> list[payment_pb2.Payment]:
        stub = payment_rpc.PaymentServiceStub(await self.channel(self.payment))
        metadata = metadata_for("clerk", "payments")
        request = payment_pb2.ListPaymentsRequest(page_size=1000)
        return list((await stub.ListPayments(request, metadata=metadata)).payments)

    async def passing(self, what: Coroutine[Any, Any, Any], step_s: float = 10) -> Any:
        """Wait for something while time goes by, no faster than sagas are taken up."""
        waiting = asyncio.ensure_future(what)
        while not waiting.done():
            self.clock.move(step_s)
            await asyncio.wait({waiting}, timeout=0.02)
            # One that runs may be held up by the test: it is not waited for without end.
            for _ in range(100):
                if waiting.done() or not await self._has_work():
                    break
                await asyncio.wait({waiting}, timeout=0.02)
        return waiting.result()

    async def clock_at(self, seconds: float) -> None:
        """Wait until so much time has gone by since the beginning."""

        async def is_past() -> bool:
            return (self.clock.now() - START).total_seconds() >= seconds

        await until(is_past)

    async def rests(self) -> None:
        """Wait until no saga runs: each waits for its time, or has ended."""

        async def nobody_runs() -> bool:
            return not await self._sagas(sagas.c.owner != "")

        await until(nobody_runs)

    async def seats(self) -> dict[str, str]:
        return await self.people.seat_statuses(self.event_id)

    async def _has_work(self) -> bool:
        """Whether a saga runs, or is due."""
        is_due = sagas.c.leased_until <= self.clock.now()
        return bool(await self._sagas(or_(sagas.c.owner != "", is_due)))

    async def _sagas(self, *where: Any) -> list[Any]:
        found = select(sagas).where(sagas.c.state == "RUNNING", *where)

        async def unit(connection: Any) -> list[Any]:
            return list((await connection.execute(found)).mappings())

        return await self.databases["booking_svc"].read(unit)

    async def _enter(self, service: Service) -> None:
        await service.start()
        self._exit.push_async_callback(service.stop)

    async def _inventory(self) -> Hosted:
        database = self.databases["inventory_svc"]
        return await hosted_inventory(database, self.clock, **self._inventory_settings)

    async def _payment(self) -> Hosted:
        database = self.databases["payment_svc"]
        return await payment_wiring.wire(
            PaymentSettings(), auth_settings(), database, self.clock, self.provider
        )

    async def _booking(self, database: Database, **settings: Any) -> Hosted:
        told = BookingSettings(
            inventory_target=self.inventory.address,
            payment_target=self.payment.address,
            **{"recovery_interval_s": 0.05, **settings},
        )
        return await booking_wiring.wire(told, auth_settings(), database, self.clock)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(WAIT_S):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def stack_on(
    databases: Databases,
    replicas: int = 1,
    booking: Mapping[str, Any] | None = None,
    grace_s: float = GRACE_S,
    **inventory_settings: Any,
) -> AsyncIterator[Stack]:
    """A stack, audited when the block ends; settings by their names in `InventorySettings`.

    `booking` has those of the bookings, by their names in `BookingSettings`; a stop of theirs
    waits for `grace_s`.
    """
    stack = Stack(**inventory_settings)
    try:
        yield await stack.start(databases, replicas, grace_s, **(booking or {}))
        stack.provider.release()
        # A stop waits for what still runs.
        for service in stack.bookings:
            await service.stop()
        found = await audit(stack.databases, stack.provider)
        assert found == [], "\n".join(["the auditor found:", *found])
    finally:
        await stack.stop()


@pytest.fixture
async def stack(databases: Databases) -> AsyncIterator[Stack]:
    """A stack of one replica each. Modules take it over by `stack = bookings.stack`."""
    async with stack_on(databases) as stack:
        yield stack


def _replayed(trailing: Any) -> bool:
    return ("idempotent-replayed", "true") in [tuple(pair) for pair in trailing or ()]
