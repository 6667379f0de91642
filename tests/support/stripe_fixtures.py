"""A Stripe, an account there and providers for it, for several modules of tests.

Modules take the fixtures over by `server = stripe_fixtures.server`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chassis.cards import Token
from payment_svc.domain.outcome import DeclineCode, Declined, Unknown
from payment_svc.ports import Charge
from payment_svc.providers.stripe import StripeAccount, StripeProvider
from support.clock import ManualClock
from support.provider_suite import Subject
from support.stripe_server import (
    API_KEY,
    GOOD,
    POOR,
    Fault,
    StripeServer,
    localstripe,
    stripe_server,
)

# The library gives httpx a text where httpx wants bytes to be named so.
UNNAMED_BYTES = pytest.mark.filterwarnings(
    "ignore:Use 'content=<...>' to upload:DeprecationWarning"
)

CREATE, CONFIRM = "POST /v1/payment_intents", "POST /v1/payment_intents/{id}/confirm"
SEARCH = "GET /v1/payment_intents/search"
REFUND, REFUNDS = "POST /v1/refunds", "GET /v1/refunds"
CARD = Token("TYPE_UNSPECIFIED", GOOD)
POOR_CARD = Token("TYPE_UNSPECIFIED", POOR)
REFUSED = Declined(DeclineCode.CARD_DECLINED)
NO_ANSWER = Unknown("Stripe: no answer")
WITHOUT_EFFECT = [Fault.DROP, Fault.GATEWAY, Fault.BUSY, Fault.LOCKED_OUT]
HOUR_S = 3600
LATER_S = 24 * HOUR_S + 1


@pytest.fixture(scope="module")
def localstripe_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with localstripe(tmp_path_factory.mktemp("localstripe")) as url:
        yield url


@pytest.fixture
async def server(localstripe_url: str) -> AsyncIterator[StripeServer]:
    async with stripe_server(localstripe_url) as server:
        yield server


Replica = Callable[..., StripeProvider]


@asynccontextmanager
async def replicas(url: str, clock: ManualClock) -> AsyncIterator[Replica]:
    """Makes providers for the same account, closed in the end."""
    opened: list[StripeProvider] = []

    def replica(timeout_s: float = 10, api_key: str = API_KEY) -> StripeProvider:
        opened.append(StripeProvider(StripeAccount(api_key, (), timeout_s, url), clock))
        return opened[-1]

    try:
        yield replica
    finally:
        for one in opened:
            await one.close()


@pytest.fixture
async def replica(server: StripeServer, clock: ManualClock) -> AsyncIterator[Replica]:
    async with replicas(server.url, clock) as replica:
        yield replica


@pytest.fixture
def provider(replica: Replica) -> StripeProvider:
    return replica()


@pytest.fixture
def subject(provider: StripeProvider, clock: ManualClock) -> Subject:
    return Subject(provider, clock, CARD, POOR_CARD)


@pytest.fixture
def charge(subject: Subject) -> Charge:
    return subject.new()


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.02)


async def a_day_later(server: StripeServer, clock: ManualClock) -> None:
    server.forget_keys()
    server.requests.clear()
    clock.move(LATER_S)
