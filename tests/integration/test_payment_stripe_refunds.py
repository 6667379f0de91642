"""The provider `stripe` gives back once, and says how that stands."""

import asyncio

import pytest
from support import stripe_fixtures
from support.clock import ManualClock
from support.provider_suite import AMOUNT_MINOR, Subject
from support.stripe_fixtures import (
    CARD,
    REFUND,
    REFUNDS,
    REFUSED,
    WITHOUT_EFFECT,
    Replica,
    a_day_later,
)
from support.stripe_server import Fault, StripeServer

from payment_svc.domain.outcome import Declined, Outcome, Pending, Succeeded, Unknown
from payment_svc.ports import Charge, Return
from payment_svc.providers import stripe as calls
from payment_svc.providers.stripe import StripeProvider

pytestmark = stripe_fixtures.UNNAMED_BYTES
localstripe_url = stripe_fixtures.localstripe_url
server, replica = stripe_fixtures.server, stripe_fixtures.replica
provider, subject = stripe_fixtures.provider, stripe_fixtures.subject
charge = stripe_fixtures.charge


@pytest.fixture
async def order(provider: StripeProvider, subject: Subject, charge: Charge) -> Return:
    """The order to give 50.00 of 150.00 back."""
    return subject.back(await provider.charge(charge, CARD), 5000)


async def test_a_refund(provider: StripeProvider, order: Return, server: StripeServer) -> None:
    """A refund gives back its amount, under its reference, by one request."""
    server.requests.clear()
    said = await provider.refund(order)
    assert isinstance(said, Succeeded)
    assert said.transaction_id.startswith("re_")
    assert server.requests == [REFUND]
    assert await server.returned() == [5000]


@pytest.mark.parametrize("fault", [*WITHOUT_EFFECT, Fault.LOSE])
async def test_a_refund_without_an_answer(
    provider: StripeProvider, order: Return, server: StripeServer, fault: Fault
) -> None:
    """A refund without a result is Unknown, and its repeat gives back once."""
    server.fail("/refunds", fault)
    assert isinstance(await provider.refund(order), Unknown)
    said = await provider.refund(order)
    assert isinstance(said, Succeeded)
    assert await provider.refund(order) == said
    assert await server.returned() == [5000]


async def test_refunds_at_once(replica: Replica, order: Return, server: StripeServer) -> None:
    """Replicas that give the same back at once, also a day later, give back once."""
    for _ in range(2):
        said = await asyncio.gather(*(replica().refund(order) for _ in range(3)))
        final = await replica().refund(order)
        assert {one for one in said if isinstance(one, Succeeded)} <= {final}
    assert await server.returned() == [5000]


async def test_a_refund_a_day_later(  # noqa: PLR0913, PLR0917 - it takes two to page
    provider: StripeProvider,
    subject: Subject,
    order: Return,
    server: StripeServer,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When its key is forgotten a refund is found among those of its payment, on any page."""
    monkeypatch.setattr(calls, "PAGE", 1)
    more = [subject.back(Succeeded(order.transaction_id), 1000) for _ in range(2)]
    first = [await provider.refund(one) for one in (order, *more)]
    await a_day_later(server, clock)
    assert [await provider.refund(one) for one in (order, *more)] == first
    assert server.asked(REFUND) == 0
    assert server.asked(REFUNDS) == 1 + 2 + 3
    assert await server.returned() == [1000, 1000, 5000]


async def test_a_late_refund_is_made(
    provider: StripeProvider, order: Return, server: StripeServer, clock: ManualClock
) -> None:
    """A refund that was asked for a day ago and is not there is made now, once."""
    server.fail("/refunds", Fault.DROP)
    await provider.refund(order)
    await a_day_later(server, clock)
    said = await provider.refund(order)
    assert isinstance(said, Succeeded)
    assert await provider.refund(order) == said
    assert await server.returned() == [5000]


@pytest.mark.parametrize(
    ("then", "said"), [("succeeded", Succeeded), ("failed", Declined), ("canceled", Declined)]
)
async def test_a_refund_that_takes_its_time(
    provider: StripeProvider, order: Return, server: StripeServer, then: str, said: type[Outcome]
) -> None:
    """A pending refund is Pending until Stripe says how it ended, and never made twice."""
    server.refund_status = "pending"
    assert await provider.refund(order) == Pending()
    assert await provider.refund(order) == Pending()
    (refund,) = await server._all("refunds")
    server.refunds_now[refund["id"]] = then
    assert isinstance(await provider.refund(order), said)
    assert await server.returned() == [5000]


async def test_a_refund_that_fails_late(
    provider: StripeProvider, order: Return, server: StripeServer
) -> None:
    """A refund that was done and comes back is Declined to whoever asks again."""
    said = await provider.refund(order)
    assert isinstance(said, Succeeded)
    server.refunds_now[said.transaction_id] = "failed"
    assert await provider.refund(order) == REFUSED


async def test_more_than_there_is(
    provider: StripeProvider, subject: Subject, order: Return, server: StripeServer
) -> None:
    """A refund of more than the payment holds is declined, and gives nothing back."""
    await provider.refund(order)
    too_much = subject.back(Succeeded(order.transaction_id), AMOUNT_MINOR)
    assert await provider.refund(too_much) == REFUSED
    assert await server.returned() == [5000]


async def test_a_refund_of_a_stranger(
    provider: StripeProvider, subject: Subject, server: StripeServer
) -> None:
    """A refund of a payment that this account does not know is Unknown, not declined."""
    order = subject.back(Succeeded("pi_ofAnotherAccount"))
    assert isinstance(await provider.refund(order), Unknown)
    assert await server.returned() == []


async def test_a_refund_that_cannot_be_written(
    provider: StripeProvider, server: StripeServer, clock: ManualClock
) -> None:
    """A refund of an amount that Stripe cannot write is declined without asking."""
    assert await provider.refund(Return("ref_1", "pi_1", 1005, "KWD", clock.now())) == REFUSED
    assert server.requests == []
