"""Two replicas of each service behind one gateway: any of them may be killed under load."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from google.type.decimal_pb2 import Decimal
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc
from support.databases import MARIADB, Databases, require, url_of
from support.sentinel import free_ports
from support.tokens import AUDIENCE, SECRET, token_for

import auditor
from auditor.journal import read_journal
from chassis.tokens import Minter
from cli import calls
from cli.cluster import services
from cli.cluster.load import Load, seats
from cli.cluster.parts import Part
from cli.programs import BOOKING, GATEWAY, SERVICES

pytestmark = pytest.mark.timeout(300)

WAIT_S = 60.0
SEATS = 3000
# So many bookings while one is away: both ways round must have been taken.
BOOKED = 6
LOOK_EVERY_S = 0.2
NOWHERE = "127.0.0.1:1"
TOLD = {
    "AUTH_JWT_SECRET": SECRET,
    "BOOKING_LEASE_S": "1",
    "BOOKING_RECOVERY_INTERVAL_S": "0.2",
    "PAYMENT_MOCK_DELAY_MIN_S": "0",
    "PAYMENT_MOCK_DELAY_MAX_S": "0",
    "PAYMENT_MOCK_SUCCESS_RATE": "1",
    "GATEWAY_RATE_PER_S": "0",
}


@pytest.fixture
async def urls(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The databases of the services, and the provider's own books."""
    async with Databases(require(MARIADB), tmp_path) as databases:
        found = {one.prefix: url_of(await databases.fresh(one.name)) for one in SERVICES}
        found["PAYMENT_MOCK"] = await databases.empty()
        # The first of their servers is away, all the time.
        yield {name: url.replace("@", f"@{NOWHERE},", 1) for name, url in found.items()}


@pytest.fixture
def parts(urls: dict[str, str], tmp_path: Path) -> Iterator[list[Part]]:
    """The replicas and the gateway, started, and gone afterwards."""
    ports = free_ports()
    environment = {
        **TOLD,
        **{f"{prefix}_DATABASE_URL": url for prefix, url in urls.items()},
        **{
            f"{caller.prefix}_{called.prefix}_TARGET": services.target(ports, called)
            for caller in (BOOKING, GATEWAY)
            for called in SERVICES
        },
    }
    parts = services.replicas(ports, tmp_path, environment)
    parts.append(services.gateway(ports, tmp_path, environment))
    try:
        for part in parts:
            part.start()
        for part in parts:
            part.wait_ready()
        yield parts
    finally:
        for part in parts:
            part.kill()


def create_event(port: int) -> int:
    request = pb.CreateEventRequest(
        name="An event",
        currency="USD",
        seats=[
            pb.CreateEventRequest.NewSeat(seat_number=one, price=Decimal(value="75.00"))
            for one in seats(SEATS)
        ],
    )
    with calls.open_channel(f"127.0.0.1:{port}") as channel:
        create = rpc.InventoryServiceStub(channel).CreateEvent
        made = calls.call(create, request, token=token_for("ann", "admin"), key="event")
    return made.message.event_id


async def until_booked(load: Load, more: int) -> None:
    """Wait until so many more bookings are confirmed."""
    wanted = len(load.seen.confirmed_at) + more
    async with asyncio.timeout(WAIT_S):
        while True:
            if len(load.seen.confirmed_at) >= wanted:
                return
            await asyncio.sleep(0.02)


async def until_all_called(replicas: list[Part]) -> None:
    """Wait until each replica has had a call: they are found one by one."""
    async with asyncio.timeout(WAIT_S):
        while True:
            if all('"call"' in part.log.read_text() for part in replicas):
                return
            await asyncio.sleep(LOOK_EVERY_S)


async def test_a_replica_of_each_service_is_killed_under_load(
    parts: list[Part], urls: dict[str, str], tmp_path: Path
) -> None:
    """Both replicas get calls; with one killed the other goes on, and nothing is lost."""
    *replicas, gateway = parts
    journal = tmp_path / "journal.jsonl"
    event_id = await asyncio.to_thread(create_event, replicas[0].port)
    load = Load(f"127.0.0.1:{gateway.port}", event_id, Minter(SECRET, AUDIENCE), journal)
    buying = asyncio.create_task(load.run())
    await until_all_called(replicas)

    for part in replicas[:: len(services.REPLICAS)]:
        part.kill()
        await until_booked(load, BOOKED)
        part.start()
        await asyncio.to_thread(part.wait_ready)
    load.end()
    async with asyncio.timeout(WAIT_S):
        await buying
    assert load.seen.open == 0
    assert len(read_journal(journal)) >= len(load.seen.confirmed_at) >= BOOKED * len(SERVICES)
    await settles(urls, journal)


async def settles(urls: dict[str, str], journal: Path) -> None:
    """Wait until the auditor finds nothing: what is still open ends, what is wrong stays."""
    where = auditor.Urls(urls["BOOKING"], urls["PAYMENT"], urls["INVENTORY"], urls["PAYMENT_MOCK"])
    found: list[str] = []
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                answers = read_journal(journal)
                found = [
                    str(one) for one in await auditor.audit(where, answers=answers, settled=True)
                ]
                if not found:
                    return
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise AssertionError("\n".join(found)) from None
