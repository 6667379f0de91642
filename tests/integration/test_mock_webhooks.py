"""The mock provider's webhooks over real HTTP, from its books on SQLite and on MariaDB."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, NoReturn

import pytest
from sqlalchemy import select, text
from standardwebhooks import Webhook
from support.bookings import on_sqlite
from support.clock import ManualClock
from support.databases import Databases
from support.receiver import ENDLESS, HANG, Delivery, Receiver, receiving

from chassis.bell import Bell
from chassis.cards import Token
from chassis.worker import Worker
from payment_svc.domain.outcome import Declined, NotDone, Notice, Outcome, Pending, Succeeded
from payment_svc.ports import Charge, Return
from payment_svc.providers import mock_books, mock_webhooks
from payment_svc.providers.mock import MockBehaviour, MockProvider
from payment_svc.providers.mock_books import Account, RefundEntry
from payment_svc.providers.mock_ledger import MockLedger, provider_webhooks
from payment_svc.providers.mock_notices import JITTER, LEASE_S, RETRIES_AFTER_S, leased
from payment_svc.providers.mock_webhooks import MockWebhooks

SECRET, OTHER = (f"whsec_{base64.b64encode(32 * one).decode()}" for one in (b"s", b"o"))
AT_ONCE = MockBehaviour(success_rate=1, delay_min_s=0, delay_max_s=0)
WAIT_S = 20.0


@dataclass
class Replica:
    """One process of the provider, as far as it tells."""

    clock: ManualClock
    ledger: MockLedger
    webhooks: MockWebhooks
    provider: MockProvider
    bell: Bell = field(default_factory=Bell)

    async def pay(self, scenario: str = "success", reference: str = "pay_1") -> Outcome:
        return await self.provider.charge(self.charge(reference), token(scenario))

    def charge(self, reference: str = "pay_1") -> Charge:
        return Charge(reference, 15000, "USD", self.clock.now())

    def notice(self, delivery: Delivery) -> Notice | None:
        return self.provider.read_webhook(delivery.headers, delivery.body)

    async def deliver(self) -> None:
        """Deliver until nothing is due, and wait for what is under way."""
        while await self.webhooks.run_once():
            pass
        if under_way := tuple(self.webhooks._under_way):
            await asyncio.wait(under_way, timeout=WAIT_S)

    async def rows(self) -> dict[str, Any]:
        """The webhooks in the books, by type."""

        async def unit(connection: Any) -> Any:
            return (await connection.execute(select(provider_webhooks))).mappings().all()

        return {
            json.loads(one["body"])["type"]: one for one in await self.ledger._database.read(unit)
        }


class NoRoomError(Exception):
    """Stands for whatever keeps a webhook from being stored."""


class Stack:
    """Replicas over one set of books, which tell one receiver."""

    def __init__(
        self, databases: Databases, url: str, clock: ManualClock, receiver: Receiver
    ) -> None:
        self.clock, self.receiver = clock, receiver
        self._databases, self._url = databases, url
        self.replicas: list[Replica] = []

    async def replica(self) -> Replica:
        ledger = MockLedger(self._databases.open(self._url))
        await ledger.create()
        bell = Bell()
        webhooks = MockWebhooks(self.receiver.url, SECRET, self.clock, ledger, Random(1))
        provider = MockProvider(AT_ONCE, self.clock, ledger, (SECRET, OTHER), bell)
        made = Replica(self.clock, ledger, webhooks, provider, bell)
        self.replicas.append(made)
        return made


def token(scenario: str) -> Token:
    return Token("", f"pm_mock_{scenario.replace('-', '_')}")


def types(deliveries: list[Delivery]) -> list[str]:
    return [json.loads(one.body)["type"] for one in deliveries]


@pytest.fixture
def clock() -> ManualClock:
    # The library that verifies has no other clock than the machine's.
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def stack(databases: Databases, clock: ManualClock) -> AsyncIterator[Stack]:
    async with receiving() as receiver:
        made = Stack(databases, await databases.empty(), clock, receiver)
        yield made
        for one in made.replicas:
            await one.webhooks.close()


@pytest.fixture
async def mock(stack: Stack) -> Replica:
    return await stack.replica()


@asynccontextmanager
async def working(replica: Replica) -> AsyncIterator[None]:
    """The replica's worker runs, and rests unless its bell is rung."""
    worker = Worker("mock webhooks", replica.webhooks.run_once, 3600, replica.bell)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_is_signed_by_the_standard(stack: Stack, mock: Replica) -> None:
    """What is delivered passes the library of Standard Webhooks, and says what was answered."""
    taken = await mock.pay()
    await mock.deliver()
    (delivery,) = stack.receiver.deliveries
    told = Webhook(SECRET).verify(delivery.body, dict(delivery.headers))
    assert told["type"] == "charge.succeeded"
    assert delivery.headers["content-type"] == "application/json"
    assert mock.notice(delivery) == Notice(delivery.webhook_id, "pay_1", taken)
    row = (await mock.rows())["charge.succeeded"]
    assert (row["due_at"], row["attempts"], row["delivered_at"]) == (None, 0, mock.clock.now())


@pytest.mark.parametrize("status", [500, 301, 307, 404, 410, 429])
async def test_anything_but_2xx_is_tried_again(stack: Stack, mock: Replica, status: int) -> None:
    """Only 2xx is a success; the next attempt has the id and the body, and is signed anew."""
    stack.receiver.answers.extend([status, 204])
    await mock.pay()
    await mock.deliver()
    assert len(stack.receiver.deliveries) == 1
    mock.clock.move(4.9)
    await mock.deliver()
    assert len(stack.receiver.deliveries) == 1
    mock.clock.move(0.1 + 5 * JITTER)
    await mock.deliver()
    first, second = stack.receiver.deliveries
    assert (first.webhook_id, first.body, first.path) == (
        second.webhook_id,
        second.body,
        "/webhooks",
    )
    assert second.path == first.path
    assert int(second.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    assert second.headers["webhook-signature"] != first.headers["webhook-signature"]
    Webhook(SECRET).verify(second.body, dict(second.headers))
    assert (await mock.rows())["charge.succeeded"]["delivered_at"] == mock.clock.now()


@on_sqlite
async def test_a_receiver_that_is_down_is_given_up(stack: Stack, mock: Replica) -> None:
    """A receiver that stays down is tried ten times in some 76 hours; one that returns is told."""
    await stack.receiver.stop()
    for reference in ("pay_1", "pay_2"):
        await mock.pay(reference=reference)
    for attempt, pause_s in enumerate(RETRIES_AFTER_S, start=1):
        await mock.deliver()
        assert (await mock.rows())["charge.succeeded"]["attempts"] == attempt
        if attempt == len(RETRIES_AFTER_S):
            break
        mock.clock.move(pause_s * (1 + JITTER))
    mock.clock.move(RETRIES_AFTER_S[-1] * (1 + JITTER))
    await mock.deliver()
    row = (await mock.rows())["charge.succeeded"]
    assert (row["attempts"], row["due_at"], row["delivered_at"]) == (10, None, None)
    await mock.pay(reference="pay_3")
    await mock.deliver()
    await stack.receiver.start()
    mock.clock.move(6)
    await mock.deliver()
    assert len(stack.receiver.deliveries) == 1
    notice = mock.notice(stack.receiver.deliveries[0])
    assert notice
    assert notice.reference == "pay_3"


async def test_who_hangs_holds_up_nobody(
    stack: Stack, mock: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a receiver does not answer to one webhook, others are delivered; it is tried again."""
    for name, value in (("PATIENCE_S", 0.05), ("TIMEOUT_S", 3600)):
        monkeypatch.setattr(mock_webhooks, name, value)
    stack.receiver.answers.append(HANG)
    await mock.pay(reference="pay_1")
    async with asyncio.timeout(WAIT_S):
        assert await mock.webhooks.run_once()
    await stack.receiver.came(1)
    await mock.pay(reference="pay_2")
    assert await mock.webhooks.run_once()
    assert len(await stack.receiver.came(2)) == 2
    # Nothing more is due while the first is under way, however often one looks.
    assert not await mock.webhooks.run_once()
    await mock.webhooks.close()
    again = await stack.replica()
    mock.clock.move(LEASE_S)
    await again.deliver()
    assert [one.webhook_id for one in stack.receiver.deliveries].count(
        stack.receiver.deliveries[0].webhook_id
    ) == 2


@on_sqlite
async def test_a_hanging_receiver_has_failed(
    stack: Stack, mock: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that is not answered in time has failed, and has its place in the schedule."""
    monkeypatch.setattr(mock_webhooks, "TIMEOUT_S", 0.1)
    stack.receiver.answers.append(HANG)
    await mock.pay()
    await mock.deliver()
    row = (await mock.rows())["charge.succeeded"]
    assert row["attempts"] == 1
    assert 5 <= (row["due_at"] - mock.clock.now()).total_seconds() <= 5 * (1 + JITTER)


@on_sqlite
async def test_all_places_can_be_taken(
    stack: Stack, mock: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every place taken by who hangs, a round waits for one of them, and then goes on."""
    for name, value in (("AT_ONCE", 2), ("PATIENCE_S", 0.01), ("TIMEOUT_S", 0.3)):
        monkeypatch.setattr(mock_webhooks, name, value)
    stack.receiver.answers.extend([HANG, HANG])
    for one in range(5):
        await mock.pay(reference=f"pay_{one}")
    await mock.deliver()
    assert len(stack.receiver.deliveries) == 5
    mock.clock.move(6)
    await mock.deliver()
    assert len({one.webhook_id for one in stack.receiver.deliveries}) == 5
    assert len(stack.receiver.deliveries) == 7


@on_sqlite
async def test_an_endless_answer_is_not_read(stack: Stack, mock: Replica) -> None:
    """Of an answer only its status counts, however long the rest of it takes."""
    stack.receiver.answers.append(ENDLESS)
    await mock.pay()
    await mock.deliver()
    assert (await mock.rows())["charge.succeeded"]["delivered_at"] == mock.clock.now()


async def test_replicas_share_the_work(stack: Stack, mock: Replica) -> None:
    """Of several replicas that deliver at once, each webhook is delivered by one."""
    replicas = [mock, *[await stack.replica() for _ in range(2)]]
    for one in range(20):
        await mock.pay(reference=f"pay_{one}")
    await asyncio.gather(*(one.deliver() for one in replicas))
    assert len(stack.receiver.deliveries) == 20
    assert len({one.webhook_id for one in stack.receiver.deliveries}) == 20


async def test_what_a_dead_replica_had_begun(stack: Stack, mock: Replica) -> None:
    """What a replica had begun when it died is delivered by another when its lease is over."""
    await mock.pay()
    (entry,) = await mock.ledger.due_webhooks(mock.clock.now(), 10)
    assert await mock.ledger.change_webhook(entry, leased(entry, mock.clock.now()))
    other = await stack.replica()
    mock.clock.move(LEASE_S - 0.001)
    await other.deliver()
    assert stack.receiver.deliveries == []
    mock.clock.move(0.001)
    await other.deliver()
    assert len(stack.receiver.deliveries) == 1


async def test_who_was_overtaken_writes_nothing(mock: Replica) -> None:
    """Of two that begin the same attempt, one has it; the other changes nothing."""
    await mock.pay()
    (entry,) = await mock.ledger.due_webhooks(mock.clock.now(), 10)
    mine = leased(entry, mock.clock.now())
    assert await mock.ledger.change_webhook(entry, mine)
    assert not await mock.ledger.change_webhook(entry, mine)


async def test_it_survives_a_restart(stack: Stack, mock: Replica) -> None:
    """What was to be told is told after a restart, when it is due."""
    assert await mock.pay("pending-then-success") == Pending()
    await mock.webhooks.close()
    again = await stack.replica()
    await again.deliver()
    assert types(stack.receiver.deliveries) == ["charge.pending"]
    mock.clock.move(3)
    await again.deliver()
    assert types(stack.receiver.deliveries) == ["charge.pending", "charge.succeeded"]
    taken = await again.provider.lookup(again.charge())
    notices = [again.notice(one) for one in stack.receiver.deliveries]
    assert [one and one.outcome for one in notices] == [Pending(), taken]


@pytest.mark.parametrize(
    ("scenario", "arrivals"),
    [
        ("pending-then-failure", {0: ["charge.pending"], 3: ["charge.declined"]}),
        ("duplicate-webhook", {0: ["charge.pending"], 3: ["charge.succeeded"] * 3}),
        ("late-webhook", {0: ["charge.pending"], 3: [], 12: [], 13: ["charge.succeeded"]}),
        ("webhooks-out-of-order", {0: [], 3: ["charge.succeeded"], 5: ["charge.pending"]}),
        ("lost-answer", {0: ["charge.succeeded"], 60: []}),
        ("server-error", {0: [], 60: []}),
    ],
)
@on_sqlite
async def test_scenarios_arrive_as_promised(
    stack: Stack, mock: Replica, scenario: str, arrivals: dict[int, list[str]]
) -> None:
    """What each scenario tells arrives when it should, in its order, as often as it should."""
    await mock.pay(scenario)
    start = mock.clock.now()
    for second, expected in arrivals.items():
        mock.clock.move(second - (mock.clock.now() - start).total_seconds())
        before = len(stack.receiver.deliveries)
        await mock.deliver()
        new = stack.receiver.deliveries[before:]
        assert types(new) == expected
        assert len({(one.webhook_id, one.body) for one in new}) <= 1


async def test_a_refund_that_comes_back_is_told(stack: Stack, mock: Replica) -> None:
    """A refund that succeeded and fails later is told twice: as it was, and as it is."""
    taken = await mock.pay("refund-fails-late")
    assert isinstance(taken, Succeeded)
    order = Return("ref_1", taken.transaction_id, 15000, "USD", mock.clock.now())
    given = await mock.provider.refund(order)
    await mock.deliver()
    mock.clock.move(3)
    await mock.deliver()
    notices = [mock.notice(one) for one in stack.receiver.deliveries]
    told = [one.outcome for one in notices if one and one.reference == "ref_1"]
    assert told == [given, await mock.provider.refund(order)]
    assert isinstance(told[1], Declined)


async def test_what_is_called_off_is_not_told(stack: Stack, mock: Replica) -> None:
    """A charge that is voided while it is pending is told no more of."""
    await mock.pay("pending-then-success")
    await mock.deliver()
    assert await mock.provider.void(mock.charge()) == NotDone()
    mock.clock.move(60)
    await mock.deliver()
    assert types(stack.receiver.deliveries) == ["charge.pending"]


async def test_a_lost_charge_is_told_when_it_comes(stack: Stack, mock: Replica) -> None:
    """A charge that got lost is told of when it comes again, and not before."""
    await mock.pay("lost-charge")
    await mock.deliver()
    assert stack.receiver.deliveries == []
    await mock.pay("lost-charge")
    await mock.deliver()
    assert types(stack.receiver.deliveries) == ["charge.succeeded"]


async def test_a_hanging_charge_is_told(stack: Stack, mock: Replica) -> None:
    """A charge that is never answered is told by its webhook."""
    async with working(mock):
        charge = asyncio.create_task(mock.pay("hang"))
        (delivery,) = await stack.receiver.came(1)
        notice = mock.notice(delivery)
        assert notice
        assert notice.outcome == await mock.provider.lookup(mock.charge())
        assert not charge.done()
        charge.cancel()


async def test_the_bell_is_heard(stack: Stack, mock: Replica) -> None:
    """What is due at once is delivered at once, also by a worker that would rest for an hour."""
    async with working(mock):
        await mock.pay()
        await stack.receiver.came(1)


@on_sqlite
async def test_the_webhook_comes_first(stack: Stack, mock: Replica) -> None:
    """A charge is answered after its webhook was delivered, and not when nobody takes it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mock.clock, "sleep", asyncio.sleep)
        async with working(mock):
            await mock.pay("webhook-before-answer")
            assert types(stack.receiver.deliveries) == ["charge.succeeded"]
    stack.receiver.answers.append(500)
    before = mock.clock.now()
    assert isinstance(await mock.pay("webhook-before-answer", "pay_2"), Succeeded)
    assert (mock.clock.now() - before).total_seconds() == pytest.approx(5)


async def test_it_is_stored_with_its_change_or_not(mock: Replica) -> None:
    """A charge or a refund whose webhook cannot be stored is not stored either."""

    def tell(*_: object) -> NoReturn:
        raise NoRoomError

    now = mock.clock.now()
    with pytest.raises(NoRoomError):
        await mock.ledger.add_charge(mock_books.voided_before("pay_1", now), tell)
    taken = await mock.pay()
    assert isinstance(taken, Succeeded)
    order = Return("ref_1", taken.transaction_id, 15000, "USD", now)

    def decide(account: Account) -> RefundEntry:
        return mock_books.refunded(account, order, "txn_1", now)

    with pytest.raises(NoRoomError):
        await mock.ledger.give_back(order, decide, tell)
    other = replace(order, reference="ref_2")
    assert isinstance(await mock.provider.refund(other), Succeeded)


async def test_no_card_is_in_the_books(mock: Replica) -> None:
    """What is stored of charges and webhooks names the scenario, and no card."""
    for scenario in ("success", "webhooks-out-of-order", "refund-fails"):
        await mock.pay(scenario, scenario)
    rows = await mock.ledger._database.read(
        lambda connection: connection.execute(text("SELECT * FROM provider_charges"))
    )
    assert {row.scenario for row in rows} == {"success", "webhooks-out-of-order", "refund-fails"}
    assert "4242" not in repr(await mock.rows())
