"""The programs of the previous version beside those of this one, over the same databases."""

import asyncio
import itertools
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
from holdfast.booking.v1 import booking_pb2, saga_pb2
from holdfast.booking.v1 import booking_pb2_grpc as booking_rpc
from holdfast.booking.v1 import saga_pb2_grpc as saga_rpc
from support import versions
from support.bookings import GOOD_CARD
from support.client import refused
from support.crash_client import Client
from support.crash_scenarios import SLOW_CARD
from support.crash_world import BOOKING, INVENTORY, PAYMENT, Child, Nursery, together
from support.customers import Crowd, Purchase, answer_to, waiting
from support.databases import MARIADB, SQLITE, Databases, require
from support.source import ROOT, SERVICES
from support.tokens import metadata_for
from support.versions import ZYGOTE, Rollout, previous_commit, unpack

# Whole rollouts, and other tests beside them.
pytestmark = pytest.mark.timeout(600)
ORDER = (INVENTORY, PAYMENT, BOOKING)
# Made under each mixture of versions.
SOME = 2
# Some are killed with a card that nobody else has: in a test that must not take 15 minutes.
SOON = {"BOOKING_CHARGE_GIVE_UP_S": "10"}


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """The programs of the previous version."""
    sources = unpack(previous_commit(), tmp_path_factory.mktemp("previous"))
    nursery = Nursery(ZYGOTE, sources)
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def new() -> Iterator[Nursery]:
    """The programs of this version."""
    nursery = Nursery(ZYGOTE, ROOT)
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def tomorrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """The programs of a version after this one."""
    nursery = Nursery(ZYGOTE, versions.tomorrow(tmp_path_factory.mktemp("tomorrow")))
    yield nursery
    nursery.close()


class Rollouts(Protocol):
    """Makes a world over empty databases of a kind, gone after the test."""

    async def __call__(self, kind: str) -> Rollout: ...


@pytest.fixture
async def rollouts(new: Nursery, tmp_path: Path) -> AsyncIterator[Rollouts]:
    async with AsyncExitStack() as stack:
        numbers = itertools.count()

        async def make(kind: str) -> Rollout:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            databases = await stack.enter_async_context(Databases(require(kind), folder))
            urls = {name: await databases.empty() for name in (*SERVICES, "provider")}
            world = Rollout(new, folder, urls, SOON)
            stack.push_async_callback(world.close)
            await world.open()
            return world

        yield make


async def test_a_rollout_and_the_way_back(rollouts: Rollouts, old: Nursery, new: Nursery) -> None:
    """Replaced one by one under load, killed on the way back, and replaced again: nothing is lost.

    Each service is ahead of the others at some time, and behind them at another.
    """
    world = await rollouts(MARIADB)
    await world.migrates(old)
    for service in ORDER:
        await world.begins(old, service)
    crowd = Crowd(world)
    await crowd.opens()
    async with crowd.at_work():
        await crowd.more(SOME)
        await world.migrates(new, "--phase", "pre")
        await crowd.more(SOME)
        for version, how in ((new, signal.SIGTERM), (old, signal.SIGKILL), (new, signal.SIGTERM)):
            for service in ORDER:
                (before,) = world.fronts[service].replicas
                await world.begins(version, service)
                await crowd.more(SOME)
                await world.ends(before, how)
        await world.migrates(new, "--phase", "post")
        await crowd.more(SOME)
    await world.settles()
    assert crowd.cancelled


async def test_each_key_is_answered_the_same_by_the_other(
    rollouts: Rollouts, old: Nursery, new: Nursery
) -> None:
    """What one version answered, the other answers again, byte for byte, and says so."""
    world = await rollouts(MARIADB)
    await world.migrates(old)
    await world.migrates(new)
    for service in (INVENTORY, PAYMENT):
        await world.begins(new, service)
    crowd = Crowd(world)
    await crowd.opens()
    replicas = [await world.begins(version, BOOKING) for version in (old, new)]
    async with crowd.at_work():
        await crowd.more(8)
    await world.settles()
    async with world.seen_from(replicas[0]) as before, world.seen_from(replicas[1]) as after:
        for one in crowd.purchases:
            said = [await answer_to(one, sight) for sight in (before, after)]
            assert said[0] == said[1], one
            assert said[0][1], one
    calls = [one.log.read_text().count("BookingService/ConfirmBooking") for one in replicas]
    assert min(calls) > len(crowd.purchases)


@pytest.mark.parametrize("kind", [SQLITE, MARIADB])
async def test_what_one_left_the_other_finishes(
    rollouts: Rollouts, old: Nursery, new: Nursery, kind: str
) -> None:
    """Bookings and cancellations that one version was killed with are finished by the other.

    On SQLite, where a program migrates by itself, it is also the way to the new version, and back.
    """
    forth, back = await rollouts(kind), await rollouts(kind)
    await forth.migrates(old)
    await back.migrates(new)
    if kind == MARIADB:
        await forth.migrates(new)
    cases = {
        "by the new": killed_and_finished(forth, old, new),
        "by the old": killed_and_finished(back, new, old),
    }
    await together(cases)


async def killed_and_finished(world: Rollout, dies: Nursery, goes_on: Nursery) -> None:
    killed = [await world.begins(dies, service) for service in ORDER]
    crowd = Crowd(world)
    await crowd.opens()
    done = crowd.purchase(GOOD_CARD)
    assert await crowd.makes(done) == "CONFIRMED"
    first, *others = bought = [crowd.purchase(SLOW_CARD) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(crowd.makes(one)) for one in bought]
        for one in others:
            await waiting(one, world)
        booking_id = await waiting(first, world)
        cancels = group.create_task(Client(world, first.user_id).cancels(booking_id))
        for child in killed:
            await world.ends(child, signal.SIGKILL)
        for service in ORDER:
            await world.begins(goes_on, service)
    assert cancels.result() == "CANCELLED"
    assert [one.result() for one in ends[1:]] == ["CONFIRMED", "CONFIRMED"]
    assert await crowd.makes(done) == "CONFIRMED"
    await world.settles()


async def test_what_only_tomorrow_knows(
    rollouts: Rollouts, new: Nursery, tomorrow: Nursery
) -> None:
    """This version leaves alone what the next one began, and goes when the next one asks it to.

    Sagas of a definition that it does not know wait for the next version; its own are finished by
    that as they began. It starts on the schema of the next `pre`, and not on that of its `post`.
    """
    world = await rollouts(MARIADB)
    await world.migrates(new)
    code, said = await world.runs(tomorrow, BOOKING, "migrate", "--pending")
    assert (code, said) == (3, "pre   9998  Of tomorrow.\npost  9999_post  Of tomorrow.\n")
    await world.migrates(tomorrow)
    for service in (INVENTORY, PAYMENT):
        await world.begins(new, service)
    first, other = [await world.begins(new, BOOKING) for _ in range(2)]
    assert "schema_is_newer" in first.log.read_text()
    crowd = Crowd(world)
    await crowd.opens()
    left = await left_by(world, crowd, await world.begins(tomorrow, BOOKING))
    # By the time that one of our own was taken over, recovery has passed by the other.
    ours = await left_by(world, crowd, first)
    assert await crowd.makes(ours) == "CONFIRMED"
    await is_left_alone(world, left, other)
    ours = await left_by(world, crowd, other)
    last = await world.begins(tomorrow, BOOKING)
    assert [await crowd.makes(one) for one in (left, ours)] == ["CONFIRMED", "CONFIRMED"]
    async with world.seen_from(last) as there:
        assert (await saga_of(there, ours)).name == "confirm_booking"
        timeline = (await saga_of(there, left)).timeline
        assert [one.step for one in timeline][-2:] == ["confirm", "confirm_again"]
    await world.migrates(tomorrow, "--phase", "post")
    code, said = await world.runs(new, BOOKING)
    assert code == 1
    assert "at 9999_post, which this program does not know" in said
    assert await crowd.makes(crowd.purchase(GOOD_CARD)) == "CONFIRMED"
    await world.settles()


async def left_by(world: Rollout, crowd: Crowd, dies: Child) -> Purchase:
    """A booking that waits for its payment when its replica is killed."""
    async with world.seen_from(dies) as there:
        one = crowd.purchase(SLOW_CARD)
        going = asyncio.create_task(crowd.makes(one, there))
        one.booking_id = await waiting(one, there)
        await world.ends(dies, signal.SIGKILL)
        going.cancel()
        await asyncio.wait({going})
    return one


async def is_left_alone(world: Rollout, left: Purchase, replica: Child) -> None:
    """A replica that does not know the saga of a booking does not touch it, and says so."""
    async with world.seen_from(replica) as today:
        saga = await saga_of(today, left)
        assert (saga.name, saga.attempt) == ("confirm_booking/2", 1)
        assert saga.state == saga_pb2.Saga.RUNNING
        assert "does not know" in saga.last_error
        stub = booking_rpc.BookingServiceStub(today.channel(BOOKING))
        request = booking_pb2.CancelBookingRequest(booking_id=left.booking_id)
        with refused("DEPENDENCY_UNAVAILABLE"):
            await stub.CancelBooking(request, metadata=metadata_for(left.user_id))
    facts = [json.loads(line) for line in replica.log.read_text().splitlines()]
    assert [one for one in facts if one["level"] == "error"] == []


async def saga_of(world: Any, one: Purchase) -> saga_pb2.Saga:
    request = saga_pb2.GetSagaRequest(booking_id=one.booking_id, name="confirm_booking")
    stub = saga_rpc.SagaServiceStub(world.channel(BOOKING))
    return await stub.GetSaga(request, metadata=metadata_for("olga", "admin"))


def test_what_was_released_is_still_there(old: Nursery) -> None:
    """Migrations of the previous version are in this one as they were, byte for byte."""
    pattern = "*_svc/persistence/migrations/versions/*.py"
    before = {one.relative_to(old.root): one.read_bytes() for one in old.root.glob(pattern)}
    now = {one.relative_to(ROOT): one.read_bytes() for one in ROOT.glob(pattern)}
    assert before
    assert {name for name in before if now.get(name) != before[name]} == set()
