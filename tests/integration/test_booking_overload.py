"""As many bookings at once as a process may make: more are refused, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from support import redis
from support.bookings import Buyer, Stack, confirm_request, stack_on
from support.client import refused
from support.databases import Databases
from support.redis import RedisServer

from booking_svc.persistence import answers
from booking_svc.saga.runner import Runner

private_redis, redis_server = redis.private_redis, redis.redis_server
CALLERS = 80


@pytest.fixture
async def stack(databases: Databases) -> AsyncIterator[Stack]:
    async with stack_on(databases, booking={"sagas_max": 1}) as stack:
        yield stack


@dataclass
class Counted:
    """How many sagas run, and how many did at most."""

    now: int = 0
    most: int = 0


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted, plain = Counted(), Runner.run

    async def counting(runner: Runner, *what: Any) -> Any:
        counted.now += 1
        counted.most = max(counted.most, counted.now)
        try:
            return await plain(runner, *what)
        finally:
            counted.now -= 1

    monkeypatch.setattr(Runner, "run", counting)
    return counted


async def busy_with(stack: Stack, ann: Buyer, seat: str) -> tuple[asyncio.Task[Any], pb.Booking]:
    """Fill the only place: a booking that is being charged, and the call that made it."""
    held = await ann.hold(seat)
    stack.provider.hold()
    call = asyncio.create_task(ann.asks(confirm_request(held), f"k-{seat}"))
    await stack.provider.asked()
    return call, (await ann.mine()).bookings[0]


async def test_a_crowd(stack: Stack, runs: Counted) -> None:
    """Of many callers at once no more are served than there are places, and the others come again.

    Those that were refused have stored nothing and hold their seats and keys as before.
    """
    ann = stack.buyer("ann")
    seats = [f"S{number}" for number in range(CALLERS)]
    event_id = await stack.people.event(seats)
    half = CALLERS // 2
    held = await ann.hold(*seats[:half], event_id=event_id)
    held += await ann.hold(*seats[half:], event_id=event_id)
    asked = [ann.asks(confirm_request([one]), f"k{one}") for one in held]
    answered = await asyncio.gather(*asked)
    reasons = [one.reason for one in answered]
    assert set(reasons) == {"", "OVERLOADED"}
    assert stack.provider.charges_asked == reasons.count("") == len((await ann.mine(100)).bookings)
    assert runs.most == 1
    refused_one = held[reasons.index("OVERLOADED")]
    assert await stack.people.statuses(refused_one) == ["ACTIVE"]
    assert not (await ann.asks(confirm_request([refused_one]), f"k{refused_one}")).replayed


async def test_what_runs_can_always_be_cancelled(stack: Stack, runs: Counted) -> None:
    """In a full process a booking that is in the making there can still be called off."""
    ann = stack.buyer("ann")
    call, pending = await busy_with(stack, ann, "A1")
    present = await ann.cancel(pending.booking_id, timeout_s=3)
    assert present.status == pb.Booking.CANCELLING
    stack.provider.release()
    await stack.passing(ann.sees(pending.booking_id, "CANCELLED"), step_s=1)
    await call
    assert runs.most <= 2
    assert sum(stack.provider.taken.values()) == sum(stack.provider.returned.values())


async def test_no_room_to_cancel_another(stack: Stack) -> None:
    """In a full process a booking that is not in the making there is not cancelled but stays."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold("A1"), "first")
    call, _ = await busy_with(stack, ann, "A2")
    with refused("OVERLOADED"):
        await ann.cancel(booking.booking_id)
    assert await ann.get(booking.booking_id) == booking
    stack.provider.release()
    await call
    assert (await ann.cancel(booking.booking_id)).status == pb.Booking.CANCELLED


async def test_an_answer_needs_no_room(
    databases: Databases, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a full process a key that has its answer gets it, also when the fast copy forgot it."""
    # A slow machine must hear it too.
    monkeypatch.setattr(answers, "BUDGET_S", 20.0)
    told = {"sagas_max": 1, "redis_url": redis_server.url}
    async with stack_on(databases, booking=told) as stack:
        ann = stack.buyer("ann")
        request = confirm_request(await ann.hold("A1"))
        first = await ann.asks(request, "first")
        call, _ = await busy_with(stack, ann, "A2")
        redis_server.flush()
        for _ in range(2):
            again = await ann.asks(request, "first")
            assert (again.same, again.replayed) == (first.same, True)
        stack.provider.release()
        await call
        assert stack.provider.charges_asked == 2
