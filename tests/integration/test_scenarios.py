"""Every scenario of the mock provider through a whole booking, to the end that the table promises.

The three services, the provider with its own books, its webhooks over HTTP: all is real but the
gateway and the speed of the clock.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any

import pytest
from holdfast.booking.v1 import booking_pb2
from holdfast.payment.v1 import payment_pb2
from support.bookings import on_sqlite, until
from support.databases import Databases
from support.scenarios import (
    CARD,
    NEVER_S,
    SPEED,
    TOKEN,
    ScenarioStack,
    Story,
    log_of,
    promised,
    scenario_stack,
)
from support.webhook_gateway import WebhookGateway, webhook_gateway

from payment_svc.providers import mock_webhooks
from payment_svc.providers.mock_scenarios import SCENARIOS, Scenario

NAMED = {one.name: one for one in SCENARIOS}
ASKED = "CHARGE ASKED"
TOTAL_MINOR = 15000
# By its own account the provider pends for 3 s; to notice that it is over takes some more.
PENDS_S, NOTICED_S = 3.0, 30.0


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookGateway]:
    # As often as by the clock of the stack, and not by that of the machine.
    monkeypatch.setattr(mock_webhooks, "POLL_S", mock_webhooks.POLL_S / SPEED)
    with webhook_gateway() as gateway:
        yield gateway


# What becomes of each, in our own words. Each is told the story when all webhooks have come, or
# there are none.


async def is_confirmed(stack: ScenarioStack, story: Story) -> None:
    """The seats are sold, and paid once."""
    assert story.seen[-1] == "CONFIRMED"
    assert payment_status(story) == "SUCCESS"
    assert await stack.seats_of(story) == {"BOOKED"}
    books = await stack.books_of(story)
    assert [(one["state"], one["amount_minor"]) for one in books["charges"]] == [
        ("SUCCEEDED", TOTAL_MINOR)
    ]
    assert books["refunds"] == []


async def succeeds(stack: ScenarioStack, story: Story) -> None:
    await is_confirmed(stack, story)
    await stack.says(story, "CHARGE SUCCEEDED")
    assert told(story) == Counter([ASKED, "CHARGE SUCCEEDED", *webhooks(stack, "SUCCEEDED")])


def is_declined(code: str) -> Callable[[ScenarioStack, Story], Awaitable[None]]:
    async def declined(stack: ScenarioStack, story: Story) -> None:
        await has_failed(stack, story, code)
        assert story.answer.reason == "PAYMENT_FAILED"
        await stack.says(story, "CHARGE DECLINED")
        assert told(story) == Counter([ASKED, "CHARGE DECLINED", *webhooks(stack, "DECLINED")])

    return declined


async def has_failed(stack: ScenarioStack, story: Story, code: str) -> None:
    """Nothing is sold, and nothing taken."""
    assert story.seen[-1] == "FAILED"
    assert payment_status(story) == "FAILED"
    assert payment_pb2.Payment.DeclineCode.Name(story.payment.error_code) == code
    assert await stack.seats_of(story) == {"AVAILABLE"}
    books = await stack.books_of(story)
    assert [(one["state"], one["decline_code"]) for one in books["charges"]] == [("DECLINED", code)]


async def pends_and_succeeds(stack: ScenarioStack, story: Story) -> None:
    await is_confirmed(stack, story)
    assert story.seen == ["PENDING", "CONFIRMED"]
    assert PENDS_S <= story.pended_s < NOTICED_S
    assert story.log.index("CHARGE PENDING") < first_end(story)
    if stack.gateway:
        assert told(story)["WEBHOOK PENDING"] == told(story)["WEBHOOK SUCCEEDED"] == 1


async def pends_and_fails(stack: ScenarioStack, story: Story) -> None:
    await has_failed(stack, story, "CARD_DECLINED")
    assert story.seen == ["PENDING", "FAILED"]
    settled = story.payment.processed_at.ToDatetime() - story.payment.created_at.ToDatetime()
    assert PENDS_S <= settled.total_seconds() < NOTICED_S
    if stack.gateway:
        assert told(story)["WEBHOOK PENDING"] == told(story)["WEBHOOK DECLINED"] == 1


async def answer_is_lost(stack: ScenarioStack, story: Story) -> None:
    await is_confirmed(stack, story)
    await stack.says(story, "CHARGE UNKNOWN")
    assert told(story)["WEBHOOK SUCCEEDED"] == bool(stack.gateway)
    if not stack.gateway:
        # Without being told, it is by asking that one knows.
        assert story.log.index("CHARGE UNKNOWN") < first_end(story)


async def second_try_succeeds(stack: ScenarioStack, story: Story) -> None:
    await is_confirmed(stack, story)
    await stack.says(story, "CHARGE SUCCEEDED")
    assert told(story)[ASKED] == 2
    charged = [one for one in story.log if one.startswith("CHARGE") and one != ASKED]
    assert charged == ["CHARGE UNKNOWN", "CHARGE SUCCEEDED"]
    assert "LOOKUP SUCCEEDED" not in story.log
    assert told(story)["WEBHOOK SUCCEEDED"] == bool(stack.gateway)


async def hangs(stack: ScenarioStack, story: Story) -> None:
    await is_confirmed(stack, story)
    assert story.seen == ["PENDING", "CONFIRMED"]
    await stack.says(story, "CHARGE UNKNOWN")
    assert "CHARGE SUCCEEDED" not in story.log
    teller = "WEBHOOK SUCCEEDED" if stack.gateway else "LOOKUP SUCCEEDED"
    assert story.log[first_end(story)] == teller
    assert story.pended_s < NOTICED_S
    if stack.gateway:
        # Who is told does not wait for an answer.
        silence = story.payment.log[story.log.index("CHARGE UNKNOWN")].happened_at
        assert story.booking.confirmed_at.ToDatetime() < silence.ToDatetime()


async def webhook_comes_thrice(stack: ScenarioStack, story: Story) -> None:
    await pends_and_succeeds(stack, story)
    came = Counter(one.webhook_id for one in stack.webhooks_of(story))
    assert sorted(came.values()) == ([1, 3] if stack.gateway else [])


async def webhook_comes_late(stack: ScenarioStack, story: Story) -> None:
    await pends_and_succeeds(stack, story)
    assert story.log[first_end(story)] in ("LOOKUP SUCCEEDED", "CHARGE SUCCEEDED")
    if stack.gateway:
        last = story.payment.log[-1]
        assert story.log[-1] == "WEBHOOK SUCCEEDED"
        assert last.happened_at.ToDatetime() > story.booking.confirmed_at.ToDatetime()
        assert last.status == payment_pb2.Payment.SUCCESS


async def webhooks_overtake(stack: ScenarioStack, story: Story) -> None:
    await pends_and_succeeds(stack, story)
    if stack.gateway:
        last = story.payment.log[-1]
        assert story.log[-1] == "WEBHOOK PENDING"
        assert story.log.index("WEBHOOK SUCCEEDED") < len(story.log) - 1
        assert last.status == payment_pb2.Payment.SUCCESS


async def webhook_comes_first(stack: ScenarioStack, story: Story) -> None:
    await is_confirmed(stack, story)
    await stack.says(story, "CHARGE SUCCEEDED")
    if stack.gateway:
        assert story.log == [ASKED, "WEBHOOK SUCCEEDED", "CHARGE SUCCEEDED"]
    else:
        assert story.log == [ASKED, "CHARGE SUCCEEDED"]


async def first_refund_fails(stack: ScenarioStack, story: Story) -> None:
    await succeeds(stack, story)
    await stack.cancel(story)
    assert story.seen[-3:] == ["CONFIRMED", "CANCELLING", "CANCELLED"]
    await finish(stack, story)
    assert story.said_of_refund(0) == {"ASKED", "PENDING", "DECLINED"}
    await is_given_back(stack, story)


async def refund_comes_back(stack: ScenarioStack, story: Story) -> None:
    await succeeds(stack, story)
    await stack.cancel(story)
    assert story.seen[-1] == "CANCELLED"

    async def is_made_again() -> bool:
        return len(await refunds_of(stack, story)) > 1

    await until(is_made_again)
    await finish(stack, story)
    assert story.said_of_refund(0) == {"ASKED", "SUCCEEDED", "DECLINED"}
    assert told(story)["WEBHOOK DECLINED"] == 1
    await is_given_back(stack, story)
    booking = await story.buyer.get(story.booking.booking_id)
    assert booking.status == booking_pb2.Booking.CANCELLED


async def is_given_back(stack: ScenarioStack, story: Story) -> None:
    """Taken once and given back once, by the second refund."""
    assert payment_status(story) == "REFUNDED"
    assert story.refunds == ["FAILED", "REFUNDED"]
    assert story.said_of_refund(1) == {"ASKED", "SUCCEEDED"}
    assert await stack.seats_of(story) == {"AVAILABLE"}
    books = await stack.books_of(story)
    assert [one["state"] for one in books["charges"]] == ["SUCCEEDED"]
    first, second = books["refunds"]
    assert (first["state"], first["decline_code"]) == ("FAILED", "EXPIRED_CARD")
    assert (second["state"], second["amount_minor"]) == ("SUCCEEDED", TOTAL_MINOR)


ENDS: dict[str, Callable[[ScenarioStack, Story], Awaitable[None]]] = {
    "success": succeeds,
    "insufficient-funds": is_declined("INSUFFICIENT_FUNDS"),
    "card-declined": is_declined("CARD_DECLINED"),
    "expired-card": is_declined("EXPIRED_CARD"),
    "pending-then-success": pends_and_succeeds,
    "pending-then-failure": pends_and_fails,
    "lost-answer": answer_is_lost,
    "lost-charge": second_try_succeeds,
    "server-error": second_try_succeeds,
    "hang": hangs,
    "duplicate-webhook": webhook_comes_thrice,
    "late-webhook": webhook_comes_late,
    "webhooks-out-of-order": webhooks_overtake,
    "webhook-before-answer": webhook_comes_first,
    "refund-fails": first_refund_fails,
    "refund-fails-late": refund_comes_back,
}
ONLY_TOLD = "refund-fails-late"


def test_every_row_has_its_end() -> None:
    """The table and what is known here of its rows have the same names."""
    assert set(ENDS) == set(NAMED)


@on_sqlite
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
async def test_it_ends_as_the_table_says(
    databases: Databases, gateway: WebhookGateway, scenario: Scenario
) -> None:
    """A booking ends as its card's row promises, and with its token alike; no audit objects."""
    async with scenario_stack(databases, gateway) as stack:
        await together(plays(stack, scenario, means) for means in (CARD, TOKEN))
        assert {one.status for one in gateway.forwarded} == {200}
        assert len((await stack.books())["charges"]) == 2
        assert await stack.audited() == []


@on_sqlite
@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS if one.name != ONLY_TOLD], ids=lambda one: one.name
)
async def test_it_ends_so_without_webhooks(databases: Databases, scenario: Scenario) -> None:
    """Without webhooks a booking ends the same: what is open is asked about."""
    async with scenario_stack(databases, None) as stack:
        await together(plays(stack, scenario, means) for means in (CARD, TOKEN))
        books = await stack.books()
        assert (len(books["charges"]), books["webhooks"]) == (2, [])
        assert await stack.audited() == []


@on_sqlite
async def test_what_only_a_webhook_tells(databases: Databases) -> None:
    """A refund that came back and is told of by nobody stays unknown, and the auditor names it."""
    async with scenario_stack(databases, None) as stack:
        story = await stack.book(NAMED[ONLY_TOLD], CARD)
        await stack.cancel(story)
        assert story.seen[-1] == "CANCELLED"
        story.payment = await stack.full(story.booking.payment_id)
        comes_back_at = (await stack.books_of(story))["refunds"][0]["settles_at"]

        async def is_back() -> bool:
            return str(stack.clock.now()) > comes_back_at

        early = await stack.audited()
        # A busy machine may take as long to look.
        assert early == [] or await is_back()
        await until(is_back)
        (refund,) = story.payment.refunds
        found = await stack.audited()
        assert {one.split()[0] for one in found} == {"RETURN_NOT_AT_PROVIDER", "PROVIDER_NOT_DUE"}
        assert any(refund.refund_id in one for one in found)


@on_sqlite
@pytest.mark.parametrize("teller", ["LOOKUP", "WEBHOOK"])
async def test_each_way_alone(databases: Databases, gateway: WebhookGateway, teller: str) -> None:
    """Asked for once and never again, an open payment ends by a webhook, or by the reconciler."""
    ends = {
        "pending-then-success": ("SUCCESS", "SUCCEEDED"),
        "pending-then-failure": ("FAILED", "DECLINED"),
        "lost-answer": ("SUCCESS", "SUCCEEDED"),
        "hang": ("SUCCESS", "SUCCEEDED"),
        "duplicate-webhook": ("SUCCESS", "SUCCEEDED"),
        "late-webhook": ("SUCCESS", "SUCCEEDED"),
        "webhooks-out-of-order": ("SUCCESS", "SUCCEEDED"),
    }
    by_webhook = teller == "WEBHOOK"
    told_by = gateway if by_webhook else None
    asks = {"reconcile_interval_s": NEVER_S} if by_webhook else {}
    async with scenario_stack(databases, told_by, **asks) as stack:

        async def ends_by_it(name: str) -> None:
            payment_id = await stack.pay(NAMED[name])

            async def is_over() -> bool:
                return await stack.listed(payment_id) != "PENDING"

            await until(is_over)
            status, said = ends[name]
            assert await stack.listed(payment_id) == status
            log = log_of(await stack.full(payment_id))
            deciding = [one for one in log if one.endswith(("SUCCEEDED", "DECLINED"))]
            assert deciding[0] == f"{teller} {said}"
            assert log.count(ASKED) == 1

        await together(map(ends_by_it, ends))


async def together(all_of_them: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of these at once; when one fails, the others do not outlive the test."""
    async with asyncio.TaskGroup() as group:
        for one in all_of_them:
            group.create_task(one)


async def plays(stack: ScenarioStack, scenario: Scenario, means: str) -> None:
    """One booking to its end, looked at when nothing more is to be told."""
    story = await stack.book(scenario, means)
    await finish(stack, story)
    await ENDS[scenario.name](stack, story)
    ahead = iter(story.seen)
    assert all(one in ahead for one in promised(scenario)), (scenario.outcome, story.seen)
    assert promised(scenario)[-1] == story.seen[-1]


async def finish(stack: ScenarioStack, story: Story) -> None:
    """Wait until all is told, and read the payment."""
    if stack.gateway:
        await stack.told()
    story.payment = await stack.full(story.booking.payment_id)


async def refunds_of(stack: ScenarioStack, story: Story) -> list[str]:
    return [one["state"] for one in (await stack.books_of(story))["refunds"]]


def payment_status(story: Story) -> str:
    return payment_pb2.Payment.Status.Name(story.payment.status)


def told(story: Story) -> Counter[str]:
    """How often the log says what."""
    return Counter(story.log)


def webhooks(stack: ScenarioStack, outcome: str) -> list[str]:
    return [f"WEBHOOK {outcome}"] if stack.gateway else []


def first_end(story: Story) -> int:
    """Where in the log it is first said what became of the charge."""
    ends = ("SUCCEEDED", "DECLINED")
    return next(at for at, one in enumerate(story.log) if one.endswith(ends))
