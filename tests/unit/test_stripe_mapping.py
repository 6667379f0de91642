"""What Stripe documents that it answers, and what is made of it.

The answers in `tests/recorded/stripe` are written by hand in the shape that Stripe documents.
"""

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import iso4217
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from support.clock import START, ManualClock
from support.source import ROOT

from chassis import money
from chassis.cards import Card, Token
from chassis.errors import InvalidField
from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Notice,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from payment_svc.ports import Charge
from payment_svc.providers import stripe_mapping as mapping
from payment_svc.providers import stripe_params as params
from payment_svc.providers import stripe_webhooks as webhooks
from payment_svc.providers.stripe import StripeAccount, StripeFailed, StripeProvider, _call
from payment_svc.providers.stripe_mapping import Meaning

# The library gives httpx a text where httpx wants bytes to be named so.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")

INTENT_ID, REFUND_ID = "pi_3PqT4vLkdIwHu7ix0aBcDeFg", "re_3PqT4vLkdIwHu7ix0wXyZaBc"
CHARGE = Charge("pay_01HZX3", 15000, "USD", START)
CARD = Token("TYPE_UNSPECIFIED", "pm_card_visa")
NO_MONEY = Declined(DeclineCode.INSUFFICIENT_FUNDS)
EXPIRED = Declined(DeclineCode.EXPIRED_CARD)
REFUSED = Declined(DeclineCode.CARD_DECLINED)
TAKEN, GIVEN = Succeeded(INTENT_ID), Succeeded(REFUND_ID)
SECRET, OTHER = "whsec_first", "whsec_second"


def recorded(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "tests/recorded/stripe" / f"{name}.json").read_text())


INTENTS, REFUNDS, ERRORS, EVENTS = map(recorded, ("intents", "refunds", "errors", "events"))

# What is answered to a charge or a lookup, to a void, and whether it may still be confirmed.
OUTCOMES: dict[str, tuple[Outcome, Outcome, bool]] = {
    "untouched": (NotDone(), Pending(), True),
    "not confirmed": (NotDone(), Pending(), True),
    "succeeded": (TAKEN, TAKEN, False),
    "processing": (Pending(), Pending(), False),
    "wants consent": (Pending(), Pending(), False),
    "authorized only": (Pending(), Pending(), False),
    "a status of tomorrow": (Pending(), Pending(), False),
    "no money": (NO_MONEY, Pending(), False),
    "expired": (EXPIRED, Pending(), False),
    "lost card": (REFUSED, Pending(), False),
    "no consent": (REFUSED, Pending(), False),
    "no money, and changed since": (NO_MONEY, Pending(), False),
    "expired, then called off": (EXPIRED, NotDone(), False),
    "called off": (NotDone(), NotDone(), False),
    "its token refused": (REFUSED, NotDone(), False),
    "cancelled by stripe": (NotDone(), NotDone(), False),
}
REFUND_OUTCOMES: dict[str, Outcome] = {
    "succeeded": GIVEN,
    "pending": Pending(),
    "wants consent": Pending(),
    "failed": REFUSED,
    "canceled": REFUSED,
    "a status of tomorrow": Pending(),
}
MEANINGS = {
    "no money": Meaning.DECLINED,
    "expired": Meaning.DECLINED,
    "declined": Meaning.DECLINED,
    "no such token": Meaning.REFUSED,
    "token used up": Meaning.REFUSED,
    "another state": Meaning.REFUSED,
    "too little": Meaning.REFUSED,
    "no such currency": Meaning.REFUSED,
    "already refunded": Meaning.REFUSED,
    "stored refusal": Meaning.REFUSED,
    "no such intent": Meaning.NO_ANSWER,
    "no such payment": Meaning.NO_ANSWER,
    "other parameters": Meaning.NO_ANSWER,
    "key in use": Meaning.NO_ANSWER,
    "bad api key": Meaning.NOT_NOW,
    "not allowed": Meaning.NOT_NOW,
    "too many": Meaning.NOT_NOW,
    "too many, as of old": Meaning.NOT_NOW,
    "locked": Meaning.NOT_NOW,
    "fault": Meaning.NO_ANSWER,
    "stored fault": Meaning.NO_ANSWER,
    "no json": Meaning.NO_ANSWER,
    "no error in it": Meaning.NO_ANSWER,
}
PAY, REF = "pay_01HZX3", "ref_01HZX4"
NOTICES = {
    "succeeded": Notice("evt_1", PAY, TAKEN),
    "declined": Notice("evt_2", PAY, NO_MONEY),
    "called off": Notice("evt_3", PAY, NotDone()),
    "processing": Notice("evt_4", PAY, Pending()),
    "refund made": Notice("evt_5", REF, Pending()),
    "refund done": Notice("evt_6", REF, GIVEN),
    "refund failed": Notice("evt_7", REF, REFUSED),
    "refund done, as of old": Notice("evt_8", REF, GIVEN),
    "intent made": None,
    "charge refunded": None,
    "somebody else's": None,
    "no metadata": None,
    "a payout": None,
}


def test_every_record_is_tested() -> None:
    """Every recorded answer has an expected meaning, and none is expected that is not recorded."""
    for answers, expected in (
        (INTENTS, OUTCOMES),
        (REFUNDS, REFUND_OUTCOMES),
        (ERRORS, MEANINGS),
        (EVENTS, NOTICES),
    ):
        assert answers.keys() == expected.keys()


@pytest.mark.parametrize("name", OUTCOMES)
def test_intents(name: str) -> None:
    """An intent is told by its state; only success and an explicit failure are final."""
    intent, (said, voided, untouched) = INTENTS[name], OUTCOMES[name]
    assert mapping.intent_outcome(intent) == said
    assert mapping.void_outcome(intent) == voided
    assert mapping.is_untouched(intent) is untouched


@pytest.mark.parametrize("name", REFUND_OUTCOMES)
def test_refunds(name: str) -> None:
    """A refund is told by its state, and is pending until that is final."""
    assert mapping.refund_outcome(REFUNDS[name]) == REFUND_OUTCOMES[name]


def test_several_intents() -> None:
    """Of several intents of one charge money counts most, then what may become money."""
    said = [NotDone(), REFUSED, Pending(), TAKEN]
    for count in range(1, 5):
        assert mapping.strongest(said[:count]) == said[count - 1]
        assert mapping.strongest(reversed(said[:count])) == said[count - 1]
    assert mapping.strongest([]) == NotDone()


@pytest.mark.parametrize(
    "change",
    [{"amount": 15001}, {"currency": "eur"}, {"metadata": {}}, {"metadata": None}],
)
def test_whose_intent(change: dict[str, Any]) -> None:
    """An intent is that of a charge if reference, amount and currency are the same."""
    assert mapping.is_of(INTENTS["succeeded"], CHARGE)
    assert not mapping.is_of({**INTENTS["succeeded"], **change}, CHARGE)


def test_the_same_parameters_for_ever() -> None:
    """An intent's parameters follow from the charge alone, so that its key can be used again."""
    later = replace(CHARGE, asked_at=START + timedelta(days=3))
    assert params.intent_params(later) == params.intent_params(CHARGE)
    assert params.intent_params(CHARGE) == {
        "amount": 15000,
        "currency": "usd",
        "payment_method_types": ["card"],
        "metadata": {"holdfast_reference": "pay_01HZX3"},
    }


# Errors, as the library gives them to the provider.


class Recorded:
    """Answers requests from records: the first that the path ends with."""

    def __init__(self, provider: StripeProvider, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        provider._http.request_async = self

    async def __call__(self, method: str, url: str, *_: Any, **__: Any) -> tuple[Any, int, Any]:
        path = url.partition("?")[0].rpartition("/v1/")[2]
        self.asked.append(f"{method} {path}")
        answer = next(one for end, one in self.answers.items() if path.endswith(end))
        if "status" in answer and "body" in answer:
            body = answer["body"]
            text = body if isinstance(body, str) else json.dumps(body)
            return text.encode(), answer["status"], answer["headers"]
        return json.dumps(answer).encode(), 200, {}


@pytest.fixture
async def provider() -> AsyncIterator[StripeProvider]:
    provider = StripeProvider(StripeAccount("sk_test_1", (SECRET,), 1), ManualClock())
    yield provider
    await provider.close()


@pytest.mark.parametrize("name", MEANINGS)
async def test_errors(provider: StripeProvider, name: str) -> None:
    """Each error that Stripe documents means what the table of errors says, in words of our own."""
    Recorded(provider, {"/confirm": ERRORS[name], "payment_intents": INTENTS["untouched"]})
    error = ERRORS[name]
    with pytest.raises(StripeFailed, match=r"^Stripe: [a-z ]+ \([0-9]{3}\)$") as caught:
        await _call(provider._intents.confirm_async(INTENT_ID, {}, {"idempotency_key": "key"}))
    failure = caught.value.failure
    assert failure.meaning == MEANINGS[name]
    assert failure.status == error["status"]
    assert failure.is_for_ever is (name == "stored fault")
    assert failure.refuses_charge is (name in {"too little", "no such currency"})


@pytest.mark.parametrize("name", MEANINGS)
async def test_what_an_error_makes_of_a_charge(provider: StripeProvider, name: str) -> None:
    """An error in the second step is a decline, or the end of the intent, or Unknown."""
    answers = {
        "/confirm": ERRORS[name],
        "/cancel": INTENTS["its token refused"],
        "payment_intents": INTENTS["untouched"],
        INTENT_ID: INTENTS["untouched"],
    }
    stripes = Recorded(provider, answers)
    said = await provider.charge(CHARGE, CARD)
    cancelled = f"post payment_intents/{INTENT_ID}/cancel" in stripes.asked
    match MEANINGS[name]:
        case Meaning.DECLINED:
            declines = {"no money": NO_MONEY, "expired": EXPIRED, "declined": REFUSED}
            assert said == declines[name]
        case Meaning.REFUSED:
            assert said == REFUSED
        case _:
            assert isinstance(said, Unknown)
            assert said.cause.startswith("Stripe: n")
    assert cancelled is (MEANINGS[name] is Meaning.REFUSED)


@pytest.mark.parametrize("name", MEANINGS)
async def test_no_error_is_a_sure_no(provider: StripeProvider, name: str) -> None:
    """An error says nothing of earlier attempts: to a lookup or a void it is never NotDone.

    But for an amount or a currency of which Stripe could never have made an intent.
    """
    Recorded(provider, {"payment_intents": ERRORS[name], "search": ERRORS[name]})
    never = name in {"too little", "no such currency"}
    lookup, void = await provider.lookup(CHARGE), await provider.void(CHARGE)
    assert lookup == REFUSED if never else isinstance(lookup, Unknown)
    assert void == NotDone() if never else isinstance(void, Unknown)
    old = replace(CHARGE, asked_at=START - timedelta(days=2))
    assert isinstance(await provider.lookup(old), Unknown)
    assert isinstance(await provider.void(old), Unknown)


@pytest.mark.parametrize("name", OUTCOMES)
async def test_a_void_that_stripe_refuses(provider: StripeProvider, name: str) -> None:
    """When an intent cannot be cancelled it is looked at again, and only its state counts."""
    Recorded(
        provider,
        {
            "/cancel": ERRORS["another state"],
            "payment_intents": INTENTS["untouched"],
            INTENT_ID: INTENTS[name],
        },
    )
    assert await provider.void(CHARGE) == OUTCOMES[name][1]


# Money.

STRIPE_DECIMALS = (
    dict.fromkeys(params.ZERO_DECIMAL, 0)
    | dict.fromkeys(params.WHOLE_IN_HUNDREDTHS, 2)
    | dict.fromkeys(params.THREE_DECIMAL, 3)
)


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("150.00", "USD", 15000),
        ("0.01", "EUR", 1),
        ("500", "JPY", 500),
        ("5", "ISK", 500),
        ("5", "UGX", 500),
        ("1000.00", "MGA", 1000),
        ("5.120", "KWD", 5120),
        ("1234.00", "HUF", 123400),
        ("800.00", "TWD", 80000),
        ("9999999999.99", "IDR", 999999999999),
    ],
)
def test_amounts(amount: str, currency: str, written: int) -> None:
    """Amounts are written with the decimals that Stripe has for the currency."""
    assert params.to_stripe(money.to_minor(amount, currency), currency) == written


@pytest.mark.parametrize(
    ("amount", "currency", "field"),
    [
        ("1000.50", "MGA", "amount"),
        ("5.124", "KWD", "amount"),
        ("10000000000.00", "IDR", "amount"),
        ("10000000000", "ISK", "amount"),
        ("1.000", "IQD", "currency"),
        ("1.0000", "CLF", "currency"),
        ("1", "UYI", "currency"),
    ],
)
def test_amounts_that_cannot_be_written(
    provider: StripeProvider, amount: str, currency: str, field: str
) -> None:
    """What Stripe cannot write is refused before anything is stored, by the name of the field."""
    charge = replace(CHARGE, amount_minor=money.to_minor(amount, currency), currency=currency)
    with pytest.raises(InvalidField) as refused:
        provider.check(charge, CARD)
    assert [name for name, _ in refused.value.violations] == [field]


@given(
    st.sampled_from(sorted(one.code for one in iso4217.Currency if one.exponent is not None)),
    st.integers(min_value=1, max_value=10**15),
)
def test_amounts_keep_their_value(currency: str, amount_minor: int) -> None:
    """An amount that is written for Stripe is worth the same, to the last decimal."""
    try:
        written = params.to_stripe(amount_minor, currency)
    except InvalidField:
        return
    decimals = STRIPE_DECIMALS.get(currency, 2)
    assert Decimal(written).scaleb(-decimals) == Decimal(money.to_text(amount_minor, currency))
    assert decimals != 3 or written % 10 == 0


# Means of payment.


@pytest.mark.parametrize(
    ("method", "field"),
    [
        (Card("CREDIT_CARD", "4242424242424242", 12, 2030, "123"), "payment_method.card_number"),
        (Token("CREDIT_CARD", "tok_visa"), "payment_method.token"),
        (Token("CREDIT_CARD", "4242424242424242"), "payment_method.token"),
    ],
)
def test_only_tokens_of_stripe(provider: StripeProvider, method: Card | Token, field: str) -> None:
    """Card numbers, and tokens that are not Stripe's, are refused by the name of the field."""
    with pytest.raises(InvalidField) as refused:
        provider.check(CHARGE, method)
    ((name, what),) = refused.value.violations
    assert name == field
    assert "4242" not in what


# Webhooks.


def signed(body: bytes, secret: str = SECRET, at: datetime = START) -> dict[str, str]:
    """What Stripe's own library signs."""
    stamp = int(at.timestamp())
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, stamp)
    return {"stripe-signature": header}


def body_of(name: str) -> bytes:
    return json.dumps(EVENTS[name]).encode()


@pytest.mark.parametrize("name", NOTICES)
def test_events(provider: StripeProvider, name: str) -> None:
    """A signed event is told by its object; what is not about a charge of ours says nothing."""
    assert provider.read_webhook(signed(body_of(name)), body_of(name)) == NOTICES[name]


def test_any_of_several_secrets() -> None:
    """While a secret is changed either one is good, whichever of several signatures it is in."""
    body = body_of("succeeded")
    for secret in (SECRET, OTHER):
        webhooks.require_signed(signed(body, secret), body, ("", SECRET, OTHER), START)
    both = signed(body, OTHER)["stripe-signature"]
    more = both.replace("v1=", f"v1={'0' * 64},v0=old,v1=")
    webhooks.require_signed({"stripe-signature": more}, body, (OTHER,), START)


def refused() -> Iterator[Any]:
    body = body_of("succeeded")
    good = signed(body)["stripe-signature"]
    right = good.partition("v1=")[2]
    late = timedelta(minutes=5, seconds=1)
    yield pytest.param({}, body, (SECRET,), id="no signature")
    yield pytest.param(good, body, (), id="no secret")
    unlocked = signed(body, "")["stripe-signature"]
    yield pytest.param(unlocked, body, ("",), id="an empty secret")
    yield pytest.param(good, body, (OTHER,), id="another secret")
    yield pytest.param(good, body + b" ", (SECRET,), id="another body")
    yield pytest.param(good.replace("t=1", "t=2"), body, (SECRET,), id="another time")
    yield pytest.param(good.replace("v1=", "v0="), body, (SECRET,), id="another scheme")
    yield pytest.param(f"v1={right}", body, (SECRET,), id="no time")
    for stamp in ("", "x", "-1", "²", "9" * 5000, "1.5"):
        yield pytest.param(f"t={stamp},v1={right}", body, (SECRET,), id=f"time {stamp[:5]}")
    for name, at in (("late", START - late), ("early", START + late)):
        yield pytest.param(signed(body, at=at)["stripe-signature"], body, (SECRET,), id=name)
    yield pytest.param("ü" * 10, body, (SECRET,), id="no ascii")
    yield pytest.param(f"{good[:-64]}{'ü' * 64}", body, (SECRET,), id="no hex")


@pytest.mark.parametrize(("header", "body", "secrets"), list(refused()))
def test_what_stripe_did_not_sign(header: Any, body: bytes, secrets: tuple[str, ...]) -> None:
    """A webhook that is not signed, by another, for another body or at another time is refused."""
    headers = {"stripe-signature": header} if header else {}
    with pytest.raises(WebhookRefused):
        webhooks.require_signed(headers, body, secrets, START)


@pytest.mark.parametrize("minutes", [-5, 0, 5])
def test_five_minutes_of_difference(minutes: int) -> None:
    """Clocks may differ by five minutes, one way or the other."""
    body = body_of("succeeded")
    at = START + timedelta(minutes=minutes)
    webhooks.require_signed(signed(body, at=at), body, (SECRET,), START)


NO_ID = (
    b'{"id": "evt_1", "type": "payment_intent.succeeded", "data":'
    b' {"object": {"status": "succeeded", "metadata": {"holdfast_reference": "pay_1"}}}}'
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"7",
        b"null",
        b'{"id": "evt_1"}',
        b'{"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": []}}',
        b'{"id": "evt_1", "type": {}, "data": {"object": {"metadata": {}}}}',
        NO_ID,
        b"[" * 100_000,
    ],
)
def test_signed_and_no_event(body: bytes) -> None:
    """What is signed and not shaped like an event is refused, and never a fault of ours."""
    with pytest.raises(WebhookRefused):
        webhooks.read_event(body)


def test_the_library_agrees() -> None:
    """What is signed here as Stripe's library signs it, that library takes for signed."""
    body, now = body_of("succeeded"), datetime.fromtimestamp(int(time.time()), UTC)
    headers = signed(body, at=now)
    webhooks.require_signed(headers, body, (SECRET,), now)
    assert stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], SECRET, 300)
