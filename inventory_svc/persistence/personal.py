"""The port `PersonalData` in SQL: what the inventory has of persons. Nothing here commits."""

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.personal_tables import Owned, PersonalTables, delete_keys
from chassis.privacy import Erasure
from inventory_svc.domain.errors import UserHasOpenBookings
from inventory_svc.domain.reservation import ReservationStatus
from inventory_svc.persistence.tables import idempotency_keys, reservations

# As many as an answer names.
NAMED_MAX = 20
OWNED = (
    Owned(reservations, lambda user: reservations.c.user_id == user),
    Owned(idempotency_keys, lambda user: idempotency_keys.c.owner == user),
)


class SqlPersonalData(PersonalTables):
    """What there is of persons, on one connection."""

    parts = ("reservations", "keys")

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        super().__init__(connection, OWNED)

    async def require_over(self, erasure: Erasure) -> None:
        """Refuse while a seat is held.

        Raises:
            UserHasOpenBookings: one is; names the reservations.
        """
        await self._refuse(and_(_mine(erasure), _is_held(erasure)))

    async def erase(self, part: str, erasure: Erasure, limit: int) -> dict[str, int]:
        """Erase so many things of a part at most; rows by table.

        Raises:
            UserHasOpenBookings: a seat is held.
        """
        if part == "keys":
            return await delete_keys(self._connection, idempotency_keys, erasure, limit)
        table = reservations.c
        mine = select(table.reservation_id).where(_mine(erasure))
        ordered = mine.order_by(table.reservation_id).limit(limit).with_for_update()
        ids = list((await self._connection.execute(ordered)).scalars())
        if not ids:
            return {}
        of_these = table.reservation_id.in_(ids)
        await self._refuse(and_(of_these, _is_held(erasure)))
        named = update(reservations).where(of_these).values(user_id=erasure.replacement)
        await self._connection.execute(named)
        return {"reservations": len(ids)}

    async def _refuse(self, where: ColumnElement[bool]) -> None:
        found = select(reservations.c.reservation_id).where(where).limit(NAMED_MAX)
        ids = list((await self._connection.execute(found)).scalars())
        if ids:
            raise UserHasOpenBookings(ids)


def _mine(erasure: Erasure) -> ColumnElement[bool]:
    table = reservations.c
    return and_(table.user_id == erasure.user_id, table.created_at < erasure.before)


def _is_held(erasure: Erasure) -> ColumnElement[bool]:
    table = reservations.c
    return and_(table.status == ReservationStatus.ACTIVE, table.expires_at > erasure.now)
