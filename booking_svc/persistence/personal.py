"""The port `PersonalData` in SQL: what bookings have of persons. Nothing here commits."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from booking_svc.domain.booking import SETTLED
from booking_svc.domain.errors import UserHasOpenBookings
from booking_svc.persistence.sagas import BY_HAND, OPEN
from booking_svc.persistence.tables import (
    booking_seats,
    bookings,
    idempotency_keys,
    outbox,
    outbox_counter,
    saga_steps,
    sagas,
)
from booking_svc.saga.machine import ERROR_LENGTH_MAX
from chassis.outbox import OutboxTable
from chassis.personal_tables import Owned, PersonalTables, delete_keys
from chassis.privacy import Erasure

# As many as an answer names.
NAMED_MAX = 20


def _by(user_id: str) -> ColumnElement[bool]:
    """Of a step: whether this person took it by hand. See `usecases/operate_sagas.py`."""
    detail, begins = saga_steps.c.detail, f"by {user_id}: "
    # To LIKE, SQLite's `Ann` is `ann`; to =, MySQL's `by ann:` is `by ann: `.
    same = and_(
        detail.startswith(begins, autoescape=True), func.substr(detail, 1, len(begins)) == begins
    )
    return saga_steps.c.outcome.in_(BY_HAND) & or_(detail == f"by {user_id}", same)


def _ids(user_id: str) -> Select[tuple[int]]:
    return select(bookings.c.booking_id).where(bookings.c.user_id == user_id)


def _references(user_id: str) -> Select[tuple[str]]:
    return select(bookings.c.booking_reference).where(bookings.c.user_id == user_id)


OWNED = (
    Owned(bookings, lambda user: bookings.c.user_id == user),
    Owned(booking_seats, lambda user: booking_seats.c.booking_id.in_(_ids(user))),
    Owned(sagas, lambda user: sagas.c.booking_id.in_(_ids(user))),
    Owned(saga_steps, lambda user: saga_steps.c.booking_id.in_(_ids(user)), _by),
    Owned(outbox, lambda user: outbox.c.subject.in_(_references(user))),
    Owned(idempotency_keys, lambda user: idempotency_keys.c.owner == user),
)


class SqlPersonalData(PersonalTables):
    """What there is of persons, on one connection."""

    # Keys first: a booking without a key is as it should be, a key of somebody else is not.
    parts = ("keys", "bookings", "acts")

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        super().__init__(connection, OWNED)

    async def require_over(self, erasure: Erasure) -> None:
        """Refuse while a booking, or a saga of one, is open.

        Raises:
            UserHasOpenBookings: it is; names them.
        """
        still_open = select(sagas.c.booking_id).where(sagas.c.state.in_(OPEN))
        is_open = or_(bookings.c.status.not_in(SETTLED), bookings.c.booking_id.in_(still_open))
        found = select(bookings.c.booking_reference).where(_mine(erasure), is_open)
        await self._refuse(found.limit(NAMED_MAX))

    async def erase(self, part: str, erasure: Erasure, limit: int) -> dict[str, int]:
        """Erase so many things of a part at most; rows by table.

        Raises:
            UserHasOpenBookings: a booking was begun or cancelled meanwhile.
        """
        match part:
            case "keys":
                return await delete_keys(self._connection, idempotency_keys, erasure, limit)
            case "bookings":
                return await self._bookings(erasure, limit)
            case _:
                return await self._acts(erasure, limit)

    async def _bookings(self, erasure: Erasure, limit: int) -> dict[str, int]:
        mine = select(bookings).where(_mine(erasure)).order_by(bookings.c.booking_id)
        found = await self._connection.execute(mine.limit(limit).with_for_update())
        rows = found.mappings().all()
        if not rows:
            return {}
        ids = [row["booking_id"] for row in rows]
        references = [row["booking_reference"] for row in rows]
        unsettled = {row["booking_id"] for row in rows if row["status"] not in SETTLED}
        running = select(sagas.c.booking_id).where(
            sagas.c.booking_id.in_(ids), sagas.c.state.in_(OPEN)
        )
        unsettled.update((await self._connection.execute(running)).scalars())
        if unsettled:
            raise UserHasOpenBookings(
                row["booking_reference"] for row in rows if row["booking_id"] in unsettled
            )
        for row in rows:
            values: dict[str, Any] = {"user_id": erasure.replacement}
            if row["answer"] is not None:
                values["answer"] = erasure.rewrite(row["answer"], erasure.replacement)
            one = bookings.c.booking_id == row["booking_id"]
            await self._connection.execute(update(bookings).where(one).values(values))
        return await self._what_belongs_to(ids, references, erasure) | {"bookings": len(rows)}

    async def _what_belongs_to(
        self, ids: Sequence[int], references: Sequence[str], erasure: Erasure
    ) -> dict[str, int]:
        begun = update(sagas).where(sagas.c.booking_id.in_(ids))
        # The request id was chosen by the caller.
        blank = begun.values(request_id="", traceparent="", last_error="")
        taken = update(saga_steps).where(
            saga_steps.c.booking_id.in_(ids), saga_steps.c.detail != ""
        )
        told = OutboxTable(self._connection, outbox, outbox_counter)
        return {
            "sagas": (await self._connection.execute(blank)).rowcount,
            "saga_steps": (await self._connection.execute(taken.values(detail=""))).rowcount,
            "outbox": await told.rewrite(
                references, lambda payload: erasure.rewrite(payload, erasure.replacement)
            ),
        }

    async def _acts(self, erasure: Erasure, limit: int) -> dict[str, int]:
        """What the person did to bookings by hand, as an operator: somebody did it."""
        mine = select(saga_steps.c.step_id, saga_steps.c.detail).where(_by(erasure.user_id))
        found = (await self._connection.execute(mine.limit(limit))).all()
        for step_id, detail in found:
            said = f"by {erasure.replacement}{detail.removeprefix(f'by {erasure.user_id}')}"
            one = update(saga_steps).where(saga_steps.c.step_id == step_id)
            await self._connection.execute(one.values(detail=said[:ERROR_LENGTH_MAX]))
        return {"saga_steps": len(found)} if found else {}

    async def _refuse(self, found: Select[tuple[str]]) -> None:
        references = (await self._connection.execute(found)).scalars().all()
        if references:
            raise UserHasOpenBookings(map(str, references))


def _mine(erasure: Erasure) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = bookings.c.user_id == erasure.user_id
    return mine & (bookings.c.created_at < erasure.before)
