"""The port `Bookings` in SQL. Nothing here commits: the unit of work does."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from booking_svc.domain.booking import (
    BookedSeat,
    Booking,
    BookingStatus,
    Failure,
    PaymentStatus,
)
from booking_svc.persistence.tables import (
    booking_seats,
    bookings,
    idempotency_keys,
    reservation_claims,
    sagas,
)
from booking_svc.saga.machine import Saga, State
from chassis.database import is_duplicate
from chassis.keys_table import KeysTable


class SqlBookings:
    """Bookings and sagas on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection
        self.keys = KeysTable(connection, idempotency_keys)

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
        self, booking_id: int | None, user_id: str, limit: int
    ) -> list[Booking]:
        """A user's bookings older than one, newest first, `limit` at most."""
        found = select(bookings).where(bookings.c.user_id == user_id)
        if booking_id is not None:
            found = found.where(bookings.c.booking_id < booking_id)
        return await self._bookings(found.order_by(bookings.c.booking_id.desc()).limit(limit))

    async def add_saga(self, saga: Saga) -> None:
        """Store a new saga."""
        await self._connection.execute(insert(sagas).values(vars(saga)))

    async def save_saga(self, saga: Saga) -> bool:
        """Store where a saga stands, unless its attempt is over or it has ended: then false."""
        saved = await self._connection.execute(
            update(sagas)
            .where(
                sagas.c.booking_id == saga.booking_id,
                sagas.c.definition == saga.definition,
                sagas.c.attempt == saga.attempt,
                # What has ended stays so; to write the same end again is harmless.
                or_(sagas.c.state == State.RUNNING, sagas.c.state == saga.state),
            )
            .values(
                step=saga.step,
                direction=saga.direction,
                state=saga.state,
                tries=saga.tries,
                refusals=saga.refusals,
            )
        )
        return saved.rowcount == 1

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
