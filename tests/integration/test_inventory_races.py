"""Many buyers at once, at two replicas over one database: no seat is ever sold twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest
from support import build
from support.client import reason_of
from support.databases import Databases, url_of
from support.inventory import InventoryPeople, hosted_inventory
from support.serving import serving

BUYERS = 40
GRANTED = "granted"


@pytest.fixture
async def replicas(databases: Databases) -> AsyncIterator[list[InventoryPeople]]:
    first = await databases.fresh("inventory_svc")
    second = databases.open(url_of(first))
    async with (
        serving(await hosted_inventory(first)) as one,
        serving(await hosted_inventory(second)) as other,
    ):
        yield [InventoryPeople(one), InventoryPeople(other)]


async def attempt(replica: InventoryPeople, event_id: int, buyer: int, *seats: str) -> str:
    """`granted`, or the reason of the refusal."""
    try:
        await replica.hold(event_id, *seats, buyer=f"buyer-{buyer}")
    except grpc.RpcError as error:
        return reason_of(error)
    return GRANTED


async def test_forty_buyers_one_seat(replicas: list[InventoryPeople]) -> None:
    """Of forty buyers of one seat exactly one gets it, and the others are told why not."""
    event_id = await replicas[0].event(["A1"])
    outcomes = await asyncio.gather(
        *(attempt(replicas[buyer % 2], event_id, buyer, "A1") for buyer in range(BUYERS))
    )
    assert Counter(outcomes) == {GRANTED: 1, "SEAT_NOT_AVAILABLE": BUYERS - 1}


async def test_forty_buyers_of_overlapping_pairs(replicas: list[InventoryPeople]) -> None:
    """Forty buyers ask for neighbouring seats in either order: each winner has two seats alone."""
    seats = [f"S{number}" for number in range(10)]
    event_id = await replicas[0].event(seats)
    pairs = [(seats[buyer % 10], seats[(buyer + 1) % 10]) for buyer in range(BUYERS)]
    outcomes = await asyncio.gather(
        *(
            attempt(replicas[buyer % 2], event_id, buyer, *pair[:: 1 if buyer % 4 < 2 else -1])
            for buyer, pair in enumerate(pairs)
        )
    )
    sold = Counter(
        seat
        for pair, outcome in zip(pairs, outcomes, strict=True)
        if outcome == GRANTED
        for seat in pair
    )
    assert sold
    assert set(sold.values()) == {1}
    assert set(outcomes) <= {GRANTED, "SEAT_NOT_AVAILABLE"}
    held = {
        seat
        for seat, status in (await replicas[1].seat_statuses(event_id)).items()
        if status == "HELD"
    }
    assert held == set(sold)


async def test_forty_repeats_of_one_key(replicas: list[InventoryPeople]) -> None:
    """Forty calls with one key reserve once, and all get the same reservation."""
    event_id = await replicas[0].event(["A1", "A2"])
    request = build.reserve(event_id, "A1")
    answers = await asyncio.gather(
        *(
            replicas[call % 2].buyer("ann").ReserveSeats(request, idempotency_key="k")
            for call in range(BUYERS)
        )
    )
    assert len({answer.reservations[0].reservation_id for answer in answers}) == 1


async def test_confirmation_against_cancellation(replicas: list[InventoryPeople]) -> None:
    """Confirmed and cancelled at once, twenty times: in the end all is cancelled and free."""
    seats = [f"S{number}" for number in range(20)]
    event_id = await replicas[0].event(seats)
    held = await replicas[0].hold(event_id, *seats)
    confirms = [replicas[0].service.ConfirmReservations(build.confirm(one)) for one in held]
    cancels = [replicas[1].service.CancelReservations(build.cancel(one)) for one in held]
    outcomes = await asyncio.gather(*confirms, *cancels, return_exceptions=True)
    refusals = [reason_of(one) for one in outcomes if isinstance(one, grpc.RpcError)]
    assert set(refusals) <= {"RESERVATION_NOT_ACTIVE"}
    assert set(await replicas[0].statuses(*held)) == {"CANCELLED"}
    assert set((await replicas[0].seat_statuses(event_id)).values()) == {"AVAILABLE"}


async def test_one_confirmation_of_two_bookings(replicas: list[InventoryPeople]) -> None:
    """Two bookings that confirm one reservation at once: exactly one of them has the seat."""
    seats = [f"S{number}" for number in range(20)]
    held = await replicas[0].hold(await replicas[0].event(seats), *seats)
    calls = [
        replica.service.ConfirmReservations(build.confirm(one, booking=f"BK-{number}"))
        for one in held
        for number, replica in enumerate(replicas)
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refusals = [reason_of(one) for one in outcomes if isinstance(one, grpc.RpcError)]
    assert refusals == ["RESERVATION_NOT_ACTIVE"] * len(seats)
