"""The payment adapter over a provider that does what the test tells it to, and who calls it."""

import asyncio
import io
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

import grpc.aio
import pytest
import structlog
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2
from google.type.decimal_pb2 import Decimal
from grpc_status import rpc_status
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from sqlalchemy import MetaData

from chassis import logs
from chassis.cards import Method
from chassis.clock import Clock
from chassis.database import Database, DatabaseTransactions
from chassis.server import Hosted
from chassis.worker import Worker
from payment_svc.config import PaymentSettings
from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Notice,
    Outcome,
    Pending,
    Succeeded,
)
from payment_svc.domain.payment import Payment
from payment_svc.persistence.repository import SqlLedger
from payment_svc.ports import Charge, KnownCard, Return
from payment_svc.providers.mock_books import (
    Account,
    ChargeEntry,
    ChargeState,
    RefundEntry,
    TellCharge,
    TellRefund,
)
from payment_svc.providers.mock_notices import WebhookEntry
from payment_svc.wiring import wire
from support.client import As, bad_fields, reason_of
from support.serving import GRACE_S, serving
from support.tokens import auth_settings

NUMBER, CVV = "4111111111111111", "123"
WAIT_S = 20.0

Question = Charge | Return


async def silence(_question: Question) -> NoReturn:
    """An answer that never comes."""
    await asyncio.Event().wait()
    raise AssertionError


SCRIPTED_OUTCOMES: Mapping[str, Callable[[Mapping[str, str]], Outcome]] = {
    "succeeded": lambda told: Succeeded(told.get("transaction_id", f"txn_{told['reference']}")),
    "pending": lambda _: Pending(),
    "declined": lambda told: Declined(DeclineCode(told.get("code", "CARD_DECLINED"))),
    "not_done": lambda _: NotDone(),
}


def scripted_webhook(
    event_id: str, reference: str, outcome: str, **more: str
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a webhook that a `ScriptedProvider` trusts.

    `outcome` is one of `SCRIPTED_OUTCOMES`; more: `transaction_id` or `code`.
    """
    body = {"event_id": event_id, "reference": reference, "outcome": outcome, **more}
    return {"x-signature": "good"}, json.dumps(body).encode()


class ScriptedProvider:
    """A `Provider` that gives the answers it was told to, in order, and then succeeds.

    An answer is an outcome, an exception to raise, or a function of the question.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers: deque[Any] = deque(answers)
        # What was asked, in order.
        self.journal: list[Question] = []
        # The means of payment of the charges that were asked, in order.
        self.methods: list[Method] = []
        # What was looked up or voided, in order: our references.
        self.lookups: list[str] = []
        self.voids: list[str] = []
        # What lookups and voids are told, before what this provider knows.
        self.lookup_answers: deque[Any] = deque()
        self.void_answers: deque[Any] = deque()
        # What `check` raises, in order, before it accepts everything.
        self.refusals: deque[Exception] = deque()
        # Awaited when a question comes, before its answer is looked up.
        self.when_asked: Callable[[Question], Awaitable[None]] | None = None
        self._arrived: asyncio.Queue[Question] = asyncio.Queue()
        self._open = asyncio.Event()
        self._open.set()
        # What was said for good, by our references; NotDone: it was voided.
        self._final: dict[str, Outcome] = {}

    def hold(self) -> None:
        """Keep all answers back from now on."""
        self._open.clear()

    def release(self) -> None:
        """Give the answers that were kept back."""
        self._open.set()

    async def question(self) -> Question:
        """Wait for the next question to arrive."""
        async with asyncio.timeout(WAIT_S):
            return await self._arrived.get()

    @property
    def name(self) -> str:
        return "scripted"

    def known_cards(self) -> Sequence[KnownCard]:
        return ()

    def check(self, charge: Charge, method: Method) -> None:  # noqa: ARG002 - it accepts everything
        if self.refusals:
            raise self.refusals.popleft()

    async def charge(self, charge: Charge, method: Method) -> Outcome:
        self.methods.append(method)
        return await self._answer(charge)

    async def refund(self, order: Return) -> Outcome:
        return await self._answer(order)

    async def lookup(self, charge: Charge) -> Outcome:
        self.lookups.append(charge.reference)
        known = self._final.get(charge.reference, NotDone())
        return await self._told(self.lookup_answers, known, charge)

    async def void(self, charge: Charge) -> Outcome:
        self.voids.append(charge.reference)
        if self.void_answers:
            return await self._told(self.void_answers, NotDone(), charge)
        known = self._final.setdefault(charge.reference, NotDone())
        return known if isinstance(known, Succeeded) else NotDone()

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """Trust what `scripted_webhook` makes, and nothing else."""
        if headers.get("x-signature") != "good":
            raise WebhookRefused
        try:
            told = json.loads(body)
            if "reference" not in told:
                return None
            outcome = SCRIPTED_OUTCOMES[told["outcome"]](told)
            return Notice(told["event_id"], told["reference"], outcome)
        except (ValueError, KeyError, TypeError):
            raise WebhookRefused from None

    def takes(self, reference: str) -> Succeeded:
        """Take a charge, whatever is answered to it."""
        outcome = Succeeded(f"txn_{reference}")
        self._final[reference] = outcome
        return outcome

    def taken(self) -> list[str]:
        """Our references of the charges that were taken."""
        return [name for name, known in self._final.items() if isinstance(known, Succeeded)]

    async def _answer(self, question: Question) -> Outcome:
        self.journal.append(question)
        self._arrived.put_nowait(question)
        if self.when_asked is not None:
            await self.when_asked(question)
        answer = self.answers.popleft() if self.answers else None
        await self._open.wait()
        if answer is None:
            if isinstance(question, Return):
                return Succeeded(f"txn_{question.reference}")
            known = self._final.get(question.reference)
            return known or self.takes(question.reference)
        outcome = await self._told(deque([answer]), NotDone(), question)
        if isinstance(question, Charge) and isinstance(outcome, Succeeded | Declined):
            self._final[question.reference] = outcome
        return outcome

    async def _told(self, answers: deque[Any], else_: Outcome, question: Any) -> Outcome:
        if not answers:
            return else_
        answer = answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return await answer(question) if callable(answer) else answer


class MemoryBooks:
    """`Books` and `WebhookQueue` of the mock provider in memory."""

    def __init__(self) -> None:
        self.charges: dict[str, ChargeEntry] = {}
        self.refunds: dict[str, RefundEntry] = {}
        self.webhooks: dict[str, WebhookEntry] = {}

    async def add_charge(self, entry: ChargeEntry, tell: TellCharge) -> tuple[ChargeEntry, bool]:
        stored = self.charges.setdefault(entry.reference, entry)
        if stored is entry:
            self._queue(tell(None, entry))
        return stored, stored is entry

    async def change_charge(
        self, reference: str, change: Callable[[ChargeEntry], ChargeEntry], tell: TellCharge
    ) -> ChargeEntry | None:
        before = self.charges.get(reference)
        if before is None:
            return None
        after = self.charges[reference] = change(before)
        self._queue(tell(before, after))
        if after.state is ChargeState.VOIDED and before.state is not ChargeState.VOIDED:
            untold = [one for one in self.webhooks.values() if one.due_at is not None]
            for one in untold:
                if one.reference == reference:
                    del self.webhooks[one.webhook_id]
        return after

    async def give_back(
        self, order: Return, decide: Callable[[Account], RefundEntry], tell: TellRefund
    ) -> RefundEntry:
        named = (one for one in self.charges.values() if one.transaction_id)
        mine = [one for one in named if one.transaction_id == order.transaction_id]
        refunds = [
            one
            for one in self.refunds.values()
            if order.transaction_id == one.transaction_id or order.reference == one.reference
        ]
        entry = decide(Account(mine[0] if mine else None, refunds))
        if entry.reference not in self.refunds:
            self._queue(tell(entry))
        self.refunds[entry.reference] = entry
        return entry

    async def webhook(self, webhook_id: str) -> WebhookEntry | None:
        return self.webhooks.get(webhook_id)

    async def due_webhooks(self, now: datetime, limit: int) -> list[WebhookEntry]:
        due = [one for one in self.webhooks.values() if one.due_at and one.due_at <= now]
        return sorted(due, key=lambda one: (one.due_at, one.webhook_id))[:limit]

    async def change_webhook(self, before: WebhookEntry, after: WebhookEntry) -> bool:
        if self.webhooks.get(before.webhook_id) != before:
            return False
        self.webhooks[before.webhook_id] = after
        return True

    def _queue(self, webhooks: Sequence[WebhookEntry]) -> None:
        self.webhooks |= {one.webhook_id: one for one in webhooks}


@dataclass
class Payments:
    """The payment adapter as one caller sees it, with what lies behind it."""

    channel: grpc.aio.Channel
    hosted: Hosted
    database: Database
    provider: ScriptedProvider
    caller: As = field(init=False)

    def __post_init__(self) -> None:
        self.stub = rpc.PaymentServiceStub(self.channel)
        self.caller = self.called_by("booking_svc")

    def called_by(self, user_id: str, scope: str = "payments") -> As:
        return As(self.stub, user_id, scope)

    async def pay(self, key: str = "", **changes: Any) -> pb.Payment:
        """Take a payment; `changes` as for `process`."""
        return await self.caller.ProcessPayment(process(**changes), idempotency_key=key)

    async def refund(
        self, payment: pb.Payment, amount: str | None = None, key: str = ""
    ) -> pb.Refund:
        """Give back part of a payment, or all that is left."""
        return await self.caller.RefundPayment(
            give_back(payment.payment_id, amount), idempotency_key=key
        )

    async def cancel(self, booking: str = "BK-1") -> list[pb.Payment]:
        """Call a booking off; its payments as they then are."""
        request = pb.CancelPaymentRequest(booking_reference=booking, reason="UNDONE")
        return list((await self.caller.CancelPayment(request)).payments)

    async def webhook(
        self,
        event_id: str,
        reference: str,
        outcome: str,
        provider: str = "scripted",
        **headers: str,
    ) -> pb.HandleWebhookResponse:
        """Deliver a webhook of the provider as the gateway does: without a token."""
        signed, body = scripted_webhook(event_id, reference, outcome)
        request = pb.HandleWebhookRequest(provider=provider, body=HttpBody(data=body))
        metadata = tuple({**signed, **headers}.items())
        return await self.stub.HandleWebhook(request, metadata=metadata)

    async def reconcile(self) -> None:
        """Do what the reconciler does in the background, once."""
        await self.worker("reconciler").run_once()

    def worker(self, name: str) -> Worker:
        (found,) = [one for one in self.hosted.workers if one.name == name]
        return found

    async def now(self, payment: pb.Payment) -> pb.Payment:
        """A payment as it is stored by now. Unlike `read`, this has nobody asked."""
        request = pb.ListPaymentsRequest(booking_reference=payment.booking_reference)
        payments = (await self.caller.ListPayments(request)).payments
        (found,) = [one for one in payments if one.payment_id == payment.payment_id]
        return found

    async def read(self, payment_id: str, *, full: bool = False) -> pb.Payment:
        """Read a payment; its provider is asked about what is open."""
        request = pb.GetPaymentRequest(payment_id=payment_id, view="FULL" if full else "BASIC")
        return await self.caller.GetPayment(request)

    async def stored(self, payment_id: str) -> Payment | None:
        """What is committed of a payment."""
        transactions = DatabaseTransactions(self.database, SqlLedger)
        return await transactions.read(lambda ledger: ledger.payment(payment_id))

    def events(self, cursor: str = "") -> Any:
        """A stream of events, to be read by `next_event`."""
        return self.caller.StreamPaymentEvents(pb.StreamPaymentEventsRequest(cursor=cursor))

    async def no_transaction_is_open(self) -> None:
        """Wait for those of the background to end; one that is kept open fails the test."""
        async with asyncio.timeout(WAIT_S):
            while True:
                if not self.database.writer.pool.checkedout():
                    return
                await asyncio.sleep(0.01)

    async def work_done(self) -> None:
        """Wait for the work of callers that have left."""
        await self.hosted.tasks.drain(WAIT_S)


@asynccontextmanager
async def serving_payments(
    database: Database,
    clock: Clock,
    provider: ScriptedProvider | None = None,
    grace_s: float = GRACE_S,
    **settings: Any,
) -> AsyncIterator[Payments]:
    """Serve the payment adapter; settings by their names in `PaymentSettings`.

    With `grace_s=0` the end of the block cuts off whatever is in the middle. The reconciler
    rests, after a first round, unless it is given an interval.
    """
    provider = provider or ScriptedProvider()
    told = PaymentSettings(**{"reconcile_interval_s": 3600, **settings})
    hosted = await wire(told, auth_settings(), database, clock, provider)
    async with serving(hosted, grace_s) as channel:
        yield Payments(channel, hosted, database, provider)


def process(
    amount: str = "150.00", currency: str = "USD", booking: str = "BK-1", **card: Any
) -> pb.ProcessPaymentRequest:
    """A request that is right in all that is not given; `card` by the names of its fields."""
    usual = {"card_number": NUMBER, "expiry_month": 12, "expiry_year": 2030, "cvv": CVV}
    return pb.ProcessPaymentRequest(
        amount=Decimal(value=amount),
        currency=currency,
        booking_reference=booking,
        user_id="ann",
        payment_method=pb.PaymentMethod(**{"type": "CREDIT_CARD", **usual, **card}),
    )


def give_back(payment_id: str, amount: str | None = None) -> pb.RefundPaymentRequest:
    """Give back an amount, or all that is left."""
    value = None if amount is None else Decimal(value=amount)
    return pb.RefundPaymentRequest(payment_id=payment_id, amount=value, reason="BOOKING_CANCELLED")


def status(answer: pb.Payment | pb.Refund) -> str:
    """Where a payment or a refund stands, by name."""
    return type(answer).Status.Name(answer.status)


async def next_event(stream: Any) -> pb.PaymentEvent:
    async with asyncio.timeout(WAIT_S):
        event: pb.PaymentEvent = await stream.read()
    assert isinstance(event, pb.PaymentEvent)
    return event


@contextmanager
def refused_fields(*names: str) -> Iterator[None]:
    """Expect the block to be refused as INVALID_FIELD for exactly these fields."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert reason_of(caught.value) == "INVALID_FIELD"
    assert bad_fields(caught.value).keys() == set(names)


def retry_after_s(error: grpc.RpcError) -> float:
    """How long a refusal asks its caller to wait; 0 if it does not."""
    retry = error_details_pb2.RetryInfo()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(retry)
    return retry.retry_delay.ToTimedelta().total_seconds()


async def dump(database: Database) -> str:
    """All rows of all tables, as text."""
    metadata = MetaData()
    async with database.reader.connect() as connection:
        await connection.run_sync(metadata.reflect)
        rows = [
            (table.name, *row)
            for table in metadata.sorted_tables
            for row in await connection.execute(table.select())
        ]
    return "\n".join(map(repr, rows))


@contextmanager
def log_lines() -> Iterator[io.StringIO]:
    """All that a program would log, down to debug, and as it would log it."""
    root, written = logging.getLogger(), io.StringIO()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    logs.configure("payment_svc", "debug")
    # The loggers of modules are shared with other tests: they must not keep this.
    structlog.configure(cache_logger_on_first_use=False)
    root.handlers[0].setStream(written)
    try:
        yield written
    finally:
        structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)
