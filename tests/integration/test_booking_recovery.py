"""Leases: sagas of a process that is gone, hangs or stops are finished by another."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from support import bookings
from support.bookings import Stack, confirm_request, stack_on, until
from support.databases import Databases

from booking_svc.clients.payments import PaymentClient
from booking_svc.domain.outcome import Unknown
from booking_svc.persistence.sagas import SqlSagas
from booking_svc.persistence.tables import saga_steps, sagas
from booking_svc.ports import ChargeOrder
from booking_svc.saga.machine import Saga
from chassis import database as database_module
from chassis.database import Database
from chassis.errors import CommitUnknown

LEASE_S = 60.0
LEASES = {"lease_s": LEASE_S}
# Held for long enough not to be extended, so that nothing but the lease is at stake.
HELD_S = 900.0


async def rows(stack: Stack, table: object) -> list[object]:
    async def unit(connection: object) -> list[object]:
        return list((await connection.execute(select(table))).mappings())

    return await stack.databases["booking_svc"].read(unit)


async def taken_over(stack: Stack) -> None:
    """Wait until the saga has another owner."""

    async def has_another() -> bool:
        return (await rows(stack, sagas))[0]["attempt"] > 1

    await until(has_another)


async def is_renewed(stack: Stack, since: datetime) -> bool:
    """Whether the lease ends later than it did."""
    return (await rows(stack, sagas))[0]["leased_until"] > since


async def test_another_replica_takes_over(databases: Databases) -> None:
    """A saga whose lease is over is finished by another replica; its first owner writes nothing."""
    async with stack_on(databases, replicas=2, booking=LEASES) as stack:
        ann = stack.buyer("ann")
        held = await ann.hold("A1", ttl_s=HELD_S)
        stack.provider.hold()
        pending = await ann.asks(confirm_request(held), timeout_s=3)
        assert pending.booking.status == pb.Booking.PENDING
        (before,) = await rows(stack, sagas)
        stack.clock.move(LEASE_S + 1)
        await taken_over(stack)
        stack.provider.release()
        confirmed = await ann.sees(pending.booking.booking_id, "CONFIRMED")
        (after,) = await rows(stack, sagas)
        assert (after["attempt"], after["state"]) == (2, "SUCCEEDED")
        assert after["owner"] != before["owner"]
        timeline = await rows(stack, saga_steps)
        assert {one["attempt"] for one in timeline} == {2}
        assert stack.provider.charges_asked == 1
        again = await ann.asks(confirm_request(held))
        assert (again.booking, again.replayed) == (confirmed, True)


async def test_a_saga_that_runs_is_not_taken_over(databases: Databases) -> None:
    """A replica renews the leases of what it runs, and nobody else takes it."""
    async with stack_on(databases, replicas=2, booking={"lease_s": 0.6}) as stack:
        ann = stack.buyer("ann")
        held = await ann.hold("A1", ttl_s=HELD_S)
        stack.provider.hold()
        pending = await ann.asks(confirm_request(held), timeout_s=3)
        for _ in range(10):
            (before,) = await rows(stack, sagas)
            stack.clock.move(0.3)
            await until(functools.partial(is_renewed, stack, before["leased_until"]))
        stack.provider.release()
        await ann.sees(pending.booking.booking_id, "CONFIRMED")
        assert (await rows(stack, sagas))[0]["attempt"] == 1


async def test_a_stop_hands_back_what_waits(databases: Databases) -> None:
    """A saga that waits for its next try is handed back by a stop, and goes on elsewhere at once.

    Its card was in memory only, and no charge had arrived: nothing is booked or taken.
    """
    async with stack_on(databases, replicas=2, booking=LEASES) as stack:
        ann, elsewhere = stack.buyer("ann"), stack.buyer("ann", replica=1)
        held = await ann.hold("A1", ttl_s=HELD_S)
        await stack.payment.stop()
        pending = await ann.asks(confirm_request(held), timeout_s=3)
        assert pending.booking.status == pb.Booking.PENDING
        async with asyncio.timeout(bookings.GRACE_S / 2):
            await stack.bookings[0].stop()
        await taken_over(stack)
        await stack.payment.start()
        await stack.passing(elsewhere.sees(pending.booking.booking_id, "FAILED"))
        refused = await elsewhere.asks(confirm_request(held))
        assert (refused.reason, refused.replayed) == ("PAYMENT_FAILED", True)
        assert not stack.provider.taken
        assert await stack.people.statuses(*held) == ["CANCELLED"]


async def test_what_was_cut_short_is_handed_back(databases: Databases) -> None:
    """A call that outlives the grace of a stop is cut, and its saga goes on elsewhere at once."""
    async with stack_on(databases, replicas=2, booking=LEASES, grace_s=0.5) as stack:
        ann, elsewhere = stack.buyer("ann"), stack.buyer("ann", replica=1)
        held = await ann.hold("A1", ttl_s=HELD_S)
        stack.provider.hold()
        pending = await ann.asks(confirm_request(held), timeout_s=3)
        await stack.provider.asked()
        # It takes all of its grace.
        await stack.bookings[0].stop()
        await taken_over(stack)
        stack.provider.release()
        await elsewhere.sees(pending.booking.booking_id, "CONFIRMED")
        assert stack.provider.charges_asked == 1


@pytest.mark.parametrize("replicas", [1, 3])
async def test_many_at_once(databases: Databases, replicas: int) -> None:
    """After a restart every open booking is finished, once, however many replicas look for them."""
    async with stack_on(databases, replicas=replicas, booking=LEASES, grace_s=0.5) as stack:
        ann = stack.buyer("ann")
        event_id = await stack.people.event([f"Z{n}" for n in range(12)])
        held = [await ann.hold(f"Z{n}", event_id=event_id, ttl_s=HELD_S) for n in range(12)]
        stack.provider.hold()
        waiting = [
            ann.asks(confirm_request(ids), key=f"k{n}", timeout_s=4) for n, ids in enumerate(held)
        ]
        pending = await asyncio.gather(*waiting)
        stack.clock.move(LEASE_S + 1)
        await stack.bookings[0].stop()
        stack.provider.release()
        await stack.bookings[0].start()
        for one in pending:
            await stack.passing(ann.sees(one.booking.booking_id, "CONFIRMED"))
        assert stack.provider.charges_asked == len(held)


class LostCommit:
    """The COMMIT of the next new saga gets no answer, and what came of it is long in coming."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_asked, self.may_be_told = asyncio.Event(), asyncio.Event()
        self.found: list[int] = []
        self._is_new: ContextVar[bool] = ContextVar("is_new", default=False)
        self._plain = (SqlSagas.add, SqlSagas.due, Database._commit, Database._look_up)
        for owner, name in ((SqlSagas, "add"), (SqlSagas, "due")):
            monkeypatch.setattr(owner, name, self._method(getattr(self, name)))
        for name in ("_commit", "_look_up"):
            monkeypatch.setattr(Database, name, self._method(getattr(self, name[1:])))
        monkeypatch.setattr(database_module, "LOOK_UP_EVERY_S", 0.01)

    async def add(self, sagas: SqlSagas, saga: Saga) -> None:
        self._is_new.set(True)
        await self._plain[0](sagas, saga)

    async def due(self, sagas: SqlSagas, *what: Any) -> list[Saga]:
        found = await self._plain[1](sagas, *what)
        self.found.append(len(found))
        return found

    async def commit(self, database: Database, connection: AsyncConnection) -> None:
        await self._plain[2](database, connection)
        if self._is_new.get() and not self.is_asked.is_set():
            raise CommitUnknown

    async def look_up(self, database: Database, landed: Any) -> Any:
        self.is_asked.set()
        await self.may_be_told.wait()
        return await self._plain[3](database, landed)

    @staticmethod
    def _method(plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def method(this: Any, *what: Any) -> Any:
            return await plain(this, *what)

        return method


async def test_a_saga_that_begins_here_is_not_lost(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its commit is looked up for longer than its lease, no recovery here takes a saga."""
    async with stack_on(databases, booking=LEASES, grace_s=0.5) as stack:
        ann = stack.buyer("ann")
        held = await ann.hold("A1", ttl_s=HELD_S)
        lost = LostCommit(monkeypatch)
        call = asyncio.create_task(ann.asks(confirm_request(held)))
        await lost.is_asked.wait()
        stack.clock.move(LEASE_S + 1)
        lost.found.clear()

        async def has_looked_twice() -> bool:
            return len(lost.found) > 1

        await until(has_looked_twice)
        assert set(lost.found) == {0}
        lost.may_be_told.set()
        assert (await call).booking.status == pb.Booking.CONFIRMED
        assert (await rows(stack, sagas))[0]["attempt"] == 1
        assert stack.provider.charges_asked == 1


async def test_a_saga_that_was_taken_over_before_it_began(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who learns that its booking was stored when another has taken it over does not run it too.

    The caller is ABORTED, and hears later what became of it.
    """
    charged: list[str] = []

    async def charge(_client: PaymentClient, order: ChargeOrder) -> Unknown:
        charged.append(order.key)
        return Unknown("nobody should have asked")

    async with stack_on(databases, replicas=2, booking=LEASES, grace_s=0.5) as stack:
        ann = stack.buyer("ann")
        held = await ann.hold("A1", ttl_s=HELD_S)
        monkeypatch.setattr(PaymentClient, "charge", charge)
        lost = LostCommit(monkeypatch)
        call = asyncio.create_task(ann.asks(confirm_request(held)))
        await lost.is_asked.wait()
        # So that the other replica does not end it yet.
        await stack.payment.stop()
        stack.clock.move(LEASE_S + 1)
        await taken_over(stack)
        lost.may_be_told.set()
        answered = await call
        assert (answered.code.name, answered.reason) == ("ABORTED", "IDEMPOTENCY_KEY_IN_USE")
        await stack.payment.start()
        (saga,) = await rows(stack, sagas)
        await stack.passing(ann.sees(saga["booking_id"], "FAILED"))
        again = await ann.asks(confirm_request(held))
        assert (again.reason, again.replayed) == ("PAYMENT_FAILED", True)
        assert charged == []
