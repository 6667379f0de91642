"""The audit that follows every test of bookings sees what it is there to see."""

import pytest
from sqlalchemy import text
from support.audit import audit
from support.bookings import Stack, on_sqlite
from support.databases import Databases

SPOILED = {
    "money kept": ("booking_svc", "UPDATE bookings SET status = 'CANCELLED'", "MONEY_NOT_DUE"),
    "money lost": (
        "payment_svc",
        "UPDATE payments SET refunded_minor = 1, returned_minor = 1",
        "MONEY_NOT_DUE",
    ),
    "not in our ledger": ("payment_svc", "DELETE FROM payments", "CHARGE_UNKNOWN"),
    "seat not booked": (
        "inventory_svc",
        "UPDATE seats SET booked = 0",
        "RESERVATION_WITHOUT_SEAT",
    ),
    "seat of the dead": (
        "booking_svc",
        "UPDATE bookings SET status = 'FAILED'",
        "SEAT_OF_DEAD_BOOKING",
    ),
    "key without booking": (
        "booking_svc",
        "UPDATE idempotency_keys SET subject = '1'",
        "KEY_WITHOUT_SUBJECT",
    ),
}


@on_sqlite
@pytest.mark.parametrize(("service", "statement", "code"), SPOILED.values(), ids=SPOILED)
async def test_the_audit_sees_it(
    databases: Databases, service: str, statement: str, code: str
) -> None:
    """What is changed behind the services' backs is found, and nothing before that."""
    stack = await Stack().start(databases)
    try:
        ann = stack.buyer("ann")
        await ann.confirm(await ann.hold("A1"))
        assert await audit(stack.databases, stack.provider) == []
        await stack.databases[service].write(lambda connection: connection.execute(text(statement)))
        found = await audit(stack.databases, stack.provider)
        assert any(one.startswith(f"{code} ") for one in found)
    finally:
        await stack.stop()
