"""`SqlLedger` keeps what it is given, and the database refuses sums that cannot be."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from support.clock import START
from support.databases import Databases

from chassis.cards import CardSummary
from chassis.database import DatabaseTransactions
from chassis.transactions import Transactions
from payment_svc.domain.outcome import DeclineCode
from payment_svc.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from payment_svc.persistence.repository import SqlLedger

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
    changed = replace(A_REFUND, status=RefundStatus.FAILED, finished_at=LATER, leased_until=LATER)
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
