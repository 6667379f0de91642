"""What the use cases need from outside, and no more."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from chassis.idempotency import Keys
from chassis.privacy import HasPersonalData
from inventory_svc.domain.event import Event, Seat
from inventory_svc.domain.reservation import Reservation


class Inventory(HasPersonalData, Protocol):
    """The stored events, seats and reservations, within one unit of work."""

    @property
    def keys(self) -> Keys:
        """The idempotency keys that were used."""

    async def add_event(self, event: Event, seats: Sequence[Seat]) -> None:
        """Store an event and its seats."""

    async def event(self, event_id: int) -> Event | None:
        """An event, if there is one of this id."""

    async def events_before(self, event_id: int | None, limit: int) -> list[Event]:
        """The events with a smaller id than this, if it is one, newest first, `limit` at most."""

    async def seats_after(self, event_id: int, after: int, limit: int) -> list[Seat]:
        """The seats of an event with a greater id than `after`, in order, `limit` at most."""

    async def seats_numbered(self, event_id: int, seat_numbers: Sequence[str]) -> list[Seat]:
        """The seats of an event that have one of these numbers, in no order."""

    async def take_seats(self, reservations: Sequence[Reservation], now: datetime) -> bool:
        """Give each reservation its seat, if all of them are free at `now`; false if one is not.

        This is the guard against overselling: one conditional update, decided by the database.
        """

    async def add_reservations(self, reservations: Sequence[Reservation]) -> None:
        """Store new reservations."""

    async def reservations(self, reservation_ids: Sequence[int]) -> list[Reservation]:
        """The reservations with these ids, in no order."""

    async def lock_reservations(self, reservation_ids: Sequence[int]) -> list[Reservation]:
        """The same, and nobody else changes them before this unit ends."""

    async def extend(self, reservations: Sequence[Reservation], until: datetime) -> int:
        """Hold them until a moment, where that is later; how many seats they have."""

    async def confirm(
        self, reservations: Sequence[Reservation], booking_reference: str, now: datetime
    ) -> int:
        """Book the seats of reservations for a booking; how many seats they had."""

    async def retake(
        self, reservations: Sequence[Reservation], booking_reference: str, now: datetime
    ) -> int:
        """Book their seats for a booking where they have them or they are free; how many.

        One conditional update, as `take_seats`.
        """

    async def cancel(self, reservations: Sequence[Reservation], now: datetime) -> None:
        """End reservations and free the seats that they have."""

    async def expire(self, reservations: Sequence[Reservation], now: datetime) -> None:
        """End reservations whose time is over and free the seats that they still have."""

    async def purge_keys(self, before: datetime, limit: int) -> int:
        """Delete keys older than `before`, `limit` at most, and say how many."""

    async def purge_reservations(self, before: datetime, limit: int) -> int:
        """Delete those that ended before a moment and were never confirmed, `limit` at most."""

    async def overdue(self, now: datetime, limit: int) -> list[int]:
        """Ids of reservations that are stored as ACTIVE and are over, `limit` at most."""
