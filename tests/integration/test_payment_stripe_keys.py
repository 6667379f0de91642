"""The provider `stripe` when Stripe has forgotten its idempotency keys."""

import pytest
from support import stripe_fixtures
from support.clock import ManualClock
from support.provider_suite import Subject
from support.stripe_fixtures import CARD, CONFIRM, CREATE, HOUR_S, POOR_CARD, SEARCH, a_day_later
from support.stripe_server import Fault, StripeServer

from chassis.cards import Token
from payment_svc.domain.outcome import Declined, NotDone, Succeeded
from payment_svc.ports import Charge
from payment_svc.providers.stripe import StripeProvider

pytestmark = stripe_fixtures.UNNAMED_BYTES
localstripe_url = stripe_fixtures.localstripe_url
server, replica = stripe_fixtures.server, stripe_fixtures.replica
provider, subject = stripe_fixtures.provider, stripe_fixtures.subject
charge = stripe_fixtures.charge


@pytest.mark.parametrize(("card", "lost"), [(CARD, False), (CARD, True), (POOR_CARD, False)])
async def test_a_day_later(  # noqa: PLR0913, PLR0917 - a case is two of them
    provider: StripeProvider,
    charge: Charge,
    server: StripeServer,
    clock: ManualClock,
    card: Token,
    lost: bool,  # noqa: FBT001
) -> None:
    """When its key is forgotten a charge is found by its metadata, and nothing is made anew."""
    server.fail("/confirm", *[Fault.LOSE] * lost)
    await provider.charge(charge, card)
    before = await provider.lookup(charge)
    assert isinstance(before, Succeeded | Declined)
    await a_day_later(server, clock)
    assert await provider.lookup(charge) == before
    assert await provider.charge(charge, CARD) == before
    assert isinstance(await provider.void(charge), Succeeded | NotDone)
    assert server.asked(CREATE) == server.asked(CONFIRM) == 0
    assert len(await server.charges()) == 1


async def test_never_seen_and_a_day_old(
    provider: StripeProvider, charge: Charge, server: StripeServer, clock: ManualClock
) -> None:
    """A charge of yesterday that Stripe has never seen is NotDone for ever, and nothing is made."""
    await a_day_later(server, clock)
    assert await provider.lookup(charge) == NotDone()
    assert await provider.void(charge) == NotDone()
    assert await provider.charge(charge, CARD) == NotDone()
    assert set(server.requests) == {SEARCH}
    assert await server.intents() == []


async def test_an_open_intent_of_yesterday(
    provider: StripeProvider, charge: Charge, server: StripeServer, clock: ManualClock
) -> None:
    """An intent that nobody confirmed is called off a day later, and not charged any more."""
    server.fail("/confirm", Fault.DROP)
    await provider.charge(charge, CARD)
    await a_day_later(server, clock)
    assert await provider.charge(charge, CARD) == NotDone()
    assert await provider.void(charge) == NotDone()
    (intent,) = await server.intents()
    assert intent["status"] == "canceled"


@pytest.mark.parametrize(("age_h", "confirms"), [(19.9, 1), (20.1, 0), (22.9, 0)])
async def test_nobody_confirms_late(  # noqa: PLR0913, PLR0917 - a case is two of them
    provider: StripeProvider,
    charge: Charge,
    server: StripeServer,
    clock: ManualClock,
    age_h: float,
    confirms: int,
) -> None:
    """Hours before keys are forgotten nobody confirms, and the key still fences; no search yet."""
    server.search_is_behind = True
    clock.move(age_h * HOUR_S)
    await provider.charge(charge, CARD)
    assert server.asked(CONFIRM) == confirms
    await provider.void(charge)
    (intent,) = await server.intents()
    assert intent["status"] == ("succeeded" if confirms else "canceled")
    assert server.asked(SEARCH) == 0


async def test_only_ones_own_are_found(
    provider: StripeProvider, subject: Subject, server: StripeServer, clock: ManualClock
) -> None:
    """An intent of another amount is not that of a charge, whatever its metadata say."""
    charge = subject.new()
    taken = await provider.charge(charge, CARD)
    assert isinstance(taken, Succeeded)
    await a_day_later(server, clock)
    other = Charge(charge.reference, 1, "USD", charge.asked_at)
    assert await provider.lookup(other) == await provider.void(other) == NotDone()
    assert await provider.lookup(charge) == await provider.void(charge) == taken
