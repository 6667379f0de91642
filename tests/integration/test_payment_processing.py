"""Taking, reading and listing payments: what is asked, what is answered, what is refused."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from support.client import refused
from support.clock import ManualClock
from support.databases import Databases
from support.payments import (
    NUMBER,
    Payments,
    Question,
    dump,
    process,
    refused_fields,
    serving_payments,
    status,
)
from support.tokens import auth_settings

from chassis.cards import Card, Token
from chassis.errors import InvalidField
from chassis.settings import SettingsError
from chassis.tasks import Tasks
from payment_svc import wiring
from payment_svc.config import PaymentSettings
from payment_svc.domain.outcome import DeclineCode, Declined
from payment_svc.domain.payment import Payment
from payment_svc.ports import Charge
from payment_svc.servicer import SERVICE

MESSAGES = {
    "INSUFFICIENT_FUNDS": "Payment declined: insufficient funds",
    "CARD_DECLINED": "Payment declined: card declined",
    "EXPIRED_CARD": "Payment declined: expired card",
}


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


async def test_success(payments: Payments, clock: ManualClock) -> None:
    """A payment that the provider takes is SUCCESS with its transaction, and reads back equal."""
    paid = await payments.pay(amount="150", booking="BK-7", type="DEBIT_CARD")
    assert status(paid) == "SUCCESS"
    assert paid.payment_id.startswith("pay_")
    assert paid.transaction_id == f"txn_{paid.payment_id}"
    assert (paid.amount.value, paid.currency, paid.refunded_amount.value) == (
        "150.00", "USD", "0.00"
    )  # fmt: skip
    assert (paid.booking_reference, paid.user_id) == ("BK-7", "ann")
    assert paid.payment_method == pb.PaymentMethodSummary(
        type="DEBIT_CARD", brand="visa", last_four="1111"
    )
    for moment in (paid.processed_at, paid.created_at):
        assert moment.ToDatetime(clock.now().tzinfo) == clock.now()
    assert (paid.error_code, paid.error_message) == (0, "")
    assert await payments.now(paid) == paid


async def test_the_provider_gets_the_card_and_our_reference(payments: Payments) -> None:
    """The provider is asked once, for minor units, by the id of the payment, with the card."""
    paid = await payments.pay(amount="1500", currency="JPY")
    (asked,) = payments.provider.journal
    assert isinstance(asked, Charge)
    assert (asked.reference, asked.amount_minor, asked.currency) == (paid.payment_id, 1500, "JPY")
    (card,) = payments.provider.methods
    assert isinstance(card, Card)
    assert (card.number, card.cvv) == (NUMBER, "123")


async def test_a_token(payments: Payments) -> None:
    """A token goes to the provider as it came, and of it nothing is kept or shown."""
    paid = await payments.pay(**NO_CARD, token="pm_1", type=0)
    assert payments.provider.methods == [Token("TYPE_UNSPECIFIED", "pm_1")]
    assert paid.payment_method == pb.PaymentMethodSummary()
    assert "pm_1" not in await dump(payments.database)


async def test_what_the_provider_does_not_take(payments: Payments) -> None:
    """A means of payment that the provider refuses beforehand is INVALID_FIELD, and not stored."""
    refusal = InvalidField(("payment_method.token", "is not known here"))
    payments.provider.refusals.append(refusal)
    with refused_fields("payment_method.token"):
        await payments.pay(key="k", **NO_CARD, token="pm_1")
    assert payments.provider.journal == []
    assert status(await payments.pay(key="k", **NO_CARD, token="pm_2")) == "SUCCESS"


async def test_limits_of_a_currency(databases: Databases, clock: ManualClock) -> None:
    """An amount beyond a currency's limits is INVALID_FIELD; other currencies have none."""
    database = await databases.fresh("payment_svc")
    async with serving_payments(database, clock, amount_limits="USD 0.50 100.00") as payments:
        for amount in ("0.49", "100.01"):
            with refused_fields("amount"):
                await payments.pay(amount=amount)
        for amount, currency in (("0.50", "USD"), ("100.00", "USD"), ("1000", "EUR")):
            assert status(await payments.pay(amount=amount, currency=currency)) == "SUCCESS"


async def test_limits_that_are_none(databases: Databases, clock: ManualClock) -> None:
    """Limits that cannot be read stop the program at its start, naming the setting."""
    settings = PaymentSettings(amount_limits="USD 5 1")
    with pytest.raises(SettingsError, match="PAYMENT_AMOUNT_LIMITS: USD"):
        await wiring.wire(settings, auth_settings(), await databases.fresh("payment_svc"), clock)


@pytest.mark.parametrize("code", DeclineCode)
async def test_a_decline_is_an_answer(payments: Payments, code: DeclineCode) -> None:
    """A declined payment is answered with OK: FAILED, with its code and words to show."""
    payments.provider.answers.append(Declined(code))
    failed = await payments.pay()
    assert status(failed) == "FAILED"
    assert pb.Payment.DeclineCode.Name(failed.error_code) == code
    assert failed.error_message == MESSAGES[code]
    assert failed.HasField("processed_at")
    assert not failed.transaction_id
    assert await payments.now(failed) == failed


CARD = "payment_method."
NO_CARD = {"card_number": "", "expiry_month": 0, "expiry_year": 0, "cvv": ""}
TODAY_IS = {"expiry_year": 2026, "expiry_month": 11}
BAD: dict[str, tuple[dict[str, Any], set[str]]] = {
    "three decimals of a dollar": ({"amount": "1.001"}, {"amount"}),
    "decimals of a yen": ({"amount": "10.5", "currency": "JPY"}, {"amount"}),
    "16 digits": ({"amount": "12345678901234.56"}, {"amount"}),
    "zero": ({"amount": "0"}, {"amount"}),
    "negative": ({"amount": "-1.00"}, {"amount"}),
    "not a number": ({"amount": "NaN"}, {"amount"}),
    "no amount": ({"amount": ""}, {"amount"}),
    "words": ({"amount": "ten"}, {"amount"}),
    "no such currency": ({"currency": "ABC"}, {"currency"}),
    "gold": ({"currency": "XAU"}, {"currency"}),
    "small letters": ({"currency": "usd"}, {"currency"}),
    "no booking": ({"booking": ""}, {"booking_reference"}),
    "check digit": ({"card_number": "4111111111111112"}, {CARD + "card_number"}),
    "short number": ({"card_number": "41111111111"}, {CARD + "card_number"}),
    "expired last month": ({**TODAY_IS, "expiry_month": 10}, {CARD + "expiry_year"}),
    "month 13": ({"expiry_month": 13}, {CARD + "expiry_month"}),
    "code of two digits": ({"cvv": "12"}, {CARD + "cvv"}),
    "no type": ({"type": 0}, {"payment_method"}),
    "no number": ({"card_number": ""}, {"payment_method"}),
    "no code": ({"cvv": ""}, {"payment_method"}),
    "a card and a token": ({"token": "pm_1"}, {"payment_method"}),
    "a token with a space": ({**NO_CARD, "token": "pm 1"}, {CARD + "token"}),
    "neither card nor token": (NO_CARD, {"payment_method"}),
    "number and code": (
        {"card_number": "x", "cvv": "y"},
        {CARD + "card_number", CARD + "cvv"},
    ),
    "check digit and expiry": (
        {"card_number": "4111111111111112", "expiry_year": 2020},
        {CARD + "card_number", CARD + "expiry_year"},
    ),
}


async def test_bad_input(payments: Payments) -> None:
    """A request that breaks a rule is INVALID_FIELD with each bad field named; nothing is asked."""
    for changes, fields in BAD.values():
        with refused_fields(*fields):
            await payments.pay(key="k", **changes)
    assert payments.provider.journal == []
    assert not (await payments.caller.ListPayments(pb.ListPaymentsRequest())).payments
    # The key of a refused request is free.
    assert status(await payments.pay(key="k", **TODAY_IS)) == "SUCCESS"


async def test_amounts_that_just_fit(payments: Payments) -> None:
    """The smallest and the largest amounts are taken, and answered, to the last digit."""
    largest = "9999999999999.99"
    given = [("0.01", "USD"), ("1.234", "KWD"), ("1e2", "JPY"), (largest, "USD")]
    paid = [await payments.pay(amount=amount, currency=currency) for amount, currency in given]
    assert [one.amount.value for one in paid] == ["0.01", "1.234", "100", largest]
    minor = [one.amount_minor for one in payments.provider.journal]
    assert minor == [1, 1234, 100, 999_999_999_999_999]


async def test_intent_first(payments: Payments) -> None:
    """When the provider is asked, the intent is committed and no transaction is open."""
    seen: list[Payment | None] = []

    async def look(question: Question) -> None:
        await payments.no_transaction_is_open()
        seen.append(await payments.stored(question.reference))

    payments.provider.when_asked = look
    paid = await payments.pay()
    (intent,) = seen
    assert intent is not None
    assert (intent.payment_id, intent.status) == (paid.payment_id, "PENDING")


async def test_an_open_payment_is_pending(payments: Payments) -> None:
    """While the provider has not said, a payment reads as PENDING, without a moment."""
    payments.provider.hold()
    paying = asyncio.create_task(payments.pay())
    asked = await payments.provider.question()
    pending = await payments.read(asked.reference)
    assert status(pending) == "PENDING"
    assert not pending.HasField("processed_at")
    payments.provider.release()
    assert status(await paying) == "SUCCESS"


async def test_no_such_payment(payments: Payments) -> None:
    """An id that no payment has is PAYMENT_NOT_FOUND and named."""
    with refused("PAYMENT_NOT_FOUND", paymentId="pay_404"):
        await payments.read("pay_404")


async def listed(payments: Payments, booking: str = "", size: int = 2) -> list[list[str]]:
    """The bookings of the listed payments, page by page."""
    pages, token = [], ""
    while True:
        request = pb.ListPaymentsRequest(
            booking_reference=booking, page_size=size, page_token=token
        )
        page = await payments.caller.ListPayments(request)
        pages.append([one.booking_reference + one.amount.value for one in page.payments])
        token = page.next_page_token
        if not token:
            return pages


async def test_a_list_is_newest_first(payments: Payments, clock: ManualClock) -> None:
    """Payments come newest first, page by page, all or those of one booking."""
    assert await listed(payments) == [[]]
    for amount, booking in enumerate("ABABA", start=1):
        await payments.pay(amount=str(amount), currency="JPY", booking=booking)
        clock.move(1)
    assert await listed(payments) == [["A5", "B4"], ["A3", "B2"], ["A1"]]
    assert await listed(payments, booking="A") == [["A5", "A3"], ["A1"]]
    assert await listed(payments, booking="B") == [["B4", "B2"]]
    assert await listed(payments, booking="a") == [[]]
    assert await listed(payments, size=0) == [["A5", "B4", "A3", "B2", "A1"]]


@pytest.mark.parametrize("booking", ["座" * 64, "BK-1\nBK-2"], ids=["long", "newline"])
async def test_any_reference_can_be_listed(
    payments: Payments, clock: ManualClock, booking: str
) -> None:
    """The payments of a booking can be paged through, whatever the booking is called."""
    for amount in "123":
        await payments.pay(amount=amount, currency="JPY", booking=booking)
        clock.move(1)
    wanted = [[f"{booking}3", f"{booking}2"], [f"{booking}1"]]
    assert await listed(payments, booking=booking) == wanted


async def test_a_page_token_belongs_to_its_list(payments: Payments, clock: ManualClock) -> None:
    """A token of another list, or one that was made up, is an INVALID_FIELD."""
    for _ in range(2):
        await payments.pay(booking="A")
        clock.move(1)
    first = pb.ListPaymentsRequest(booking_reference="A", page_size=1)
    token = (await payments.caller.ListPayments(first)).next_page_token
    assert token
    for booking, given in (("", token), ("B", token), ("A", "made up"), ("A", "x" + token)):
        wrong = pb.ListPaymentsRequest(booking_reference=booking, page_token=given)
        with refused_fields("page_token"):
            await payments.caller.ListPayments(wrong)


async def test_other_scopes_are_refused(payments: Payments) -> None:
    """All methods but one need the scope `payments` (or `admin`) and tell so before all else."""
    wrong = payments.called_by("ann", "bookings inventory")
    admin = payments.called_by("root", "admin")
    for method in SERVICE.methods:
        request = getattr(pb, method.input_type.name)()
        # A webhook is signed, and who sends it has no token.
        is_open = method.name == "HandleWebhook"
        facts = {} if is_open else {"scopes": "payments"}
        with refused("WEBHOOK_REFUSED" if is_open else "SCOPE_MISSING", **facts):
            call = getattr(wrong, method.name)(request)
            await (call.read() if method.server_streaming else call)
    assert payments.provider.journal == []
    assert status(await admin.ProcessPayment(process())) == "SUCCESS"


async def test_callers_that_leave_cannot_pile_up_charges(
    databases: Databases, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on without its caller counts: beyond the bound nothing is stored or asked."""
    monkeypatch.setattr(wiring, "Tasks", partial(Tasks, 2))
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        payments.provider.hold()
        for booking in "AB":
            leaving = payments.caller.ProcessPayment(process(booking=booking))
            await payments.provider.question()
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        with refused("OVERLOADED"):
            await payments.pay(booking="C")
        payments.provider.release()
        await payments.work_done()
        assert status(await payments.pay(booking="D")) == "SUCCESS"
        listed = await payments.caller.ListPayments(pb.ListPaymentsRequest())
    assert {one.booking_reference for one in listed.payments} == {"A", "B", "D"}
