"""Creating events and listing their seats."""

import re

import grpc
import pytest
from grpc_status import rpc_status
from holdfast.inventory.v1 import inventory_pb2 as pb
from support import build
from support.client import bad_fields, reason_of, refused, replayed
from support.databases import SQLITE
from support.inventory import InventoryPeople

# For what is refused before any database is asked.
on_sqlite = pytest.mark.parametrize("database_kind", [SQLITE], indirect=True)
# Where gRPC begins to refuse metadata.
ANSWER_BYTES_MAX = 8192


async def list_all(inventory: InventoryPeople, event_id: int, page_size: int) -> list[list[str]]:
    """The seat numbers of all pages, page by page."""
    pages, token = [], ""
    while not pages or token:
        request = pb.ListSeatsRequest(event_id=event_id, page_size=page_size, page_token=token)
        page = await inventory.buyer("ann").ListSeats(request)
        pages.append([seat.seat_number for seat in page.seats])
        token = page.next_page_token
    return pages


async def test_an_event_comes_back_as_it_was_given(inventory: InventoryPeople) -> None:
    """CreateEvent returns the event, and its seats keep number, price and order."""
    event = await inventory.admin.CreateEvent(
        build.create_event(["B2", "A1"], price="1.500", currency="KWD")
    )
    page = await inventory.buyer("ann").ListSeats(pb.ListSeatsRequest(event_id=event.event_id))
    assert (event.name, event.currency, event.seat_count) == ("Gala", "KWD", 2)
    assert 0 < event.event_id < 2**53
    assert [(s.seat_number, s.price.value) for s in page.seats] == [
        ("B2", "1.500"),
        ("A1", "1.500"),
    ]
    assert (page.currency, page.next_page_token) == ("KWD", "")


@pytest.mark.parametrize(
    ("page_size", "lengths"),
    [(0, [100] * 25), (1000, [1000, 1000, 500]), (2000, [1000, 1000, 500]), (1250, [1000] * 2)],
    ids=["default", "most", "cut down", "cut down, not exact"],
)
async def test_pages_have_every_seat_once(
    inventory: InventoryPeople, page_size: int, lengths: list[int]
) -> None:
    """2,500 seats come in order, none twice and none missing, whatever the page size."""
    seat_numbers = [f"S{number}" for number in range(sum(lengths))]
    pages = await list_all(inventory, await inventory.event(seat_numbers), page_size)
    assert [len(page) for page in pages] == lengths
    assert [number for page in pages for number in page] == seat_numbers


async def test_a_hundred_thousand_seats_in_one_call(inventory: InventoryPeople) -> None:
    """CreateEvent takes 100,000 seats, and the last of them can be reserved."""
    event_id = await inventory.event(f"row-{number // 500}-{number}" for number in range(100_000))
    assert await inventory.hold(event_id, "row-199-99999")


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (build.create_event(["A1", "A2", "A1"]), {"seats[2].seat_number"}),
        (build.create_event(["A1"], price="1.5", currency="JPY"), {"seats[0].price"}),
        (build.create_event(["A1", "A2"], price="0"), {"seats[0].price", "seats[1].price"}),
        (build.create_event(currency="XXX"), {"currency"}),
        (build.create_event(["", " A1"], currency="usd"), None),
    ],
    ids=["seat twice", "decimals", "zero", "no such currency", "rules of the contract"],
)
async def test_a_wrong_event_is_refused_whole(
    inventory: InventoryPeople, request_: pb.CreateEventRequest, fields: set[str] | None
) -> None:
    """Every bad field is named, those of the domain and those of the contract."""
    with pytest.raises(grpc.RpcError) as caught:
        await inventory.admin.CreateEvent(request_)
    expected = fields or {"seats[0].seat_number", "seats[1].seat_number", "currency"}
    assert set(bad_fields(caught.value)) == expected
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@on_sqlite
@pytest.mark.parametrize("count", [100, 100_000])
@pytest.mark.parametrize(
    ("seat_number", "price"),
    [("", "75.00"), ("A1", "75.00"), ("座" * 32, "1.001")],
    ids=["rules of the contract", "seat many times", "decimals"],
)
async def test_many_bad_seats_fit_an_answer(
    inventory: InventoryPeople, count: int, seat_number: str, price: str
) -> None:
    """However many seats are bad, the refusal reaches the client, with the first ones by name."""
    request = build.create_event([seat_number] * count, price=price)
    with pytest.raises(grpc.RpcError) as caught:
        await inventory.admin.CreateEvent(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "INVALID_FIELD"
    assert 3 < len(bad_fields(caught.value)) < 100
    assert re.search(r"; and \d+ more$", caught.value.details())
    assert rpc_status.from_call(caught.value).ByteSize() < ANSWER_BYTES_MAX


async def test_seat_numbers_are_exact(inventory: InventoryPeople) -> None:
    """`a1` and `A1` are two seats, and neither is `A1` with a space."""
    event_id = await inventory.event(["A1", "a1"])
    await inventory.hold(event_id, "a1")
    assert await inventory.seat_statuses(event_id) == {"A1": "AVAILABLE", "a1": "HELD"}
    with refused("INVALID_FIELD"):
        await inventory.hold(event_id, "A1 ")


async def test_only_the_admin_creates_events(inventory: InventoryPeople) -> None:
    """A buyer's token does not create events."""
    with refused("SCOPE_MISSING", scopes="admin"):
        await inventory.buyer("ann").CreateEvent(build.create_event())


async def test_a_list_of_no_event_or_of_another_is_refused(inventory: InventoryPeople) -> None:
    """An unknown event is NOT_FOUND; a page token of another event is INVALID_FIELD."""
    with refused("EVENT_NOT_FOUND", eventId="1"):
        await inventory.buyer("ann").ListSeats(pb.ListSeatsRequest(event_id=1))
    first, second = await inventory.event(), await inventory.event()
    page = await inventory.admin.ListSeats(pb.ListSeatsRequest(event_id=first, page_size=1))
    with refused("INVALID_FIELD"):
        await inventory.admin.ListSeats(
            pb.ListSeatsRequest(event_id=second, page_token=page.next_page_token)
        )


async def test_a_key_creates_one_event(inventory: InventoryPeople) -> None:
    """The same key and request return the first event and say so; another request is refused."""
    first = inventory.admin.CreateEvent(build.create_event(), idempotency_key="k")
    assert not await replayed(first)
    again = inventory.admin.CreateEvent(build.create_event(), idempotency_key="k")
    assert await replayed(again)
    assert await again == await first
    with refused("IDEMPOTENCY_KEY_REUSED"):
        await inventory.admin.CreateEvent(build.create_event(price="76.00"), idempotency_key="k")


async def test_events_are_listed(inventory: InventoryPeople) -> None:
    """Events come newest first, each once, page by page, for any buyer."""
    made = [await inventory.admin.CreateEvent(build.create_event()) for _ in range(3)]
    # Ids are ordered by time.
    newest_first = sorted(made, key=lambda one: one.event_id, reverse=True)
    ann = inventory.buyer("ann")
    assert list((await ann.ListEvents(pb.ListEventsRequest())).events) == newest_first
    first = await ann.ListEvents(pb.ListEventsRequest(page_size=2))
    assert list(first.events) == newest_first[:2]
    rest = pb.ListEventsRequest(page_size=2, page_token=first.next_page_token)
    second = await ann.ListEvents(rest)
    assert (list(second.events), second.next_page_token) == (newest_first[2:], "")


@on_sqlite
async def test_no_list_of_events(inventory: InventoryPeople) -> None:
    """A page token of seats is none of events; a negative size is refused; so is a service."""
    event_id = await inventory.event()
    seats = await inventory.admin.ListSeats(pb.ListSeatsRequest(event_id=event_id, page_size=1))
    for request in (
        pb.ListEventsRequest(page_token=seats.next_page_token),
        pb.ListEventsRequest(page_size=-1),
    ):
        with refused("INVALID_FIELD"):
            await inventory.admin.ListEvents(request)
    with refused("SCOPE_MISSING", scopes="bookings"):
        await inventory.service.ListEvents(pb.ListEventsRequest())
