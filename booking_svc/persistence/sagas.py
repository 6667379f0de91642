"""The port `SagaStore` in SQL. Nothing here commits: the unit of work does."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CursorResult,
    RowMapping,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from booking_svc.persistence.tables import bookings, saga_steps, sagas
from booking_svc.ports import Counted
from booking_svc.saga.definition import DEFINITIONS, VERSION_MARK
from booking_svc.saga.machine import Direction, Lease, Saga, State
from booking_svc.saga.runner import StepRecord, Verdict

# Of which more may come.
OPEN = (State.RUNNING, State.NEEDS_ATTENTION)
# What operators did. It belongs to the books: no database shows it but in their words.
BY_HAND = (Verdict.RESOLVED, Verdict.RETRIED)
# Ids in one statement.
RENEW_MAX = 500


class SqlSagas:
    """Sagas and their timelines on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Work on this connection."""
        self._connection = connection

    async def add(self, saga: Saga) -> None:
        """Store a new saga."""
        await self._connection.execute(insert(sagas).values(_row(saga)))

    async def save(self, saga: Saga) -> bool:
        """Store where a saga stands; false if its attempt is over or it is stored already."""
        fence = and_(sagas.c.attempt == saga.attempt, sagas.c.revision == saga.revision - 1)
        running = sagas.c.state == State.RUNNING
        return await self._changes(_one(saga), fence, running, to=_row(saga))

    async def find(self, booking_id: int, definition: str) -> Saga | None:
        """A saga of a booking, if it has one of this name, or of this family."""
        found = select(sagas).where(_of_family(booking_id, definition))
        row = (await self._connection.execute(found)).mappings().one_or_none()
        return None if row is None else _saga(row)

    async def definitions(self, booking_id: int) -> list[str]:
        """The definitions of the sagas that a booking has."""
        found = select(sagas.c.definition).where(sagas.c.booking_id == booking_id)
        return list((await self._connection.execute(found)).scalars())

    async def supersede(self, booking_id: int, family: str) -> None:
        """End the saga of a family, if it runs, wherever, without doing or undoing more of it."""
        over = {"state": State.SUPERSEDED, "attempt": sagas.c.attempt + 1, "owner": ""}
        await self._changes(_of_family(booking_id, family), _runs(), to=over)

    async def due(self, now: datetime, limit: int, running: Sequence[int]) -> list[Saga]:
        """Sagas whose time has come, longest waiting first, but not of the bookings `running`.

        Nor any whose definition is not known here: a newer replica has begun it, and goes on.
        """
        found = select(sagas).where(_runs(), sagas.c.leased_until <= now, _known())
        if running:
            found = found.where(sagas.c.booking_id.not_in(running))
        ordered = found.order_by(sagas.c.leased_until).limit(limit)
        return [_saga(row) for row in (await self._connection.execute(ordered)).mappings()]

    async def take_over(self, saga: Saga, lease: Lease, now: datetime) -> Saga | None:
        """Lease a saga whose lease is over, under a new attempt; none if somebody was faster."""
        free = and_(sagas.c.attempt == saga.attempt, sagas.c.leased_until <= now)
        to = {**_lease(lease), "attempt": saga.attempt + 1}
        if not await self._unlocked(_one(saga)):
            return None
        if not await self._changes(_one(saga), _runs(), free, to=to):
            return None
        # Read after it is ours: its owner may have written until then.
        return await self.find(saga.booking_id, saga.definition)

    async def renew(self, booking_ids: Sequence[int], lease: Lease) -> None:
        """Move the end of an owner's leases."""
        for start in range(0, len(booking_ids), RENEW_MAX):
            some = sagas.c.booking_id.in_(booking_ids[start : start + RENEW_MAX])
            mine = and_(some, sagas.c.owner == lease.owner, _runs())
            free = await self._unlocked(mine)
            await self._changes(mine, sagas.c.booking_id.in_(free), to=_lease(lease))

    async def hand_back(self, saga: Saga, now: datetime) -> None:
        """End the lease of a saga, unless its attempt is over."""
        free = _lease(Lease("", now))
        await self._changes(_one(saga), sagas.c.attempt == saga.attempt, _runs(), to=free)

    async def release(self, owner: str, now: datetime) -> None:
        """End all leases of an owner."""
        mine = and_(sagas.c.owner == owner, _runs())
        free = await self._unlocked(mine)
        await self._changes(mine, sagas.c.booking_id.in_(free), to=_lease(Lease("", now)))

    async def resting(self, booking_reference: str) -> list[Saga]:
        """The sagas of a booking that nobody runs and whose time has not come."""
        of_booking = sagas.join(bookings, bookings.c.booking_id == sagas.c.booking_id)
        found = (
            select(sagas)
            .select_from(of_booking)
            .where(bookings.c.booking_reference == booking_reference, _runs(), sagas.c.owner == "")
        )
        return [_saga(row) for row in (await self._connection.execute(found)).mappings()]

    async def reopen(self, saga: Saga) -> bool:
        """Store a saga that was parked and goes on, under its new attempt; false if it was not."""
        parked = and_(sagas.c.attempt == saga.attempt - 1, sagas.c.state == State.NEEDS_ATTENTION)
        return await self._changes(_one(saga), parked, to=_row(saga))

    async def before(
        self, last: tuple[int, str] | None, state: State | None, booking_reference: str, limit: int
    ) -> list[tuple[Saga, str]]:
        """Sagas older than one, newest first, with the references of their bookings."""
        of_booking = sagas.join(bookings, bookings.c.booking_id == sagas.c.booking_id)
        found = select(sagas, bookings.c.booking_reference).select_from(of_booking)
        if last is not None:
            found = found.where(_older_than(*last))
        if state is not None:
            found = found.where(sagas.c.state == state)
        if booking_reference:
            found = found.where(bookings.c.booking_reference == booking_reference)
        ordered = found.order_by(sagas.c.booking_id.desc(), sagas.c.definition.desc())
        return await self._with_references(ordered.limit(limit))

    async def census(self, states: Sequence[State]) -> dict[State, Counted]:
        """How many sagas are in each of these states, and since when; not those without any."""
        found = (
            select(sagas.c.state, func.count(), func.min(sagas.c.began_at))
            .where(sagas.c.state.in_(states))
            .group_by(sagas.c.state)
        )
        rows = (await self._connection.execute(found)).all()
        return {State(state): Counted(count, oldest) for state, count, oldest in rows}

    async def unknown(self, states: Sequence[State]) -> dict[str, int]:
        """How many sagas are in these states, by definition, of those that are not known here."""
        found = (
            select(sagas.c.definition, func.count())
            .where(sagas.c.state.in_(states), ~_known())
            .group_by(sagas.c.definition)
        )
        rows = (await self._connection.execute(found)).all()
        return {row.definition: row[1] for row in rows}

    async def add_step(self, step_id: int, saga: Saga, step: StepRecord) -> None:
        """Store what an action came to."""
        row = {
            "step_id": step_id,
            "booking_id": saga.booking_id,
            "definition": saga.definition,
            "step": step.step,
            "action": step.action,
            "attempt": step.attempt,
            "outcome": step.verdict,
            "detail": step.detail,
            "began_at": step.began_at,
            "took_ms": round(step.took_s * 1000),
        }
        await self._connection.execute(insert(saga_steps).values(row))

    async def steps(self, booking_id: int, definition: str, limit: int) -> list[StepRecord]:
        """The timeline of a saga, oldest first, its last `limit` entries."""
        mine = and_(saga_steps.c.booking_id == booking_id, saga_steps.c.definition == definition)
        found = select(saga_steps).where(mine).order_by(saga_steps.c.step_id.desc()).limit(limit)
        rows = (await self._connection.execute(found)).mappings().all()
        return [_step(row) for row in reversed(rows)]

    async def purge_steps(self, before: datetime, limit: int) -> int:
        """Delete from timelines without a step since `before`, `limit` at most; how many."""
        later = saga_steps.alias("later")
        same = and_(
            later.c.booking_id == saga_steps.c.booking_id,
            later.c.definition == saga_steps.c.definition,
        )
        its_saga = and_(
            sagas.c.booking_id == saga_steps.c.booking_id,
            sagas.c.definition == saga_steps.c.definition,
        )
        old = select(saga_steps.c.step_id).where(
            saga_steps.c.began_at < before,
            saga_steps.c.outcome.not_in(BY_HAND),
            ~exists().where(same, later.c.began_at >= before),
            ~exists().where(its_saga, sagas.c.state.in_(OPEN)),
        )
        ordered = old.order_by(saga_steps.c.began_at).limit(limit)
        found = list((await self._connection.execute(ordered)).scalars())
        if found:
            of_these = saga_steps.c.step_id.in_(found)
            await self._connection.execute(delete(saga_steps).where(of_these))
        return len(found)

    async def _unlocked(self, where: Any) -> list[int]:
        """Lock those of the rows that nobody has locked; their booking ids.

        A process that froze in the middle of a transaction keeps its rows locked until the server
        notices: to wait for one of them would keep all the others waiting.
        """
        found = select(sagas.c.booking_id).where(where).with_for_update(skip_locked=True)
        return list((await self._connection.execute(found)).scalars())

    async def _with_references(self, found: Select[Any]) -> list[tuple[Saga, str]]:
        rows = [dict(row) for row in (await self._connection.execute(found)).mappings()]
        references = [row.pop("booking_reference") for row in rows]
        return [(_saga(row), name) for row, name in zip(rows, references, strict=True)]

    async def _changes(self, *where: Any, to: dict[str, Any]) -> bool:
        done: CursorResult[Any] = await self._connection.execute(
            update(sagas).where(*where).values(to)
        )
        return done.rowcount >= 1


def _one(saga: Saga) -> Any:
    return _of(saga.booking_id, saga.definition)


def _of(booking_id: int, definition: str) -> Any:
    return and_(sagas.c.booking_id == booking_id, sagas.c.definition == definition)


def _of_family(booking_id: int, family: str) -> Any:
    newer = sagas.c.definition.startswith(family + VERSION_MARK, autoescape=True)
    return and_(sagas.c.booking_id == booking_id, or_(sagas.c.definition == family, newer))


def _known() -> Any:
    return sagas.c.definition.in_(list(DEFINITIONS))


def _runs() -> Any:
    return sagas.c.state == State.RUNNING


def _older_than(booking_id: int, definition: str) -> Any:
    same = and_(sagas.c.booking_id == booking_id, sagas.c.definition < definition)
    return or_(sagas.c.booking_id < booking_id, same)


def _lease(lease: Lease) -> dict[str, Any]:
    return {"owner": lease.owner, "leased_until": lease.until}


def _row(saga: Saga) -> dict[str, Any]:
    row = dict(vars(saga))
    lease: Lease = row.pop("lease")
    return {**row, **_lease(lease)}


def _saga(row: RowMapping | dict[str, Any]) -> Saga:
    fields = dict(row)
    lease = Lease(fields.pop("owner"), fields.pop("leased_until"))
    state, direction = State(fields.pop("state")), Direction(fields.pop("direction"))
    return Saga(**fields, lease=lease, state=state, direction=direction)


def _step(row: RowMapping) -> StepRecord:
    return StepRecord(
        step=row["step"],
        action=row["action"],
        attempt=row["attempt"],
        verdict=Verdict(row["outcome"]),
        detail=row["detail"],
        began_at=row["began_at"],
        took_s=timedelta(milliseconds=row["took_ms"]).total_seconds(),
    )
