"""The number and the code of a card are used for one call and are nowhere afterwards."""

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message
from holdfast.payment.v1 import payment_pb2 as pb
from sqlalchemy import text
from support.card_search import CardSearch
from support.clock import ManualClock
from support.databases import Databases
from support.payments import (
    Payments,
    Question,
    ScriptedProvider,
    dump,
    give_back,
    log_lines,
    next_event,
    process,
    scripted_webhook,
    serving_payments,
)

from chassis.cards import Card, Method
from chassis.errors import InvalidField
from payment_svc.domain.outcome import DeclineCode, Declined, Notice, Outcome, Pending
from payment_svc.ports import Charge, Return

NUMBER, CVV, TOKEN = "4539578763621486", "7391", "pm_1Qxr8sKz94flood"
GIVEN = Card("CREDIT_CARD", NUMBER, 12, 2030, CVV)
SEARCH = CardSearch(NUMBER, codes=(CVV,), words=(TOKEN,))

ANSWERS: dict[str, Any] = {
    "success": None,
    "decline": Declined(DeclineCode.CARD_DECLINED),
    "pending": Pending(),
}
BAD: dict[str, dict[str, Any]] = {
    "check digit": {"card_number": NUMBER[:-1] + "7"},
    "letters": {"card_number": NUMBER + "x"},
    "spaces": {"card_number": " ".join(re.findall("....", NUMBER))},
    "in the wrong field": {"booking": "", "cvv": NUMBER},
    "expired": {"expiry_year": 2020},
    "amount": {"amount": "1.001"},
    "currency": {"currency": "XXX"},
    "code": {"cvv": CVV + "1"},
    "booking": {"booking": ""},
    "long code": {"cvv": CVV + "." + CVV},
    "card and token": {"token": TOKEN},
}


class Indiscreet(ScriptedProvider):
    """A provider that quotes all that it was ever given, in every error of one of its methods."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = ""

    def check(self, charge: Charge, method: Method) -> None:
        self.quotes("check", method)
        super().check(charge, method)

    async def charge(self, charge: Charge, method: Method) -> Outcome:
        self.quotes("charge", method)
        return await super().charge(charge, method)

    async def lookup(self, charge: Charge) -> Outcome:
        self.quotes("lookup", GIVEN)
        return await super().lookup(charge)

    async def void(self, charge: Charge) -> Outcome:
        self.quotes("void", GIVEN)
        return await super().void(charge)

    async def refund(self, order: Return) -> Outcome:
        self.quotes("refund", GIVEN)
        return await super().refund(order)

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        self.quotes("read_webhook", GIVEN)
        return super().read_webhook(headers, body)

    def quotes(self, name: str, method: Method) -> None:
        if self.trouble == name:
            message = f"cannot {name} {vars(method)}, {NUMBER[:4]} {NUMBER[4:8]}-{NUMBER[8:]}"
            raise RuntimeError(message) from ValueError(f"number {NUMBER}, code {CVV}")


@pytest.fixture
def written() -> Iterator[Callable[[], str]]:
    with log_lines() as lines:
        yield lines.getvalue


async def all_of(call: Any) -> str:
    """Everything that a caller gets: the message or the error, and the metadata."""
    try:
        answer: Message | str = await call
    except grpc.RpcError as error:
        answer = f"{error.code()} {error.details()} {error!r}"
    return f"{answer} {await call.initial_metadata()} {await call.trailing_metadata()}"


@asynccontextmanager
async def broken(payments: Payments) -> AsyncIterator[None]:
    """Let every statement about the log of payments fail."""

    async def rename(old: str, new: str) -> None:
        statement = text(f"ALTER TABLE {old} RENAME TO {new}")
        await payments.database.write(lambda one: one.execute(statement))

    await rename("payment_log", "away")
    try:
        yield
    finally:
        await rename("away", "payment_log")


def paying(payments: Payments, key: str, **changes: Any) -> Any:
    request = process(**{"card_number": NUMBER, "cvv": CVV, **changes})
    return payments.caller.ProcessPayment(request, idempotency_key=key)


async def paid(payments: Payments) -> dict[str, str]:
    """What callers get in each case, with a key and repeated."""
    provider, said = payments.provider, {}
    assert isinstance(provider, Indiscreet)
    for name, changes in [*((name, {}) for name in ANSWERS), *BAD.items()]:
        provider.answers.extend([ANSWERS[name]] if name in ANSWERS else [])
        for time in ("first", "again"):
            said[f"{name}, {time}"] = await all_of(paying(payments, f"key {name}", **changes))
    for provider.trouble in ("check", "charge"):
        for time in ("first", "again"):
            key = f"key {provider.trouble}"
            said[f"{key}, {time}"] = await all_of(paying(payments, key))
    provider.trouble = ""
    provider.refusals.append(InvalidField(("payment_method.card_number", "is not taken here")))
    said["refused"] = await all_of(paying(payments, "key refused"))
    token = pb.PaymentMethod(token=TOKEN)
    request = process()
    request.payment_method.CopyFrom(token)
    said["token"] = await all_of(payments.caller.ProcessPayment(request))
    return said


async def paid_on_a_broken_database(payments: Payments) -> dict[str, str]:
    """The same while the database fails: before the provider is asked, and after it."""
    async with broken(payments):
        said = {"database, before": await all_of(paying(payments, "broken"))}
    ways = []

    async def break_it(_question: Question) -> None:
        way = broken(payments)
        ways.append(way)
        await way.__aenter__()

    payments.provider.when_asked = break_it
    said["database, after"] = await all_of(paying(payments, "broken after"))
    payments.provider.when_asked = None
    for way in ways:
        await way.__aexit__(None, None, None)
    return said


async def told(payments: Payments, payment_id: str) -> dict[str, str]:
    """What the provider gets for webhooks that quote a card: good, strange and forged."""
    signed, body = scripted_webhook(
        "evt_1", payment_id, "succeeded", card=NUMBER, cvc=CVV, transaction_id="txn_1"
    )
    bodies = {
        "good": body,
        "again": body,
        "of another kind": json.dumps({"card": NUMBER, "cvc": CVV}).encode(),
        "of no payment": scripted_webhook("evt_2", "pay_404", "declined", card=NUMBER)[1],
        "strange": scripted_webhook("evt_3", payment_id, NUMBER)[1],
        "not JSON": f"{NUMBER}&cvc={CVV}".encode(),
    }
    provider, said = payments.provider, {}
    assert isinstance(provider, Indiscreet)
    for headers in (signed, {"x-signature": "forged"}):
        for name, sent in bodies.items():
            said[f"{name} {headers}"] = await all_of(delivery(payments, sent, headers))
    provider.trouble = "read_webhook"
    said["trouble"] = await all_of(delivery(payments, body, signed))
    provider.trouble = ""
    return said


def delivery(payments: Payments, body: bytes, headers: Mapping[str, str]) -> Any:
    request = pb.HandleWebhookRequest(provider="scripted", body=HttpBody(data=body))
    return payments.stub.HandleWebhook(request, metadata=tuple(headers.items()))


async def undone(payments: Payments, clock: ManualClock, payment_id: str) -> dict[str, str]:
    """What callers get who give back, read and call off, while the provider quotes the card."""
    provider, caller, said = payments.provider, payments.caller, {}
    assert isinstance(provider, Indiscreet)
    off = pb.CancelPaymentRequest(booking_reference="BK-1", reason="UNDONE")
    for provider.trouble in ("refund", "lookup", "void", ""):
        clock.move(3600)
        await payments.reconcile()
        refund = caller.RefundPayment(give_back(payment_id, "1.00"))
        said[f"refund, {provider.trouble}"] = await all_of(refund)
        read = pb.GetPaymentRequest(payment_id=payment_id, view="FULL")
        said[f"read, {provider.trouble}"] = await all_of(caller.GetPayment(read))
        said[f"cancel, {provider.trouble}"] = await all_of(caller.CancelPayment(off))
    return said


async def streamed(payments: Payments, count: int) -> str:
    """What the stream of payments tells, from the first on."""
    stream = payments.events()
    events = [await next_event(stream) for _ in range(count)]
    stream.cancel()
    return repr(events)


def spaced(number: str, mark: str) -> str:
    return mark.join(re.findall("....", number))


def test_the_search_finds_what_it_must(tmp_path: Path) -> None:
    """The search of these tests sees a number and a code, whole, in part and in disguise."""
    encoded = [base64.b64encode((("{" * n) + NUMBER + "}").encode()).decode() for n in range(3)]
    seen = [
        f"n={NUMBER}", NUMBER[:-4], NUMBER[4:12], f"**{NUMBER[2:10]}**", NUMBER[::-1],
        spaced(NUMBER, " "), spaced(NUMBER, "-"), spaced(NUMBER[::-1], " "), ".".join(NUMBER),
        *encoded, base64.urlsafe_b64encode(NUMBER.encode()).decode(), NUMBER.encode().hex(),
        f"cvv '{CVV}'", f'"{CVV}"', base64.b64encode(CVV.encode()).decode(), f"token={TOKEN}",
    ]  # fmt: skip
    assert [one for one in seen if not SEARCH.found(one)] == []
    kept = (NUMBER[-4:], NUMBER[:6], f"0{CVV}", f"{CVV}a", f"12:00:00.{CVV}", "4539-57 x 8763.62")
    assert [one for one in kept if SEARCH.found(one)] == []
    (tmp_path / "a.db").write_bytes(b"\x00\xff" + NUMBER.encode() + b"\x80")
    assert SEARCH.found_in_files(tmp_path)


async def test_nowhere(
    databases: Databases, clock: ManualClock, written: Callable[[], str], tmp_path: Path
) -> None:
    """No table, file, log line, event or answer has a card's number or code, whatever happens."""
    database = await databases.fresh("payment_svc")
    async with serving_payments(database, clock, Indiscreet()) as payments:
        said = await paid(payments)
        first = payments.provider.taken()[0]
        (waits,) = [
            one.payment_id for one in await listed(payments) if one.status == pb.Payment.PENDING
        ][-1:]
        said |= await paid_on_a_broken_database(payments)
        said |= await told(payments, waits)
        said |= await undone(payments, clock, first)
        await payments.work_done()
        tables = await dump(database)
        said["events"] = await streamed(payments, 5)
        said["list"] = str(await listed(payments))
    # What was done is there to be searched.
    assert {one.cvv for one in payments.provider.methods if isinstance(one, Card)} == {CVV}
    logged = written()
    assert logged.count("provider_gave_no_answer") > 5
    assert "RuntimeError" in logged
    assert "payment_log" in logged
    assert len(re.findall(r"\b1486\b", tables)) > len(ANSWERS)
    assert tables.count("evt_1") == 2
    found = {name: SEARCH.found(text) for name, text in said.items()}
    found |= {"tables": SEARCH.found(tables), "logs": SEARCH.found(logged)}
    found["files"] = SEARCH.found_in_files(tmp_path)
    assert {name: what for name, what in found.items() if what} == {}


async def listed(payments: Payments) -> list[pb.Payment]:
    return list((await payments.caller.ListPayments(pb.ListPaymentsRequest())).payments)
