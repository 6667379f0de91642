"""The provider `stripe` against localstripe: money is taken once, whatever Stripe answers."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from support import stripe_fixtures
from support.clock import ManualClock
from support.provider_suite import AMOUNT_MINOR, ProviderSuite, Subject
from support.stripe_fixtures import (
    CARD,
    CONFIRM,
    CREATE,
    NO_ANSWER,
    POOR_CARD,
    REFUSED,
    WITHOUT_EFFECT,
    Replica,
    a_day_later,
    replicas,
    until,
)
from support.stripe_server import API_KEY, CONSENT, GOOD, Fault, StripeServer

from chassis.cards import Token
from payment_svc.domain.outcome import DeclineCode, Declined, NotDone, Pending, Succeeded, Unknown
from payment_svc.ports import Charge, Return
from payment_svc.providers import stripe as calls
from payment_svc.providers.stripe import StripeProvider

pytestmark = stripe_fixtures.UNNAMED_BYTES
localstripe_url = stripe_fixtures.localstripe_url
server, replica = stripe_fixtures.server, stripe_fixtures.replica
provider, subject = stripe_fixtures.provider, stripe_fixtures.subject
charge = stripe_fixtures.charge


class TestStripe(ProviderSuite):
    """The promises of every provider."""


async def confirming(replica: Replica, charge: Charge, server: StripeServer) -> asyncio.Task[Any]:
    """A charge whose confirmation has been sent, and is held back on its way."""
    server.gates["/confirm"] = asyncio.Event()
    charging = asyncio.create_task(replica().charge(charge, CARD))
    async with asyncio.timeout(10):
        await server.arrived("/confirm")
    return charging


# What is asked of Stripe, and what it then holds.


async def test_two_requests(provider: StripeProvider, charge: Charge, server: StripeServer) -> None:
    """A charge costs two requests, and its intent holds its amount, currency and reference."""
    said = await provider.charge(charge, CARD)
    (intent,) = await server.intents()
    assert said == Succeeded(intent["id"])
    assert server.requests == [CREATE, CONFIRM]
    assert (intent["status"], intent["amount"], intent["currency"]) == ("succeeded", 15000, "usd")
    assert intent["metadata"] == {"holdfast_reference": charge.reference}
    assert await server.taken() == AMOUNT_MINOR


async def test_an_answer_that_is_lost(
    provider: StripeProvider, charge: Charge, server: StripeServer
) -> None:
    """When the answer to a confirmation is lost, a lookup finds the money; a repeat adds none."""
    server.fail("/confirm", Fault.LOSE)
    assert await provider.charge(charge, CARD) == NO_ANSWER
    taken = await provider.lookup(charge)
    assert isinstance(taken, Succeeded)
    assert await provider.charge(charge, CARD) == taken
    assert await provider.void(charge) == taken
    assert await server.taken() == AMOUNT_MINOR
    assert len(await server.intents()) == len(await server.charges()) == 1


@pytest.mark.parametrize("path", ["/payment_intents", "/confirm"])
@pytest.mark.parametrize("fault", WITHOUT_EFFECT)
async def test_a_request_without_effect(
    provider: StripeProvider, charge: Charge, server: StripeServer, path: str, fault: Fault
) -> None:
    """After a request that never had an effect nothing is taken, and a repeat takes it once."""
    server.fail(path, fault)
    assert isinstance(await provider.charge(charge, CARD), Unknown)
    assert await server.taken() == 0
    assert await provider.lookup(charge) == NotDone()
    assert isinstance(await provider.charge(charge, CARD), Succeeded)
    assert await server.taken() == AMOUNT_MINOR
    assert len(await server.intents()) == 1


async def test_the_answer_to_create_is_lost(
    provider: StripeProvider, charge: Charge, server: StripeServer
) -> None:
    """When the answer to the making of an intent is lost, the same intent is found again."""
    server.fail("/payment_intents", Fault.LOSE)
    assert await provider.charge(charge, CARD) == NO_ANSWER
    assert isinstance(await provider.charge(charge, CARD), Succeeded)
    assert len(await server.intents()) == 1


@pytest.mark.parametrize("fault", [*WITHOUT_EFFECT, Fault.LOSE])
@pytest.mark.parametrize("path", ["/payment_intents", "/cancel"])
async def test_a_void_is_sure_or_unknown(
    provider: StripeProvider, charge: Charge, server: StripeServer, path: str, fault: Fault
) -> None:
    """A void or a lookup that gets no result is Unknown: it never says that nothing will come."""
    server.fail(path, fault)
    said = await provider.void(charge)
    assert isinstance(said, Unknown)
    server.fail("/payment_intents", fault)
    assert isinstance(await provider.lookup(charge), Unknown)
    assert await provider.void(charge) == NotDone()
    (intent,) = await server.intents()
    assert intent["status"] == "canceled"


async def test_the_fence(replica: Replica, charge: Charge, server: StripeServer) -> None:
    """A void before the charge cancels an intent that it made, and no replica gets past that."""
    assert await replica().void(charge) == NotDone()
    (intent,) = await server.intents()
    assert intent["status"] == "canceled"
    assert await replica().charge(charge, CARD) == NotDone()
    assert server.asked(CONFIRM) == 0
    assert await server.taken() == 0


async def test_a_void_overtakes_a_confirmation(
    replica: Replica, charge: Charge, server: StripeServer
) -> None:
    """A confirmation that is under way while its charge is called off arrives in vain."""
    charging = await confirming(replica, charge, server)
    assert await replica().void(charge) == NotDone()
    server.gates["/confirm"].set()
    assert await charging == NotDone()
    assert await server.taken() == 0


async def test_a_process_dies_in_between(
    replica: Replica, charge: Charge, server: StripeServer
) -> None:
    """Who dies between the two steps leaves an intent that others can pay, once."""
    server.fail("/confirm", Fault.DROP)
    await replica().charge(charge, CARD)
    other = replica()
    assert await other.lookup(charge) == NotDone()
    assert isinstance(await other.charge(charge, CARD), Succeeded)
    assert len(await server.intents()) == len(await server.charges()) == 1


async def test_a_confirmation_of_the_dead(
    replica: Replica, charge: Charge, server: StripeServer
) -> None:
    """A confirmation that arrives after its sender died counts, and is not done again."""
    charging = await confirming(replica, charge, server)
    charging.cancel()
    assert await replica().lookup(charge) == NotDone()
    server.gates["/confirm"].set()
    await until(server.taken)
    assert isinstance(await replica().charge(charge, CARD), Succeeded)
    assert len(await server.charges()) == 1


async def test_replicas_at_once(replica: Replica, charge: Charge, server: StripeServer) -> None:
    """Charges of one reference by many replicas at once, with cards good and bad, agree on one."""
    said = await asyncio.gather(
        *(replica().charge(charge, card) for card in (CARD, POOR_CARD, CARD, POOR_CARD))
    )
    final = await replica().charge(charge, CARD)
    assert isinstance(final, Succeeded | Declined)
    assert {one for one in said if not isinstance(one, Unknown | NotDone)} <= {final}
    assert len(await server.intents()) == len(await server.charges()) == 1


async def test_charges_and_voids_at_once(
    replica: Replica, subject: Subject, server: StripeServer
) -> None:
    """Charges and voids of one reference at once never end in money and a void that held."""
    taken = 0
    for _ in range(5):
        charge = subject.new(1000)
        said = await asyncio.gather(
            replica().charge(charge, CARD), replica().void(charge), replica().charge(charge, CARD)
        )
        final = await replica().void(charge)
        assert isinstance(final, Succeeded | NotDone)
        assert said[1] != NotDone() or final == NotDone()
        assert {one for one in said if isinstance(one, Succeeded)} <= {final}
        taken += 1000 * isinstance(final, Succeeded)
    assert await server.taken() == taken


# What is final stays so.


async def test_a_decline_is_not_tried_anew(
    provider: StripeProvider, charge: Charge, server: StripeServer
) -> None:
    """A charge that was declined stays so for a better card, and after a void."""
    declined = await provider.charge(charge, POOR_CARD)
    assert declined == Declined(DeclineCode.INSUFFICIENT_FUNDS)
    assert await provider.charge(charge, CARD) == declined
    assert len(await server.charges()) == 1
    assert await provider.void(charge) == NotDone()
    assert isinstance(await provider.lookup(charge), Declined)
    assert isinstance(await provider.charge(charge, CARD), Declined)
    assert await server.taken() == 0


@pytest.mark.parametrize("card", [CARD, POOR_CARD])
async def test_a_replay_that_does_not_say_so(
    provider: StripeProvider, charge: Charge, server: StripeServer, card: Token
) -> None:
    """An old answer that does not say that it is one misleads nobody."""
    server.says_replayed = False
    first = await provider.charge(charge, card)
    assert await provider.charge(charge, card) == first
    assert await provider.lookup(charge) == first
    assert len(await server.charges()) == 1


@pytest.mark.parametrize(
    ("token", "code", "status"),
    [
        ("pm_card_visa_chargeDeclined", DeclineCode.CARD_DECLINED, "requires_payment_method"),
        ("pm_card_chargeDeclinedExpiredCard", DeclineCode.EXPIRED_CARD, "requires_payment_method"),
        (CONSENT, DeclineCode.CARD_DECLINED, "requires_payment_method"),
        ("pm_nobody_knows", DeclineCode.CARD_DECLINED, "canceled"),
    ],
)
async def test_cards_that_are_declined(  # noqa: PLR0913, PLR0917 - a case is three of them
    provider: StripeProvider,
    charge: Charge,
    server: StripeServer,
    token: str,
    code: DeclineCode,
    status: str,
) -> None:
    """A card that is declined, or wants its owner's consent, or is none, ends the charge."""
    declined = await provider.charge(charge, Token("CREDIT_CARD", token))
    assert declined == Declined(code)
    assert [one["status"] for one in await server.intents()] == [status]
    assert await provider.lookup(charge) == declined
    assert await provider.charge(charge, CARD) == declined
    assert await server.taken() == 0


async def test_what_is_pending(
    provider: StripeProvider, charge: Charge, server: StripeServer
) -> None:
    """A charge that Stripe still processes is Pending, also to a void, until Stripe decides."""
    iban = {"type": "sepa_debit", "sepa_debit[iban]": "DE62370400440532013001"}
    slow = (await server.upstream.post("/v1/payment_methods", data=iban)).json()["id"]
    assert await provider.charge(charge, Token("TYPE_UNSPECIFIED", slow)) == Pending()
    assert await provider.void(charge) == Pending()

    async def is_decided() -> bool:
        return await provider.lookup(charge) != Pending()

    await until(is_decided)
    assert await provider.lookup(charge) == REFUSED


@pytest.mark.parametrize("fault", [Fault.BREAK, Fault.BREAK_AFTER])
@pytest.mark.parametrize("path", ["/payment_intents", "/confirm"])
async def test_a_fault_that_is_stored(
    replica: Replica, charge: Charge, server: StripeServer, path: str, fault: Fault
) -> None:
    """A fault that Stripe stores under a key holds no charge up, and takes nothing twice."""
    server.fail(path, fault)
    first = await replica().charge(charge, CARD)
    assert first == Unknown("Stripe: no answer (500)")
    said = await asyncio.gather(*(replica().charge(charge, CARD) for _ in range(3)))
    taken = await replica().charge(charge, CARD)
    assert isinstance(taken, Succeeded)
    assert {one for one in said if isinstance(one, Succeeded)} <= {taken}
    assert await replica().lookup(charge) == await replica().void(charge) == taken
    assert await server.taken() == AMOUNT_MINOR
    assert len(await server.charges()) == 1


async def test_a_fault_can_be_called_off(
    provider: StripeProvider, charge: Charge, server: StripeServer, clock: ManualClock
) -> None:
    """A charge whose intent is behind a stored fault is called off, by its key and by search."""
    server.fail("/payment_intents", Fault.BREAK_AFTER)
    await provider.charge(charge, CARD)
    assert await provider.void(charge) == NotDone()
    assert await provider.charge(charge, CARD) == NotDone()
    await a_day_later(server, clock)
    assert await provider.void(charge) == NotDone()
    assert {one["status"] for one in await server.intents()} == {"canceled"}
    assert len(await server.intents()) == 2


async def test_a_currency_that_stripe_refuses(
    provider: StripeProvider, charge: Charge, server: StripeServer
) -> None:
    """A charge that Stripe refuses to write down is declined to all, and needs no void."""
    odd = Charge(charge.reference, charge.amount_minor, "CUP", charge.asked_at)
    assert await provider.charge(odd, CARD) == await provider.lookup(odd) == REFUSED
    assert await provider.void(odd) == NotDone()
    assert await server.intents() == []


async def test_no_answer_in_time(replica: Replica, charge: Charge, server: StripeServer) -> None:
    """A request that takes longer than it may is Unknown, and its money is found later."""
    gate = server.gates["/confirm"] = asyncio.Event()
    async with asyncio.timeout(20):
        assert await replica(timeout_s=0.3).charge(charge, CARD) == NO_ANSWER
    gate.set()
    provider = replica()
    await until(server.taken)
    assert isinstance(await provider.lookup(charge), Succeeded)
    assert await server.taken() == AMOUNT_MINOR


async def test_nobody_is_there(charge: Charge, clock: ManualClock) -> None:
    """A Stripe that cannot be reached is Unknown, whatever is asked of it."""
    order = Return("ref_1", "pi_1", 100, "USD", clock.now())
    async with replicas("http://127.0.0.1:1", clock) as replica:
        provider = replica()
        said = [
            await provider.charge(charge, CARD),
            await provider.lookup(charge),
            await provider.void(charge),
            await provider.refund(order),
        ]
    assert said == [NO_ANSWER] * 4


# What nobody may see.


async def test_no_text_of_stripe(
    replica: Replica, charge: Charge, server: StripeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What Stripe says in words, and the account's key, reach no log and no outcome."""
    caplog.set_level(logging.DEBUG)
    provider = replica()
    for fault in (Fault.BREAK, Fault.BUSY, Fault.LOCKED_OUT):
        server.fail("/payment_intents", fault)
        caplog.messages.append(repr(await provider.charge(charge, CARD)))
    said = [repr(await provider.charge(charge, Token("", "pm_none"))), repr(provider._account)]
    shown = "\n".join([*caplog.messages, *said])
    assert "quotes the payer" not in shown
    assert API_KEY not in shown


def test_test_cards_are_for_tests(replica: Replica) -> None:
    """An account that takes real money names no test cards."""
    assert GOOD in {one.token for one in replica().known_cards()}
    assert list(replica(api_key="sk_live_1").known_cards()) == []


def test_times_that_fit() -> None:
    """Between the last confirmation and the first search lies more than the search is late."""
    late = calls.KEYS_KEPT_FOR - calls.CONFIRM_FOR
    assert late > timedelta(hours=1)
    assert calls.CONFIRM_FOR + late < timedelta(hours=24)
