"""`SqlLedger` keeps what it is given, and the database refuses sums that cannot be."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from support.clock import START
from support.databases import Databases, on_mariadb

from chassis.cards import CardSummary
from chassis.database import DatabaseTransactions
from chassis.transactions import Transactions
from payment_svc.domain.outcome import DeclineCode
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from payment_svc.persistence.repository import SqlLedger
from payment_svc.ports import Lease

Ledgers = Transactions[SqlLedger]
LATER = START + timedelta(microseconds=1)
PAYMENT_CHANGES: dict[str, dict[str, Any]] = {
    "new": {},
    "taken": {
        "status": PaymentStatus.SUCCESS,
        "transaction_id": "txn_1",
        "processed_at": LATER,
        "leased_until": LATER,
    },
    "open": {"next_ask_at": LATER, "asks": 3},
    "cancelled": {"status": PaymentStatus.CANCELLED, "next_ask_at": START},
    "declined": {"status": PaymentStatus.FAILED, "decline_code": DeclineCode.EXPIRED_CARD},
    "partly refunded": {
        "status": PaymentStatus.PARTIALLY_REFUNDED,
        "refunded_minor": 10_000,
        "returned_minor": 5_000,
    },
}


def a_payment(payment_id: str = "pay_2", **changes: Any) -> Payment:
    given: dict[str, Any] = {
        "payment_id": payment_id,
        "booking_reference": "BK-2026-CDFGHJKLMN",
        "user_id": "ann",
        "currency": "USD",
        "amount_minor": 15_000,
        "method": CardSummary("CREDIT_CARD", "visa", "4242"),
        "created_at": START,
        "leased_until": START,
    }
    return Payment(**{**given, **changes})


A_REFUND = Refund("ref_1", "pay_2", 5_000, "USD", "changed my mind ✓", START, START)


@pytest.fixture
async def ledgers(databases: Databases) -> Ledgers:
    return DatabaseTransactions(await databases.fresh("payment_svc"), SqlLedger)


@pytest.mark.parametrize("changes", PAYMENT_CHANGES.values(), ids=PAYMENT_CHANGES)
async def test_a_payment_comes_back_as_it_was_stored(
    ledgers: Ledgers, changes: dict[str, Any]
) -> None:
    """Every field of a payment is stored at once or by a change, and read back the same."""
    changed, other = a_payment(**changes), a_payment("pay_3", **changes)
    await ledgers.write(lambda ledger: ledger.add_payment(a_payment()))
    await ledgers.write(lambda ledger: ledger.add_payment(other))
    await ledgers.write(lambda ledger: ledger.save_payment(changed))
    assert await ledgers.read(lambda ledger: ledger.payment("pay_2")) == changed
    assert await ledgers.write(lambda ledger: ledger.lock_payment("pay_2")) == changed
    assert await ledgers.read(lambda ledger: ledger.payment("pay_3")) == other
    assert await ledgers.read(lambda ledger: ledger.payment("PAY_2")) is None


async def test_a_refund_comes_back_as_it_was_stored(ledgers: Ledgers) -> None:
    """Every field of a refund is stored at once or by a change, and read back the same."""
    changed = replace(
        A_REFUND,
        status=RefundStatus.FAILED,
        finished_at=LATER,
        leased_until=LATER,
        next_ask_at=LATER,
        asks=2,
    )
    await ledgers.write(lambda ledger: ledger.add_payment(a_payment()))
    await ledgers.write(lambda ledger: ledger.add_refund(A_REFUND))
    assert await ledgers.read(lambda ledger: ledger.refund("ref_1")) == A_REFUND
    await ledgers.write(lambda ledger: ledger.save_refund(changed))
    assert await ledgers.read(lambda ledger: ledger.refund("ref_1")) == changed
    assert await ledgers.read(lambda ledger: ledger.refund("ref_2")) is None


@pytest.mark.parametrize(
    ("before", "booking", "limit", "found"),
    [
        (None, "", 9, ["pay_4", "pay_3", "pay_2"]),
        (None, "", 2, ["pay_4", "pay_3"]),
        ("pay_4", "", 9, ["pay_3", "pay_2"]),
        (None, "BK-1", 9, ["pay_4", "pay_2"]),
        ("pay_4", "BK-1", 9, ["pay_2"]),
        (None, "bk-1", 9, []),
    ],
)
async def test_payments_are_listed_newest_first(
    ledgers: Ledgers, before: str | None, booking: str, limit: int, found: list[str]
) -> None:
    """A list of payments begins after one, keeps to a booking to the letter, and has an end."""
    references = {"pay_2": "BK-1", "pay_3": "BK-2", "pay_4": "BK-1"}
    for payment_id, reference in references.items():
        payment = a_payment(payment_id, booking_reference=reference)
        await ledgers.write(lambda ledger, payment=payment: ledger.add_payment(payment))
    listed = await ledgers.read(lambda ledger: ledger.payments_before(before, booking, limit))
    assert [one.payment_id for one in listed] == found


@pytest.mark.parametrize(
    "sums",
    [
        {"refunded_minor": 15_001},
        {"refunded_minor": -1},
        {"refunded_minor": 1, "returned_minor": 2},
    ],
    ids=str,
)
async def test_sums_that_cannot_be_are_refused(ledgers: Ledgers, sums: dict[str, int]) -> None:
    """The database itself takes no payment that gives back more than was taken or set aside."""
    await ledgers.write(lambda ledger: ledger.add_payment(a_payment()))
    with pytest.raises(DBAPIError):
        await ledgers.write(lambda ledger: ledger.save_payment(a_payment(**sums)))
    assert await ledgers.read(lambda ledger: ledger.payment("pay_2")) == a_payment()


@pytest.mark.parametrize(
    ("due_s", "leased_s", "found"), [(0, 0, True), (1, 0, False), (0, 1, False), (None, 0, False)]
)
async def test_what_is_due_is_leased_once(
    ledgers: Ledgers, due_s: int | None, leased_s: int, *, found: bool
) -> None:
    """A payment or refund is due when its moment is there and no lease runs; one gets its lease."""
    changes: dict[str, Any] = {
        "next_ask_at": None if due_s is None else START + timedelta(seconds=due_s),
        "leased_until": START + timedelta(seconds=leased_s),
    }
    payment, refund = a_payment(**changes), replace(A_REFUND, **changes)
    await ledgers.write(lambda ledger: ledger.add_payment(payment))
    await ledgers.write(lambda ledger: ledger.add_refund(refund))
    assert await ledgers.read(lambda one: one.due_payments(START, 9)) == [payment][: int(found)]
    assert await ledgers.read(lambda one: one.due_refunds(START, 9)) == [refund][: int(found)]
    end = START + timedelta(seconds=9)
    for expected in (found, False):
        lease = Lease(due_by=START, free_since=START, until=end)
        taken = ledgers.write(lambda one, lease=lease: one.lease_payment("pay_2", lease))
        assert await taken is expected
        taken = ledgers.write(lambda one, lease=lease: one.lease_refund("ref_1", lease))
        assert await taken is expected
    if found:
        stored = await ledgers.read(lambda ledger: ledger.payment("pay_2"))
        assert stored == replace(payment, leased_until=end)


async def test_the_longest_due_come_first(ledgers: Ledgers) -> None:
    """Of more than fit a batch, those that are due the longest are found."""
    for one in (3, 1, 2):
        payment = a_payment(f"pay_{one}", next_ask_at=START - timedelta(seconds=one))
        await ledgers.write(lambda ledger, payment=payment: ledger.add_payment(payment))
    due = await ledgers.read(lambda ledger: ledger.due_payments(START, 2))
    assert [one.payment_id for one in due] == ["pay_3", "pay_2"]


async def test_the_payments_and_refunds_of_one_booking(ledgers: Ledgers) -> None:
    """All payments of a booking are found, oldest first, and of a payment all its refunds."""
    for payment_id, booking in (("pay_4", "BK-1"), ("pay_2", "BK-1"), ("pay_3", "bk-1")):
        payment = a_payment(payment_id, booking_reference=booking)
        await ledgers.write(lambda ledger, payment=payment: ledger.add_payment(payment))
    finished = replace(A_REFUND, refund_id="ref_2", status=RefundStatus.REFUNDED)
    for refund in (A_REFUND, finished, replace(A_REFUND, refund_id="ref_3", payment_id="pay_3")):
        await ledgers.write(lambda ledger, refund=refund: ledger.add_refund(refund))
    found = await ledgers.read(lambda ledger: ledger.payments_of("BK-1"))
    assert [one.payment_id for one in found] == ["pay_2", "pay_4"]
    assert await ledgers.read(lambda ledger: ledger.refunds_of("pay_2")) == [A_REFUND, finished]


async def test_a_booking_is_called_off_for_ever(ledgers: Ledgers) -> None:
    """A booking may be charged until it is called off, before or after its first payment."""
    charged = [await ledgers.write(lambda one: one.may_charge("BK-1")) for _ in range(2)]
    for booking in ("BK-1", "BK-2", "BK-1"):
        await ledgers.write(lambda one, booking=booking: one.call_off(booking, "UNDONE", START))
    after = [
        await ledgers.write(lambda one, booking=booking: one.may_charge(booking))
        for booking in ("BK-1", "BK-2", "bk-1")
    ]
    assert (charged, after) == ([True, True], [False, False, True])


@on_mariadb
@pytest.mark.parametrize("known", [False, True], ids=["new booking", "known booking"])
async def test_a_cancellation_waits_for_a_payment(ledgers: Ledgers, *, known: bool) -> None:
    """A cancellation that meets a payment being stored waits for it, and then sees it."""
    if known:
        await ledgers.write(lambda ledger: ledger.may_charge("BK-1"))
    stored, may_commit = asyncio.Event(), asyncio.Event()

    async def pay(ledger: SqlLedger) -> bool:
        allowed = await ledger.may_charge("BK-1")
        await ledger.add_payment(a_payment(booking_reference="BK-1"))
        stored.set()
        await may_commit.wait()
        return allowed

    async def cancel(ledger: SqlLedger) -> list[Payment]:
        await ledger.call_off("BK-1", "UNDONE", START)
        return await ledger.payments_of("BK-1")

    paying = asyncio.create_task(ledgers.write(pay))
    await stored.wait()
    cancelling = asyncio.create_task(ledgers.write(cancel))
    await asyncio.wait({cancelling}, timeout=0.2)
    assert not cancelling.done()
    may_commit.set()
    assert await paying
    assert [one.payment_id for one in await cancelling] == ["pay_2"]


@on_mariadb
@pytest.mark.parametrize("known", [False, True], ids=["new booking", "known booking"])
async def test_a_payment_waits_for_a_cancellation(ledgers: Ledgers, *, known: bool) -> None:
    """A payment that meets a cancellation being stored waits for it, and then may not charge."""
    if known:
        await ledgers.write(lambda ledger: ledger.may_charge("BK-1"))
    stored, may_commit = asyncio.Event(), asyncio.Event()

    async def cancel(ledger: SqlLedger) -> None:
        await ledger.call_off("BK-1", "UNDONE", START)
        stored.set()
        await may_commit.wait()

    cancelling = asyncio.create_task(ledgers.write(cancel))
    await stored.wait()
    paying = asyncio.create_task(ledgers.write(lambda ledger: ledger.may_charge("BK-1")))
    await asyncio.wait({paying}, timeout=0.2)
    assert not paying.done()
    may_commit.set()
    await cancelling
    assert await paying is False
