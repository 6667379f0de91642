"""A replica that sleeps past its lease, and wakes when its work is another's, writes nothing."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from support.audit import read_tables
from support.crash_client import Client
from support.crash_seams import Plan
from support.crash_world import BOOKING, INVENTORY, Child, World, until
from support.databases import KINDS

CHARGE = "confirm_booking/charge/forward"
# What each replica notes for itself: how far it has read what others tell.
OWN = ("cursors",)
# Renewed by whoever has the saga, all the time.
RENEWED = ("leased_until",)
# Where it sleeps, and what became of the booking before it woke.
SLEEPS = {
    # The card sleeps with it: its charge comes when the booking is called off.
    f"{CHARGE}/before-call": "PAYMENT_FAILED",
    f"{CHARGE}/after-call": "CONFIRMED",
    "confirm_booking/confirm/forward/before-call": "CONFIRMED",
    "confirm_booking/confirm/forward/after-call": "CONFIRMED",
    "confirm_booking/charge/backward/before-call": "SEATS_LOST",
    "confirm_booking/hold/backward/after-call": "SEATS_LOST",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("point", "answer"), SLEEPS.items(), ids=SLEEPS)
async def test_a_replica_that_wakes_too_late_writes_nothing(
    worlds: Any, tmp_path: Path, kind: str, point: str, answer: str
) -> None:
    """What was stored when a booking had ended is what is stored after its first replica woke."""
    world: World = await worlds(kind)
    world.plans = {INVENTORY: Plan(loses_seats=answer == "SEATS_LOST")}
    gate = tmp_path / "gate"
    world.successors = {BOOKING: [Plan(hold_at=point, hold_until=str(gate))]}
    ann, held, sleeper = await asleep(world)
    other = await world.start(BOOKING)
    assert await ann.books(held) == answer
    await world.settles()
    await numbered(world)
    # Nobody else writes from here on.
    other.signal(signal.SIGKILL)
    await other.ends()
    before = await stored(world)
    await wakes(sleeper, gate)
    await world.settles()
    assert await stored(world) == before
    assert max(saga["attempt"] for saga in before["sagas"]) > 1


async def numbered(world: World) -> None:
    """Wait until each event has its number: who wakes may give it one, as any replica does."""
    while True:
        events = (await stored(world))["outbox"]
        if all(event["sequence"] is not None for event in events):
            return
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_replica_that_wakes_while_another_works_writes_nothing(
    worlds: Any, tmp_path: Path, kind: str
) -> None:
    """The outcome of a call is not stored by a replica whose saga another one has just begun on."""
    world: World = await worlds(kind)
    gates = tmp_path / "of the sleeper", tmp_path / "of the other"
    points = f"{CHARGE}/after-call", f"{CHARGE}/before-call"
    world.successors[BOOKING] = [
        Plan(hold_at=point, hold_until=str(gate)) for point, gate in zip(points, gates, strict=True)
    ]
    ann, held, sleeper = await asleep(world)
    other = await world.start(BOOKING)
    await other.is_held()
    before = await stored(world, *RENEWED)
    await wakes(sleeper, gates[0])
    assert await stored(world, *RENEWED) == before
    gates[1].touch()
    assert await ann.books(held) == "CONFIRMED"
    await world.settles()


async def asleep(world: World) -> tuple[Client, list[int], Child]:
    """A client, what it wants to book, and the replica that fell asleep over it."""
    await world.start_all()
    ann, sleeper = Client(world), world.present(BOOKING)
    held = await ann.holds(await ann.event("A1", "A2"), "A1", "A2")
    asked = asyncio.create_task(ann.books(held))
    await sleeper.is_held()
    await sleeper.falls_asleep()
    asked.cancel()
    return ann, held, sleeper


async def wakes(sleeper: Child, gate: Path) -> None:
    """Let a replica go on, until it has found out that its saga is another's."""
    gate.touch()  # noqa: ASYNC240 - one file, empty
    sleeper.signal(signal.SIGCONT)
    await until(lambda: '"saga_lost"' in sleeper.log.read_text())


async def stored(world: World, *without: str) -> dict[str, Any]:
    """All that the bookings have stored, but what is each replica's own, and some columns."""
    tables = await read_tables(world.urls[BOOKING])
    return {
        name: [{key: row[key] for key in row if key not in without} for row in rows]
        for name, rows in tables.items()
        if name not in OWN
    }
