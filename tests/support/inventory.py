"""The inventory, hosted by a test, and the people who call it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc

from chassis.clock import Clock
from chassis.database import Database
from chassis.server import Hosted
from inventory_svc.config import InventorySettings
from inventory_svc.wiring import wire
from support import build
from support.client import As
from support.tokens import auth_settings


async def hosted_inventory(
    database: Database, clock: Clock | None = None, **settings: Any
) -> Hosted:
    """The inventory on a database; settings by their names in `InventorySettings`."""
    return await wire(InventorySettings(**settings), auth_settings(), database, clock)


@dataclass
class InventoryPeople:
    """Who calls the inventory: the admin, the booking service, and any buyer by name."""

    channel: Any
    admin: As = field(init=False)
    service: As = field(init=False)

    def __post_init__(self) -> None:
        self.stub = rpc.InventoryServiceStub(self.channel)
        self.admin = As(self.stub, "root", "admin")
        self.service = As(self.stub, "booking_svc", "inventory")

    def buyer(self, user_id: str) -> As:
        return As(self.stub, user_id, "bookings")

    async def event(self, seat_numbers: Iterable[str] = ("A1", "A2", "A3")) -> int:
        """Create an event; its id."""
        return (await self.admin.CreateEvent(build.create_event(seat_numbers))).event_id

    async def hold(
        self, event_id: int, *seat_numbers: str, buyer: str = "ann", ttl_s: float = 600
    ) -> list[int]:
        """Reserve seats; the ids of the reservations."""
        request = build.reserve(event_id, *seat_numbers, ttl_s=ttl_s)
        held = await self.buyer(buyer).ReserveSeats(request)
        return [one.reservation_id for one in held.reservations]

    async def retake(self, *reservation_ids: int, booking: str = "BK-1") -> list[pb.Reservation]:
        """Confirm reservations, those that are over too."""
        request = build.confirm(*reservation_ids, booking=booking)
        request.retake_expired = True
        return list((await self.service.ConfirmReservations(request)).reservations)

    async def statuses(self, *reservation_ids: int) -> list[str]:
        """Where reservations stand, by name."""
        found = await self.service.GetReservations(build.get(*reservation_ids))
        return [pb.Reservation.Status.Name(one.status) for one in found.reservations]

    async def seat_statuses(self, event_id: int) -> dict[str, str]:
        """Seat number → state of every seat of a small event."""
        page = await self.service.ListSeats(pb.ListSeatsRequest(event_id=event_id, page_size=1000))
        return {seat.seat_number: pb.Seat.Status.Name(seat.status) for seat in page.seats}
