"""Cards in every way through the whole stack and the mock provider: nothing of them is left."""

import base64
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from holdfast.booking.v1 import booking_pb2
from holdfast.booking.v1 import booking_pb2_grpc as booking_rpc
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from prometheus_client import generate_latest
from sqlalchemy import text
from standardwebhooks import Webhook
from support import redis
from support.bookings import (
    FakeProvider,
    HurriedClock,
    Stack,
    confirm_request,
    on_sqlite,
)
from support.card_search import CardSearch
from support.client import As
from support.databases import Databases
from support.payments import dump, give_back, log_lines, process
from support.redis import RedisServer
from support.serving import serving
from support.telemetry import Spans, recorded
from support.tokens import auth_settings, metadata_for

from chassis.cards import Method
from chassis.database import Database
from payment_svc.config import PaymentSettings
from payment_svc.domain.outcome import DeclineCode, Declined, Outcome
from payment_svc.ports import Charge, Return
from payment_svc.providers.mock_scenarios import SCENARIOS
from payment_svc.wiring import wire

private_redis, redis_server = redis.private_redis, redis.redis_server
pytestmark = on_sqlite

NUMBER, CVV, TOKEN = "4539578763621486", "7391", "pm_1Qxr8sKz94flood"
SECRET = "whsec_" + base64.b64encode(b"of a test, and of nothing else.").decode()
SEARCH = CardSearch(NUMBER, codes=(CVV,), words=(TOKEN,))
# Of who calls and of who tells: the scheme of a token, how each of them begins, and our secret.
CREDENTIALS = CardSearch(words=("Bearer", "eyJhbGciOi", SECRET, SECRET.removeprefix("whsec_")))
# What has no outcome yet goes on without its caller.
PATIENCE_S = 1.0
DECLINED = Declined(DeclineCode.INSUFFICIENT_FUNDS)


class Indiscreet(FakeProvider):
    """Quotes every card that it was given in the errors of one of its methods."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = ""
        # Called when a charge comes.
        self.when_charged: Callable[[], Awaitable[None]] | None = None

    def check(self, charge: Charge, method: Method) -> None:
        self.quotes("check")
        super().check(charge, method)

    async def charge(self, charge: Charge, method: Method) -> Outcome:
        self.quotes("charge")
        if self.when_charged is not None:
            await self.when_charged()
        return await super().charge(charge, method)

    async def lookup(self, charge: Charge) -> Outcome:
        self.quotes("lookup")
        return await super().lookup(charge)

    async def void(self, charge: Charge) -> Outcome:
        self.quotes("void")
        return await super().void(charge)

    async def refund(self, order: Return) -> Outcome:
        self.quotes("refund")
        return await super().refund(order)

    def quotes(self, name: str) -> None:
        if self.trouble == name:
            message = f"cannot {name} {NUMBER} with {CVV}"
            raise RuntimeError(message) from ValueError(f"{NUMBER[:8]}-{NUMBER[8:]}")


@pytest.fixture
def written() -> Iterator[Callable[[], str]]:
    with log_lines() as lines:
        yield lines.getvalue


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recorded() as spans:
        yield spans


def told_of_itself(spans: Spans, logged: str) -> dict[str, str]:
    """What a program tells those who run it; nobody's credentials are among it either."""
    told = {"logs": logged, "metrics": generate_latest().decode(), "spans": spans.text()}
    assert where_it_is(told, CREDENTIALS) == {}
    return told


async def all_of(call: Any) -> str:
    """Everything that a caller gets: the message or the error, and the metadata."""
    try:
        answer: Any = await call
    except grpc.RpcError as error:
        answer = f"{error.code()} {error.details()} {error!r}"
    return f"{answer!r} {await call.initial_metadata()} {await call.trailing_metadata()}"


def confirming(held: list[int], **changes: Any) -> booking_pb2.ConfirmBookingRequest:
    request = confirm_request(held, NUMBER)
    for name, value in {"cvv": CVV, **changes}.items():
        setattr(request.payment_method, name, value)
    return request


class Flood:
    """Bookings that go well, badly, and wrong, and what was said about each."""

    def __init__(self, stack: Stack, stub: booking_rpc.BookingServiceStub) -> None:
        self._stack, self._stub = stack, stub
        assert isinstance(stack.provider, Indiscreet)
        self._provider = stack.provider
        self._ann = stack.buyer("ann")
        self.said: dict[str, str] = {}

    async def confirm(self, name: str, held: list[int], **changes: Any) -> None:
        """Twice: a repeat is answered from another memory."""
        request = confirming(held, **changes)
        for time in ("first", "again"):
            metadata = metadata_for("ann", idempotency_key=name)
            call = self._stub.ConfirmBooking(
                request, metadata=metadata, timeout=PATIENCE_S, wait_for_ready=True
            )
            self.said[f"{name}, {time}"] = await self._stack.passing(all_of(call))

    async def hold(self) -> list[int]:
        event_id = await self._stack.people.event(["A1"])
        return await self._ann.hold("A1", event_id=event_id, ttl_s=1800)

    async def well_and_badly(self) -> None:
        held = await self.hold()
        await self.confirm("wrong digit", held, card_number=NUMBER[:-1] + "7")
        await self.confirm("wrong code", held, cvv=CVV + "x")
        await self.confirm("expired", held, expiry_year=2020)
        await self.confirm("with a token", held, token=TOKEN)
        self._provider.answers.append(DECLINED)
        await self.confirm("declined", held)
        await self.confirm("well", await self.hold())

    async def wrong(self) -> None:
        """The provider quotes the card, and the database fails before and after it is asked."""
        for trouble in ("check", "charge"):
            await self.start_anew()
            self._provider.trouble = trouble
            await self.confirm(trouble, await self.hold())
        self._provider.trouble = ""
        for service, table in (("payment_svc", "payment_log"), ("booking_svc", "sagas")):
            await self.confirm_on_a_broken_database(service, table)

    async def start_anew(self) -> None:
        """Stop the bookings and start them again: whom they left alone they ask again."""
        (bookings,) = self._stack.bookings
        await bookings.stop()
        await bookings.start()

    async def confirm_on_a_broken_database(self, service: str, table: str) -> None:
        await self.start_anew()
        held, broken = await self.hold(), False

        async def break_it() -> None:
            nonlocal broken
            if not broken:
                broken = True
                await rename(self._stack.databases[service], table, "away")

        self._provider.when_charged = break_it
        request, metadata = confirming(held), metadata_for("ann", idempotency_key=service)
        call = self._stub.ConfirmBooking(
            request, metadata=metadata, timeout=PATIENCE_S, wait_for_ready=True
        )
        self.said[f"{service} broken"] = await all_of(call)
        self._provider.when_charged = None
        assert broken
        await rename(self._stack.databases[service], "away", table)

    async def undone(self) -> None:
        """All is called off while the provider quotes the card, and read."""
        mine = (await self._ann.mine()).bookings
        for trouble in ("lookup", "void", "refund", ""):
            self._provider.trouble = trouble
            for booking in mine:
                request = booking_pb2.CancelBookingRequest(booking_id=booking.booking_id)
                call = self._stub.CancelBooking(
                    request, metadata=metadata_for("ann"), timeout=PATIENCE_S
                )
                name = f"cancel {booking.booking_id} {trouble}"
                self.said[name] = await self._stack.passing(all_of(call))
            self._stack.clock.move(7200)
        self.said["mine"] = repr(await self._ann.mine())
        self.said["payments"] = await self._all_payments()

    async def _all_payments(self) -> str:
        stub = rpc.PaymentServiceStub(await self._stack.channel(self._stack.payment))
        full = []
        for one in await self._stack.payments():
            request = pb.GetPaymentRequest(payment_id=one.payment_id, view="FULL")
            full.append(await stub.GetPayment(request, metadata=metadata_for("clerk", "payments")))
        return repr(full)


async def rename(database: Database, old: str, new: str) -> None:
    statement = text(f"ALTER TABLE {old} RENAME TO {new}")
    await database.write(lambda connection: connection.execute(statement))


def where_it_is(texts: Mapping[str, str], search: CardSearch = SEARCH) -> dict[str, list[str]]:
    found = {name: search.found(one) for name, one in texts.items()}
    return {name: what for name, what in found.items() if what}


async def test_bookings(
    databases: Databases,
    redis_server: RedisServer,
    written: Callable[[], str],
    spans: Spans,
    tmp_path: Path,
) -> None:
    """Of a card that a booking is paid with nothing is left in any service, store or answer."""
    async with AsyncExitStack() as exits:
        stack = Stack()
        stack.provider = Indiscreet()
        exits.push_async_callback(stack.stop)
        await stack.start(databases, redis_url=redis_server.url)
        stub = booking_rpc.BookingServiceStub(await stack.channel(stack.bookings[0]))
        flood = Flood(stack, stub)
        await flood.well_and_badly()
        kept = b" ".join([*redis_server.names(), *redis_server.values()]).decode("latin-1")
        await flood.wrong()
        await flood.undone()
        tables = {name: await dump(one) for name, one in stack.databases.items()}
    logged = written()
    assert stack.provider.taken
    for one in ("provider_failed", "provider_gave_no_answer", "no such table"):
        assert one in logged
    assert "CONFIRMED" in flood.said["well, first"]
    assert "1486" in tables["payment_svc"]
    assert kept
    told = told_of_itself(spans, logged)
    for one in ("fake charge", "saga confirm_booking", "/ConfirmBooking"):
        assert one in told["spans"]
    assert 'holdfast_provider_requests_total{operation="charge"' in told["metrics"]
    texts = {**flood.said, **tables, **told, "Redis": kept}
    assert where_it_is(texts) == {}
    assert SEARCH.found_in_files(tmp_path) == []


def signed(name: str, body: str, clock: HurriedClock) -> tuple[tuple[str, str], ...]:
    return (
        ("webhook-id", name),
        ("webhook-timestamp", str(int(clock.now().timestamp()))),
        ("webhook-signature", Webhook(SECRET).sign(name, clock.now().astimezone(UTC), body)),
    )


async def tell(stub: rpc.PaymentServiceStub, clock: HurriedClock, payment_id: str) -> list[str]:
    """Webhooks of the mock provider that quote a card: good, of no payment, and not as agreed."""
    data = {"reference": payment_id, "transaction_id": "txn_1", "card": NUMBER, "cvc": CVV}
    bodies = [
        json.dumps({"type": "charge.succeeded", "data": data}),
        json.dumps({"type": "charge.declined", "data": {**data, "decline_code": NUMBER}}),
        json.dumps({"type": "charge.succeeded", "data": {**data, "reference": "pay_404"}}),
        json.dumps({"type": "card.updated", "data": data}),
        json.dumps([NUMBER, CVV]),
        f"{NUMBER} {CVV}",
    ]
    said = []
    for number, body in enumerate(bodies):
        for headers in (signed(f"msg_{number}", body, clock), (("webhook-id", "forged"),)):
            request = pb.HandleWebhookRequest(provider="mock", body=HttpBody(data=body.encode()))
            said.append(await all_of(stub.HandleWebhook(request, metadata=headers)))
    return said


async def test_the_mock_provider(
    databases: Databases, written: Callable[[], str], spans: Spans, tmp_path: Path
) -> None:
    """Of no card of the mock provider is anything left, in its own books and in what it is told."""
    clock, database = HurriedClock(), await databases.fresh("payment_svc")
    settings = PaymentSettings(
        mock_database_url=f"sqlite+aiosqlite:///{tmp_path / 'provider.db'}",
        mock_delay_min_s=0,
        mock_delay_max_s=0,
        mock_success_rate=0.5,
        provider_timeout_s=0.3,
        reconcile_interval_s=3600,
        webhook_secrets=SECRET,
    )
    numbers = [one.number for one in SCENARIOS]
    async with serving(await wire(settings, auth_settings(), database, clock)) as channel:
        stub = rpc.PaymentServiceStub(channel)
        caller = As(stub, "booking_svc", "payments")
        said: list[str] = []
        paid: list[pb.Payment] = []
        for number in [*numbers, NUMBER, NUMBER]:
            booking = f"BK-{len(paid)}"
            request = process(card_number=number, cvv=CVV, booking=booking)
            paid.append(await caller.ProcessPayment(request))
            said += [
                repr(paid[-1]),
                await all_of(caller.RefundPayment(give_back(paid[-1].payment_id))),
            ]
        said += await tell(stub, clock, paid[0].payment_id)
        clock.move(10)
        for one in paid:
            view = pb.GetPaymentRequest(payment_id=one.payment_id, view="FULL")
            said.append(await all_of(caller.GetPayment(view)))
            off = pb.CancelPaymentRequest(booking_reference=one.booking_reference)
            said.append(await all_of(caller.CancelPayment(off)))
        tables = await dump(database)
    search = CardSearch(NUMBER, *numbers, codes=(CVV,))
    told = told_of_itself(spans, written())
    assert "mock charge" in told["spans"]
    assert 'holdfast_webhooks_total{outcome="applied",provider="mock"}' in told["metrics"]
    texts = {"answers": "\n".join(said), "tables": tables, **told}
    assert "msg_0" in tables
    assert where_it_is(texts, search) == {}
    assert search.found_in_files(tmp_path) == []
    # Its books are among the files.
    assert CardSearch(words=(paid[0].transaction_id,)).found_in_files(tmp_path)


@pytest.mark.parametrize("provider", ["mock", "stripe"])
async def test_what_a_provider_does_not_take(
    databases: Databases, written: Callable[[], str], spans: Spans, tmp_path: Path, provider: str
) -> None:
    """A provider that refuses a means of payment does not say back what it was given."""
    if provider == "stripe":
        pytest.importorskip("stripe")
    settings = PaymentSettings(
        provider=provider,
        stripe_api_key="sk_test_none",
        mock_database_url=f"sqlite+aiosqlite:///{tmp_path / 'provider.db'}",
    )
    database = await databases.fresh("payment_svc")
    request = process(card_number=NUMBER, cvv=CVV)
    if provider == "mock":
        request.payment_method.CopyFrom(pb.PaymentMethod(token=TOKEN))
    async with serving(await wire(settings, auth_settings(), database)) as channel:
        caller = As(rpc.PaymentServiceStub(channel), "booking_svc", "payments")
        said = await all_of(caller.ProcessPayment(request))
        tables = await dump(database)
    assert "INVALID_FIELD" in said
    told = told_of_itself(spans, written())
    assert where_it_is({"answer": said, "tables": tables, **told}) == {}
