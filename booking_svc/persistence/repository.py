"""The port `Bookings` in SQL. Nothing here commits: the unit of work does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    RowMapping,
    Select,
    cast,
    exists,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from booking_svc.domain.booking import (
    SETTLED,
    BookedSeat,
    Booking,
    BookingStatus,
    Failure,
    PaymentStatus,
)
from booking_svc.persistence.personal import SqlPersonalData
from booking_svc.persistence.sagas import OPEN, SqlSagas
from booking_svc.persistence.tables import (
    booking_seats,
    bookings,
    cursors,
    idempotency_keys,
    outbox,
    outbox_counter,
    reservation_claims,
    sagas,
)
from chassis.columns import Int64
from chassis.database import is_duplicate
from chassis.keys_table import KeysTable
from chassis.outbox import OutboxTable


class SqlBookings:
    """Bookings and sagas on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection
        self.keys = KeysTable(connection, idempotency_keys)
        self.sagas = SqlSagas(connection)
        self.outbox = OutboxTable(connection, outbox, outbox_counter)
        self.personal = SqlPersonalData(connection)

    async def purge_keys(self, before: datetime, limit: int) -> int:
        """Delete keys older than `before`, `limit` at most, and say how many."""
        booking_id = cast(idempotency_keys.c.subject, Int64)
        is_open = or_(
            exists().where(bookings.c.booking_id == booking_id, bookings.c.status.notin_(SETTLED)),
            exists().where(sagas.c.booking_id == booking_id, sagas.c.state.in_(OPEN)),
        )
        return await self.keys.purge(before, limit, is_open)

    async def claim_reservations(
        self, booking_id: int, reservation_ids: Sequence[int]
    ) -> list[int]:
        """Tie reservations to a booking for ever; those that are tied to another already."""
        rows = [
            {"reservation_id": reservation_id, "booking_id": booking_id}
            for reservation_id in reservation_ids
        ]
        try:
            await self._connection.execute(insert(reservation_claims).values(rows))
        except IntegrityError as error:
            if not is_duplicate(error):
                raise
            found = select(reservation_claims.c.reservation_id).where(
                reservation_claims.c.reservation_id.in_(reservation_ids)
            )
            return list((await self._connection.execute(found)).scalars()) or list(reservation_ids)
        return []

    async def add_booking(self, booking: Booking) -> None:
        """Store a new booking with its seats."""
        row = {
            "booking_id": booking.booking_id,
            "booking_reference": booking.booking_reference,
            "user_id": booking.user_id,
            "event_id": booking.event_id,
            "currency": booking.currency,
            "created_at": booking.created_at,
            **_changing(booking),
        }
        seats = [
            {"booking_id": booking.booking_id, "position": position, **vars(seat)}
            for position, seat in enumerate(booking.seats)
        ]
        await self._connection.execute(insert(bookings).values(row))
        await self._connection.execute(insert(booking_seats).values(seats))

    async def booking(self, booking_id: int) -> Booking | None:
        """A booking, if there is one of this id."""
        return next(iter(await self._bookings(_by_id(booking_id))), None)

    async def lock_booking(self, booking_id: int) -> Booking | None:
        """The same, and nobody else changes it before this unit ends."""
        return next(iter(await self._bookings(_by_id(booking_id).with_for_update())), None)

    async def save_booking(self, booking: Booking) -> None:
        """Store what has changed about a booking."""
        one = bookings.c.booking_id == booking.booking_id
        await self._connection.execute(update(bookings).where(one).values(_changing(booking)))

    async def bookings_before(
        self, booking_id: int | None, user_id: str, booking_reference: str, limit: int
    ) -> list[Booking]:
        """A user's bookings older than one, newest first; of one reference unless that is empty."""
        found = select(bookings).where(bookings.c.user_id == user_id)
        if booking_reference:
            found = found.where(bookings.c.booking_reference == booking_reference)
        if booking_id is not None:
            found = found.where(bookings.c.booking_id < booking_id)
        return await self._bookings(found.order_by(bookings.c.booking_id.desc()).limit(limit))

    async def all_bookings_before(
        self, booking_id: int | None, status: BookingStatus | None, limit: int
    ) -> list[Booking]:
        """Everyone's bookings older than one, newest first; in one status unless that is none."""
        found = select(bookings)
        if status is not None:
            found = found.where(bookings.c.status == status)
        if booking_id is not None:
            found = found.where(bookings.c.booking_id < booking_id)
        return await self._bookings(found.order_by(bookings.c.booking_id.desc()).limit(limit))

    async def cursor(self, name: str) -> str:
        """Where the reader of a stream has got to; empty at the beginning."""
        found = select(cursors.c.position).where(cursors.c.name == name)
        return (await self._connection.execute(found)).scalar_one_or_none() or ""

    async def move_cursor(self, name: str, position: str) -> None:
        """Note where the reader of a stream has got to."""
        mine = update(cursors).where(cursors.c.name == name).values(position=position)
        moved = await self._connection.execute(mine)
        if not moved.rowcount and not await self.cursor(name):
            row = {"name": name, "position": position}
            await self._connection.execute(insert(cursors).values(row))

    async def _bookings(self, found: Select[Any]) -> list[Booking]:
        rows = (await self._connection.execute(found)).mappings().all()
        if not rows:
            return []
        ids = [row["booking_id"] for row in rows]
        of_these = select(booking_seats).where(booking_seats.c.booking_id.in_(ids))
        ordered = of_these.order_by(booking_seats.c.booking_id, booking_seats.c.position)
        seats: dict[int, list[BookedSeat]] = {booking_id: [] for booking_id in ids}
        for row in (await self._connection.execute(ordered)).mappings():
            seat = BookedSeat(row["reservation_id"], row["seat_number"], row["price_minor"])
            seats[row["booking_id"]].append(seat)
        return [_booking(row, seats[row["booking_id"]]) for row in rows]


def _by_id(booking_id: int) -> Select[Any]:
    return select(bookings).where(bookings.c.booking_id == booking_id)


def _changing(booking: Booking) -> dict[str, Any]:
    """The columns that change while a booking lives."""
    failure = booking.failure or Failure("", "")
    return {
        "status": booking.status,
        "payment_id": booking.payment_id,
        "payment_status": booking.payment_status,
        "failure_reason": failure.reason,
        "failure_message": failure.message,
        "decline_code": failure.decline_code,
        "confirmed_at": booking.confirmed_at,
        "cancelled_at": booking.cancelled_at,
        "answer": booking.answer,
    }


def _booking(row: RowMapping, seats: Sequence[BookedSeat]) -> Booking:
    fields = dict(row)
    failure = Failure(
        fields.pop("failure_reason"), fields.pop("failure_message"), fields.pop("decline_code")
    )
    fields["status"] = BookingStatus(row["status"])
    fields["payment_status"] = PaymentStatus(row["payment_status"])
    return Booking(**fields, seats=tuple(seats), failure=failure if failure.reason else None)
