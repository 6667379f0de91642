"""The inventory as a generated blocking stub sees it, through pytest-grpc's fixtures."""

from collections.abc import Awaitable, Callable

import pytest
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc
from support import build
from support.client import As, refused
from support.databases import Databases
from support.inventory import hosted_inventory

from chassis.server import Hosted


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[rpc.InventoryServiceStub]:
    return rpc.InventoryServiceStub


@pytest.fixture(scope="module")
def grpc_hosted() -> Callable[[Databases], Awaitable[Hosted]]:
    async def make(databases: Databases) -> Hosted:
        return await hosted_inventory(await databases.fresh("inventory_svc"))

    return make


def test_a_buyer_sees_what_the_admin_created(grpc_stub: rpc.InventoryServiceStub) -> None:
    """A blocking stub creates an event, reserves a seat and sees it held."""
    event = As(grpc_stub, "root", "admin").CreateEvent(build.create_event(["A1", "A2"]))
    buyer = As(grpc_stub, "ann")
    held = buyer.ReserveSeats(build.reserve(event.event_id, "A2"))
    page = buyer.ListSeats(pb.ListSeatsRequest(event_id=event.event_id))
    assert [one.user_id for one in held.reservations] == ["ann"]
    assert [pb.Seat.Status.Name(seat.status) for seat in page.seats] == ["AVAILABLE", "HELD"]


def test_a_refusal_reaches_a_blocking_stub(grpc_stub: rpc.InventoryServiceStub) -> None:
    """A blocking stub's error tells why the inventory refused, and its facts."""
    with refused("EVENT_NOT_FOUND", eventId="404"):
        As(grpc_stub, "ann").ReserveSeats(build.reserve(404, "A1"))
