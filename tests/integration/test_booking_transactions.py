"""No transaction is open while anybody is called: read → commit → call → commit."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest
from holdfast.inventory.v1 import inventory_pb2
from support import build
from support.bookings import POOR_CARD, Stack, confirm_request, stack_on
from support.databases import Databases

from chassis.channels import Outgoing
from chassis.database import Database

in_unit: ContextVar[bool] = ContextVar("in_unit", default=False)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Every call to another service or the provider, and whether a unit of work was open then."""
    noted: list[tuple[str, bool]] = []

    def watched(plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(
            database: Database, unit: Callable[[Any], Awaitable[Any]], *landed: Any
        ) -> Any:
            async def inside(connection: Any) -> Any:
                token = in_unit.set(True)
                try:
                    return await unit(connection)
                finally:
                    in_unit.reset(token)

            # `landed` is read with `Database.read`, which is watched too.
            return await plain(database, inside, *landed)

        return run

    call = Outgoing.call

    async def noting(self: Outgoing, method: Any, request: Any, **options: Any) -> Any:
        noted.append((type(request).__name__, in_unit.get()))
        return await call(self, method, request, **options)

    monkeypatch.setattr(Database, "read", watched(Database.read))
    monkeypatch.setattr(Database, "write", watched(Database.write))
    monkeypatch.setattr(Outgoing, "call", noting)
    return noted


def note_provider(stack: Stack, calls: list[tuple[str, bool]]) -> None:
    for name in ("charge", "refund"):
        plain = getattr(stack.provider, name)

        async def noting(*order: Any, plain: Any = plain, name: str = name) -> Any:
            calls.append((name, in_unit.get()))
            return await plain(*order)

        setattr(stack.provider, name, noting)


async def test_no_call_in_a_transaction(
    databases: Databases, calls: list[tuple[str, bool]]
) -> None:
    """Booking, declining, losing seats and cancelling call everyone, and never in a transaction."""
    async with stack_on(databases) as stack:
        note_provider(stack, calls)
        ann = stack.buyer("ann")
        booking = await ann.confirm(await ann.hold("A1", ttl_s=10))
        await ann.cancel(booking.booking_id)
        await ann.asks(confirm_request(await ann.hold("A1"), POOR_CARD), "declined")
        stack.provider.hold()
        held = await ann.hold("A2")
        lost = await ann.asks(confirm_request(held), "lost", timeout_s=3)
        await stack.people.service.CancelReservations(build.cancel(*held, booking=""))
        stack.provider.release()
        await ann.sees(lost.booking.booking_id, "FAILED")
    assert {name for name, _ in calls} == {
        "GetReservationsRequest",
        "ExtendReservationsRequest",
        "ProcessPaymentRequest",
        "ConfirmReservationsRequest",
        "CancelReservationsRequest",
        "CancelPaymentRequest",
        "charge",
        "refund",
    }
    assert [name for name, inside in calls if inside] == []


async def test_a_call_in_a_transaction_would_be_seen(
    databases: Databases, calls: list[tuple[str, bool]]
) -> None:
    """The watch above sees a call that is made within a unit of work."""
    database = await databases.fresh("booking_svc")
    outgoing = Outgoing(inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"], _Token())

    async def echo(request: Any, **_options: Any) -> Any:
        return request

    async def unit(_connection: Any) -> None:
        await outgoing.call(echo, inventory_pb2.GetReservationsRequest(), timeout_s=1)

    await database.write(unit)
    await database.read(unit)
    assert calls == [("GetReservationsRequest", True)] * 2


class _Token:
    def current(self) -> str:
        return ""
