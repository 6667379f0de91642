"""The port `Inventory` in SQL. Nothing here commits: the unit of work does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Executable,
    RowMapping,
    and_,
    case,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.keys_table import KeysTable
from inventory_svc.domain.event import Event, Seat
from inventory_svc.domain.reservation import (
    CANCEL,
    CONFIRM,
    EXPIRE,
    RETAKE,
    Reservation,
    ReservationStatus,
)
from inventory_svc.persistence.personal import SqlPersonalData
from inventory_svc.persistence.tables import events, idempotency_keys, reservations, seats

# Rows in one insert: far below the packet limit of a server, and few round trips for 100,000 seats.
INSERT_ROWS = 2000


class SqlInventory:
    """Events, seats and reservations on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection
        self.keys = KeysTable(connection, idempotency_keys)
        self.personal = SqlPersonalData(connection)

    async def add_event(self, event: Event, new_seats: Sequence[Seat]) -> None:
        """Store an event and its seats."""
        await self._connection.execute(insert(events).values(vars(event)))
        for start in range(0, len(new_seats), INSERT_ROWS):
            rows = [vars(seat) for seat in new_seats[start : start + INSERT_ROWS]]
            await self._connection.execute(insert(seats), rows)

    async def event(self, event_id: int) -> Event | None:
        """An event, if there is one of this id."""
        rows = await self._all(select(events).where(events.c.event_id == event_id))
        return Event(**rows[0]) if rows else None

    async def events_before(self, event_id: int | None, limit: int) -> list[Event]:
        """The events with a smaller id than this, if it is one, newest first, `limit` at most."""
        found = select(events).order_by(events.c.event_id.desc()).limit(limit)
        if event_id is not None:
            found = found.where(events.c.event_id < event_id)
        return [Event(**row) for row in await self._all(found)]

    async def seats_after(self, event_id: int, after: int, limit: int) -> list[Seat]:
        """The seats of an event with a greater id than `after`, in order, `limit` at most."""
        found = select(seats).where(seats.c.event_id == event_id, seats.c.seat_id > after)
        rows = await self._all(found.order_by(seats.c.seat_id).limit(limit))
        return [Seat(**row) for row in rows]

    async def seats_numbered(self, event_id: int, seat_numbers: Sequence[str]) -> list[Seat]:
        """The seats of an event that have one of these numbers, in no order."""
        found = select(seats).where(
            seats.c.event_id == event_id, seats.c.seat_number.in_(seat_numbers)
        )
        return [Seat(**row) for row in await self._all(found)]

    async def take_seats(self, wanted: Sequence[Reservation], now: datetime) -> bool:
        """Give each reservation its seat, if all of them are free at `now`; false if one is not."""
        takers = {one.seat_id: one.reservation_id for one in wanted}
        taken = await self._run(
            update(seats)
            .where(seats.c.seat_id.in_(sorted(takers)), _is_free(now))
            .values(
                reservation_id=case(takers, value=seats.c.seat_id),
                held_until=wanted[0].expires_at,
            )
        )
        return taken.rowcount == len(wanted)

    async def add_reservations(self, new: Sequence[Reservation]) -> None:
        """Store new reservations."""
        await self._connection.execute(insert(reservations).values([vars(one) for one in new]))

    async def reservations(self, reservation_ids: Sequence[int]) -> list[Reservation]:
        """The reservations with these ids, in no order."""
        found = select(reservations).where(reservations.c.reservation_id.in_(reservation_ids))
        return [_reservation(row) for row in await self._all(found)]

    async def lock_reservations(self, reservation_ids: Sequence[int]) -> list[Reservation]:
        """The same, and nobody else changes them before this unit ends."""
        found = (
            select(reservations)
            .where(reservations.c.reservation_id.in_(reservation_ids))
            # One order for all, so that two callers with the same ids do not wait for each other.
            .order_by(reservations.c.reservation_id)
            .with_for_update()
        )
        return [_reservation(row) for row in await self._all(found)]

    async def extend(self, held: Sequence[Reservation], until: datetime) -> int:
        """Hold them until a moment, where that is later; how many seats they have."""
        ids = [one.reservation_id for one in held]
        later = case((seats.c.held_until < until, until), else_=seats.c.held_until)
        kept = await self._run(
            update(seats).where(seats.c.reservation_id.in_(ids)).values(held_until=later)
        )
        shorter = and_(reservations.c.reservation_id.in_(ids), reservations.c.expires_at < until)
        await self._run(update(reservations).where(shorter).values(expires_at=until))
        return kept.rowcount

    async def confirm(
        self, held: Sequence[Reservation], booking_reference: str, now: datetime
    ) -> int:
        """Book the seats of reservations for a booking; how many seats they had."""
        ids = [one.reservation_id for one in held]
        booked = await self._run(
            update(seats).where(seats.c.reservation_id.in_(ids)).values(booked=True)
        )
        await self._mark(
            ids, status=CONFIRM.target, booking_reference=booking_reference, confirmed_at=now
        )
        return booked.rowcount

    async def retake(
        self, over: Sequence[Reservation], booking_reference: str, now: datetime
    ) -> int:
        """Book their seats for a booking where they have them or they are free; how many."""
        takers = {one.seat_id: one.reservation_id for one in over}
        taker = case(takers, value=seats.c.seat_id)
        booked = await self._run(
            update(seats)
            .where(
                seats.c.seat_id.in_(sorted(takers)),
                or_(seats.c.reservation_id == taker, _is_free(now)),
            )
            .values(reservation_id=taker, booked=True)
        )
        ids = [one.reservation_id for one in over]
        await self._mark(
            ids,
            status=RETAKE.target,
            booking_reference=booking_reference,
            confirmed_at=now,
            ended_at=None,
        )
        return booked.rowcount

    async def cancel(self, held: Sequence[Reservation], now: datetime) -> None:
        """End reservations and free the seats that they have."""
        await self._end(held, CANCEL.target, now)

    async def expire(self, held: Sequence[Reservation], now: datetime) -> None:
        """End reservations whose time is over and free the seats that they still have."""
        await self._end(held, EXPIRE.target, now)

    async def overdue(self, now: datetime, limit: int) -> list[int]:
        """Ids of reservations that are stored as ACTIVE and are over, `limit` at most."""
        found = select(reservations.c.reservation_id).where(
            reservations.c.status == ReservationStatus.ACTIVE, reservations.c.expires_at <= now
        )
        return [row["reservation_id"] for row in await self._all(found.limit(limit))]

    async def purge_keys(self, before: datetime, limit: int) -> int:
        """Delete keys older than `before`, `limit` at most, and say how many."""
        return await self.keys.purge(before, limit)

    async def purge_reservations(self, before: datetime, limit: int) -> int:
        """Delete those that ended before a moment and were never confirmed, `limit` at most."""
        table = reservations.c
        found: list[int] = []
        # One status at a time: so the index gives them in order.
        for status in (ReservationStatus.EXPIRED, ReservationStatus.CANCELLED):
            over = select(table.reservation_id).where(
                table.booking_reference == "",
                table.status == status,
                table.expires_at < before,
                # An older version kept no time.
                or_(table.ended_at.is_(None), table.ended_at < before),
            )
            rows = await self._all(over.order_by(table.expires_at).limit(limit - len(found)))
            found += [row["reservation_id"] for row in rows]
        if found:
            # Asked again: a late payment may have taken one back since.
            await self._run(
                delete(reservations).where(
                    table.reservation_id.in_(found), table.booking_reference == ""
                )
            )
        return len(found)

    async def _end(
        self, held: Sequence[Reservation], status: ReservationStatus, now: datetime
    ) -> None:
        ids = [one.reservation_id for one in held]
        await self._run(
            update(seats)
            .where(seats.c.reservation_id.in_(ids))
            .values(reservation_id=None, held_until=None, booked=False)
        )
        await self._mark(ids, status=status, ended_at=now)

    async def _mark(self, ids: Sequence[int], **values: object) -> None:
        marked = reservations.c.reservation_id.in_(ids)
        await self._run(update(reservations).where(marked).values(**values))

    async def _all(self, statement: Executable) -> Sequence[RowMapping]:
        return (await self._connection.execute(statement)).mappings().all()

    async def _run(self, statement: Executable) -> CursorResult[Any]:
        return await self._connection.execute(statement)


def _is_free(now: datetime) -> ColumnElement[bool]:
    """Of a seat: whether it can be given to somebody at `now`."""
    return or_(
        seats.c.reservation_id.is_(None),
        and_(seats.c.booked.is_(False), seats.c.held_until <= now),
    )


def _reservation(row: RowMapping) -> Reservation:
    return Reservation(**{**row, "status": ReservationStatus(row["status"])})
