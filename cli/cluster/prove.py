"""Kills each process of a cluster in turn while buyers buy; the auditor says what is lost."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from google.type.decimal_pb2 import Decimal
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc

from cli import calls, signing
from cli.cluster.cluster import LOGS, Cluster
from cli.cluster.cost import Cost
from cli.cluster.load import Load, Seen, seats
from cli.cluster.parts import Part
from cli.cluster.ports import Ports
from cli.failure import Failure
from cli.programs import INVENTORY, SERVICES
from cli.screen import out
from cli.signing import Signing

SEATS = 10_000
# How long it runs before the first is killed, how long each stays away, and how long it has after.
WARM_UP_S = 4.0
MEASURE_S = 15.0
AWAY_S = 5.0
AFTER_S = 3.0
# Service must be there again after so long, whatever was killed.
GAP_MAX_S = 20.0
# What was begun ends, and what was left is taken over, within this.
END_MAX_S = 60.0
AUDITS_MAX = 12
AUDIT_EVERY_S = 5.0
JOURNAL = LOGS / "journal.jsonl"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Kill:
    """What came of the death of one part."""

    name: str
    # The longest time without a booking, from its death until a while after its return.
    gap_s: float
    booked: int
    errors: str
    back_s: float


def run(ports: Ports, say: Say) -> bool:
    """Prove it; whether it holds."""
    keys = signing.throwaway()
    environment = {
        "AUTH_JWT_SECRET": keys.secret,
        "PAYMENT_MOCK_DELAY_MIN_S": "0",
        "PAYMENT_MOCK_DELAY_MAX_S": "0.1",
        "PAYMENT_MOCK_SUCCESS_RATE": "1",
        # One machine is all load here.
        "GATEWAY_RATE_PER_S": "0",
    }
    with Cluster(ports, environment, say) as cluster:
        for part, took_s in cluster.start():
            say(f"{part.name} works after {took_s:.1f} s")
        event_id = _create_event(ports, keys)
        load = Load(f"127.0.0.1:{ports.gateway}", event_id, keys.minter, JOURNAL)
        kills = asyncio.run(_kill_each(cluster, load, say))
        _show(kills, load.seen)
        findings = _audit(cluster, say)
    slow = [one.name for one in kills if one.gap_s > GAP_MAX_S]
    if slow:
        say(f"no booking for more than {GAP_MAX_S:.0f} s after the death of {', '.join(slow)}")
    if load.seen.open:
        say(f"{load.seen.open} bookings have no final answer")
    return not findings and not slow and not load.seen.open


async def _kill_each(cluster: Cluster, load: Load, say: Say) -> list[Kill]:
    buying = asyncio.create_task(load.run())
    try:
        await asyncio.sleep(WARM_UP_S)
        if not load.seen.confirmed_at:
            message = f"nothing could be booked: {dict(load.seen.errors_of(0, time.monotonic()))}"
            raise Failure(message)
        await _measure(cluster, load.seen)
        kills = []
        for part in cluster.parts:
            kills.append(await _kill(part, load.seen))
            say(f"{part.name}: {kills[-1].gap_s:.1f} s without a booking")
        load.end()
        await asyncio.wait({buying}, timeout=END_MAX_S)
    finally:
        buying.cancel()
        await asyncio.gather(buying, return_exceptions=True)
    return kills


async def _measure(cluster: Cluster, seen: Seen) -> None:
    """Print what a booking costs while nothing is killed; processor time is known on Linux only."""
    booked = len(seen.confirmed_at)
    cost = await asyncio.to_thread(Cost, cluster.parts, cluster.galera.password)
    await asyncio.sleep(MEASURE_S)
    more = len(seen.confirmed_at) - booked
    if more:
        _print([*await asyncio.to_thread(cost.told, more), "", f"measured over {more} bookings"])


async def _kill(part: Part, seen: Seen) -> Kill:
    began, booked = time.monotonic(), len(seen.confirmed_at)
    await asyncio.to_thread(part.kill)
    await asyncio.sleep(AWAY_S)
    part.start()
    back_s = await asyncio.to_thread(part.wait_ready)
    await asyncio.sleep(AFTER_S)
    until = time.monotonic()
    errors = ", ".join(
        f"{what} ({number})" for what, number in seen.errors_of(began, until).items()
    )
    return Kill(
        part.name,
        seen.gap_s(began, until),
        len(seen.confirmed_at) - booked,
        errors or "none",
        back_s,
    )


def _create_event(ports: Ports, keys: Signing) -> int:
    request = pb.CreateEventRequest(
        name="An event of which much is bought",
        currency="USD",
        seats=[
            pb.CreateEventRequest.NewSeat(seat_number=one, price=Decimal(value="75.00"))
            for one in seats(SEATS)
        ],
    )
    target = f"127.0.0.1:{ports.service(INVENTORY.prefix.lower(), 1)}"
    with calls.open_channel(target) as channel:
        create = rpc.InventoryServiceStub(channel).CreateEvent
        token = keys.minter.mint("holdfast-proof", "admin", int(calls.CALL_TIMEOUT_S))
        return calls.call(create, request, token=token, key="proof").message.event_id


def _audit(cluster: Cluster, say: Say) -> bool:
    """Ask the auditor until what was begun has ended; whether it finds something."""
    node = f"127.0.0.1:{cluster.galera.nodes[0].port}"
    urls = [
        f"--{one.prefix.lower()}={cluster.galera.url(one.prefix.lower(), node)}" for one in SERVICES
    ]
    urls.append(f"--provider={cluster.galera.url('provider', node)}")
    command = [sys.executable, "-m", "auditor", *urls, "--settled", f"--journal={JOURNAL}"]
    for _ in range(AUDITS_MAX):
        told = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        if told.returncode == 0:
            break
        time.sleep(AUDIT_EVERY_S)
    say(f"the auditor: {(told.stdout + told.stderr).strip()}")
    return bool(told.returncode)


def _show(kills: list[Kill], seen: Seen) -> None:
    """Print it as a table of Markdown, which `docs/scaling.md` has."""
    lines = ["| killed | no booking for | booked meanwhile | errors that buyers saw |"]
    lines.append("|---|---|---|---|")
    lines += [f"| {one.name} | {one.gap_s:.1f} s | {one.booked} | {one.errors} |" for one in kills]
    lines += ["", f"{len(seen.confirmed_at)} bookings confirmed, {seen.failed} failed"]
    _print(lines)


def _print(lines: list[str]) -> None:
    out.print("\n".join(["", *lines, ""]), markup=False, highlight=False, soft_wrap=True)
