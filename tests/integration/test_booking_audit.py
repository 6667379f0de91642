"""The audit that follows every test of bookings sees what it is there to see."""

import pytest
from sqlalchemy import text
from support.audit import audit
from support.bookings import Stack, on_sqlite
from support.databases import Databases

SPOILED = {
    "money kept": ("booking_svc", "UPDATE bookings SET status = 'CANCELLED'", "is due 0"),
    "money lost": (
        "payment_svc",
        "UPDATE payments SET refunded_minor = 1, returned_minor = 1",
        "keeps",
    ),
    "not in our ledger": ("payment_svc", "DELETE FROM payments", "the provider's (7500, 0)"),
    "seat not booked": ("inventory_svc", "UPDATE seats SET booked = 0", "A1 is not booked"),
    "seat of the dead": (
        "booking_svc",
        "UPDATE bookings SET status = 'FAILED'",
        "a seat is BOOKED for a booking that is FAILED",
    ),
    "key without booking": (
        "booking_svc",
        "UPDATE idempotency_keys SET subject = '1'",
        "do not match",
    ),
}


@on_sqlite
@pytest.mark.parametrize(("service", "statement", "found"), SPOILED.values(), ids=SPOILED)
async def test_the_audit_sees_it(
    databases: Databases, service: str, statement: str, found: str
) -> None:
    """What is changed behind the services' backs is found, and nothing before that."""
    stack = await Stack().start(databases)
    try:
        ann = stack.buyer("ann")
        await ann.confirm(await ann.hold("A1"))
        assert await audit(stack.databases, stack.provider) == []
        await stack.databases[service].write(lambda connection: connection.execute(text(statement)))
        assert any(found in one for one in await audit(stack.databases, stack.provider))
    finally:
        await stack.stop()
