"""The mock provider's scenarios: what each card and its token do, to whoever asks."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from support.clock import START, ManualClock
from support.payments import MemoryBooks

from chassis.bell import Bell
from chassis.cards import Card, Method, Token, passes_luhn
from chassis.errors import InvalidField
from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from payment_svc.ports import Charge, Return
from payment_svc.providers.mock import DELIVERY_WAIT_S, MockBehaviour, MockProvider
from payment_svc.providers.mock_scenarios import SCENARIOS

# What is promised, once more and by hand: a name, a card, and what the first call answers.
PROMISED: dict[str, tuple[str, Outcome | type]] = {
    "success": ("4242424242424242", Succeeded),
    "insufficient-funds": ("4000000000009995", Declined(DeclineCode.INSUFFICIENT_FUNDS)),
    "card-declined": ("4000000000000002", Declined(DeclineCode.CARD_DECLINED)),
    "expired-card": ("4000000000000069", Declined(DeclineCode.EXPIRED_CARD)),
    "pending-then-success": ("4000000000003188", Pending()),
    "pending-then-failure": ("4000000000003196", Pending()),
    "lost-answer": ("4000000000003204", Unknown),
    "lost-charge": ("4000000000003212", Unknown),
    "server-error": ("4000000000003220", Unknown),
    "hang": ("4000000000003238", TimeoutError),
    "duplicate-webhook": ("4000000000003246", Pending()),
    "late-webhook": ("4000000000003253", Pending()),
    "webhooks-out-of-order": ("4000000000003261", Pending()),
    "webhook-before-answer": ("4000000000003279", Succeeded),
    "refund-fails": ("4000000000003287", Succeeded),
    "refund-fails-late": ("4000000000003295", Succeeded),
}
ENDS_WELL = [name for name in PROMISED if PROMISED[name][1] == Pending() and "failure" not in name]
TAKES_AT_ONCE = ["success", "webhook-before-answer", "refund-fails", "refund-fails-late"]
THE_CHARGE = Charge("pay_1", 15000, "USD", START)
# Of the event loop, which no answer needs: no time goes by here.
TURNS = 1000


def mock(clock: ManualClock, rate: float = 0.5, books: MemoryBooks | None = None) -> MockProvider:
    return MockProvider(MockBehaviour(rate, 0, 0), clock, books or MemoryBooks(), bell=Bell())


def card(name: str) -> Card:
    return Card("CREDIT_CARD", PROMISED[name][0], 12, 2030, "123")


def token(name: str) -> Token:
    return Token("", f"pm_mock_{name.replace('-', '_')}")


async def pay(provider: MockProvider, method: Method, reference: str = "pay_1") -> Outcome | type:
    """What the provider answers; `TimeoutError` if it does not."""
    charge = asyncio.ensure_future(provider.charge(Charge(reference, 15000, "USD", START), method))
    for _ in range(TURNS):
        await asyncio.sleep(0)
        if charge.done():
            return charge.result()
    charge.cancel()
    return TimeoutError


def back(taken: Outcome | type, reference: str, amount_minor: int = 15000) -> Return:
    assert isinstance(taken, Succeeded)
    return Return(reference, taken.transaction_id, amount_minor, "USD", START)


def told(books: MemoryBooks) -> list[tuple[str, float, int]]:
    """What is told: its type, seconds after the start at which it is due, and how often."""
    due = sorted(books.webhooks.values(), key=lambda one: (one.due_at or START, one.webhook_id))
    return [
        (
            json.loads(one.body)["type"],
            ((one.due_at or START) - START).total_seconds(),
            one.copies_left,
        )
        for one in due
    ]


def test_the_table_is_whole(clock: ManualClock) -> None:
    """Every scenario that is promised is there under its name, card and token, and no other."""
    cards = {one.name: (one.number, one.token) for one in mock(clock).known_cards()}
    assert cards == {name: (card(name).number, token(name).token) for name in PROMISED}
    assert all(passes_luhn(one.number) for one in SCENARIOS)
    assert all(one.description and one.outcome for one in SCENARIOS)


@pytest.mark.parametrize("rate", [0.0, 1.0])
@pytest.mark.parametrize("name", PROMISED)
async def test_a_scenario_does_not_depend_on_chance(
    clock: ManualClock, name: str, rate: float
) -> None:
    """A card and its token do what is promised for every reference, whatever the success rate."""
    provider, promise = mock(clock, rate), PROMISED[name][1]
    for number in range(3):
        for method in (card(name), token(name)):
            said = await pay(provider, method, f"pay_{number}_{type(method).__name__}")
            if isinstance(promise, type):
                assert said is promise or isinstance(said, promise)
            else:
                assert said == promise


@pytest.mark.parametrize("name", ["pm_mock_succes", "pm_card_visa", "pm_mock_refund-fails", "x"])
def test_an_unknown_token_is_refused(clock: ManualClock, name: str) -> None:
    """A token of no scenario is refused by the name of its field, before anything is stored."""
    with pytest.raises(InvalidField) as caught:
        mock(clock).check(THE_CHARGE, Token("", name))
    ((field, text),) = caught.value.violations
    assert field == "payment_method.token"
    assert "holdfast cards" in text
    assert name not in caught.value.message.split()


@pytest.mark.parametrize("name", [*ENDS_WELL, "pending-then-failure"])
@pytest.mark.parametrize("ask", ["charge", "lookup"])
async def test_some_take_their_time(clock: ManualClock, name: str, ask: str) -> None:
    """A charge is PENDING for three seconds, to whoever asks, and then final for ever."""
    provider = mock(clock)

    async def said() -> Outcome | type:
        charge = pay(provider, card(name))
        return await (charge if ask == "charge" else provider.lookup(THE_CHARGE))

    assert await pay(provider, card(name)) == Pending()
    clock.move(2.999999)
    assert await provider.lookup(THE_CHARGE) == Pending()
    clock.move(0.000001)
    final = await provider.charge(THE_CHARGE, card(name))
    assert isinstance(final, Succeeded if name in ENDS_WELL else Declined)
    clock.move(3600)
    assert await provider.lookup(THE_CHARGE) == final


async def test_a_pending_charge_is_called_off(clock: ManualClock) -> None:
    """A charge that is pending is voided before its time is over, and not afterwards."""
    books = MemoryBooks()
    provider, method = mock(clock, books=books), card("pending-then-success")
    later = Charge("pay_2", 15000, "USD", START)
    for one in (THE_CHARGE, later):
        await provider.charge(one, method)
    assert await provider.void(THE_CHARGE) == NotDone()
    clock.move(3)
    assert await provider.lookup(THE_CHARGE) == NotDone()
    assert isinstance(await provider.void(later), Succeeded)
    # What was called off is told no more of.
    assert {one.reference for one in books.webhooks.values()} == {"pay_2"}


@pytest.mark.parametrize("name", ["lost-answer", "hang"])
async def test_the_money_is_taken_without_an_answer(clock: ManualClock, name: str) -> None:
    """A charge without an answer is taken: a lookup says so, and a void comes too late."""
    provider = mock(clock)
    assert not isinstance(await pay(provider, card(name)), Succeeded)
    taken = await provider.lookup(THE_CHARGE)
    assert isinstance(taken, Succeeded)
    assert await provider.void(THE_CHARGE) == taken


async def test_a_repeat_finds_the_lost_answer(clock: ManualClock) -> None:
    """A charge whose answer is lost is the same charge when it is asked for again."""
    provider = mock(clock)
    await pay(provider, card("lost-answer"))
    assert await pay(provider, card("lost-answer")) == await provider.lookup(THE_CHARGE)


async def test_a_hanging_charge_hangs_again(clock: ManualClock) -> None:
    """A charge that hangs is not answered when it is asked for again, unless it was voided."""
    provider = mock(clock)
    for _ in range(2):
        assert await pay(provider, card("hang")) is TimeoutError
    await provider.void(Charge("pay_2", 15000, "USD", START))
    assert await pay(provider, card("hang"), "pay_2") == NotDone()


@pytest.mark.parametrize("name", ["lost-charge", "server-error"])
async def test_nothing_is_done_at_first(clock: ManualClock, name: str) -> None:
    """A charge that is lost, or met an error, is not taken until it comes again; then it is."""
    provider, again = mock(clock), Charge("pay_2", 15000, "USD", START)
    for one in (THE_CHARGE, again):
        assert isinstance(await pay(provider, card(name), one.reference), Unknown)
        assert await provider.lookup(one) == NotDone()
    assert await provider.void(again) == NotDone()
    assert isinstance(await pay(provider, card(name)), Succeeded)
    assert await pay(provider, card(name), "pay_2") == NotDone()


async def test_a_refund_fails(clock: ManualClock) -> None:
    """The first refund is PENDING for 3 s and then DECLINED for ever; the next one succeeds."""
    provider = mock(clock)
    taken = await pay(provider, card("refund-fails"))
    first = back(taken, "ref_1")
    assert await provider.refund(first) == Pending()
    clock.move(2.999999)
    assert await provider.refund(first) == Pending()
    clock.move(0.000001)
    for _ in range(2):
        assert await provider.refund(first) == Declined(DeclineCode.EXPIRED_CARD)
        assert isinstance(await provider.refund(back(taken, "ref_2")), Succeeded)


async def test_a_refund_fails_late(clock: ManualClock) -> None:
    """The first refund is SUCCEEDED for 3 s and then DECLINED for ever; the next one succeeds."""
    provider = mock(clock)
    taken = await pay(provider, card("refund-fails-late"))
    first = back(taken, "ref_1")
    given = await provider.refund(first)
    assert isinstance(given, Succeeded)
    clock.move(2.999999)
    assert await provider.refund(first) == given
    clock.move(0.000001)
    for _ in range(2):
        assert await provider.refund(first) == Declined(DeclineCode.EXPIRED_CARD)
        assert isinstance(await provider.refund(back(taken, "ref_2")), Succeeded)


@pytest.mark.parametrize("name", ["refund-fails", "refund-fails-late"])
async def test_only_the_first_refund_fails(clock: ManualClock, name: str) -> None:
    """Of parts that are given back at once the first fails; one that was refused is not counted."""
    provider = mock(clock)
    taken = await pay(provider, card(name))
    assert isinstance(await provider.refund(back(taken, "ref_0", 15001)), Declined)
    orders = [back(taken, f"ref_{one}", 5000) for one in (1, 2, 3)]
    for _ in range(2):
        for one in orders:
            await provider.refund(one)
    clock.move(3)
    ended = [await provider.refund(one) for one in orders]
    assert [type(one) for one in ended] == [Declined, Succeeded, Succeeded]


async def test_no_more_is_given_back_than_was_taken(clock: ManualClock) -> None:
    """A refund beyond what is left is DECLINED for ever, also when there is enough again."""
    provider = mock(clock)
    taken = await pay(provider, card("refund-fails-late"))
    assert isinstance(await provider.refund(back(taken, "ref_1", 15000)), Succeeded)
    refused = Declined(DeclineCode.INSUFFICIENT_FUNDS)
    assert await provider.refund(back(taken, "ref_2", 1)) == refused
    clock.move(3)
    assert await provider.refund(back(taken, "ref_2", 1)) == refused
    assert isinstance(await provider.refund(back(taken, "ref_3", 15000)), Succeeded)


@pytest.mark.parametrize("name", ["card-declined", "lost-charge", "pending-then-success"])
async def test_nothing_is_given_back_of_nothing(clock: ManualClock, name: str) -> None:
    """A refund of a charge that is not known, or not taken, is DECLINED."""
    books = MemoryBooks()
    provider = mock(clock, books=books)
    await pay(provider, card(name))
    (entry,) = books.charges.values()
    for number, transaction_id in enumerate((entry.transaction_id, "txn_x", "")):
        order = Return(f"ref_{number}", transaction_id, 1, "USD", START)
        assert isinstance(await provider.refund(order), Declined)


OK, NO = "charge.succeeded", "charge.declined"
TOLD: dict[str, Sequence[tuple[str, float, int]]] = {
    **{name: [(OK, 0, 1)] for name in (*TAKES_AT_ONCE, "lost-answer", "hang")},
    **{name: [(NO, 0, 1)] for name in ("insufficient-funds", "card-declined", "expired-card")},
    "lost-charge": [],
    "server-error": [],
    "pending-then-success": [("charge.pending", 0, 1), (OK, 3, 1)],
    "pending-then-failure": [("charge.pending", 0, 1), (NO, 3, 1)],
    "duplicate-webhook": [("charge.pending", 0, 1), (OK, 3, 3)],
    "late-webhook": [("charge.pending", 0, 1), (OK, 13, 1)],
    "webhooks-out-of-order": [(OK, 3, 1), ("charge.pending", 5, 1)],
}


@pytest.mark.parametrize("name", PROMISED)
async def test_what_is_told_and_when(name: str) -> None:
    """Each scenario tells what it does when it is promised, once, however often it is asked."""
    books, clock = MemoryBooks(), ManualClock()
    provider = mock(clock, books=books)
    await pay(provider, card(name))
    at_first = told(books)
    if name == "webhook-before-answer":
        # It has waited for its delivery, and not for ever.
        assert clock.now() == START + timedelta(seconds=DELIVERY_WAIT_S)
    assert at_first == list(TOLD[name])
    await pay(provider, card(name))
    if not TOLD[name]:
        at_first = [(OK, 0, 1)]
    clock.move(60)
    await provider.lookup(THE_CHARGE)
    assert told(books) == at_first
    assert all(card(name).number not in one.body for one in books.webhooks.values())


@pytest.mark.parametrize(
    ("name", "tells"),
    [
        ("success", [("refund.succeeded", 0, 1)]),
        ("refund-fails", [("refund.pending", 0, 1), ("refund.failed", 3, 1)]),
        ("refund-fails-late", [("refund.succeeded", 0, 1), ("refund.failed", 3, 1)]),
    ],
)
async def test_what_is_told_of_refunds(
    clock: ManualClock, name: str, tells: list[tuple[str, float, int]]
) -> None:
    """A refund is told of when it comes and when it fails, and the repeat adds nothing."""
    books = MemoryBooks()
    provider = mock(clock, books=books)
    taken = await pay(provider, card(name))
    books.webhooks.clear()
    for _ in range(2):
        await provider.refund(back(taken, "ref_1"))
    assert told(books) == tells
    assert await provider.refund(back(taken, "ref_2", 15001)) == Declined(
        DeclineCode.INSUFFICIENT_FUNDS
    )
    assert ("refund.failed", 0, 1) in told(books)


async def test_without_a_url_nothing_is_told(clock: ManualClock) -> None:
    """A provider without a bell writes no webhooks, and waits for none."""
    books = MemoryBooks()
    provider = MockProvider(MockBehaviour(1, 0, 0), clock, books)
    for name in ("pending-then-success", "webhook-before-answer", "refund-fails"):
        said = await pay(provider, card(name), name)
    await provider.refund(back(said, "ref_1"))
    assert books.webhooks == {}
    assert clock.now() == START


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
