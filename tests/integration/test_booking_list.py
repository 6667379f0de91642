"""What an operator sees of everyone's bookings, and how the database finds them."""

from typing import Any

import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc
from sqlalchemy import event, text
from support import bookings
from support.bookings import POOR_CARD, Stack, confirm_request, on_sqlite
from support.client import refused
from support.databases import MARIADB, Databases
from support.sagas import a_booking
from support.tokens import metadata_for

from booking_svc.domain.booking import BookedSeat, BookingStatus
from booking_svc.persistence.repository import SqlBookings
from chassis.database import Database, DatabaseTransactions

stack = bookings.stack
ENOUGH_TO_CHOOSE = 200


async def listed(stack: Stack, scope: str = "admin", **request: Any) -> pb.ListBookingsResponse:
    stub = rpc.BookingServiceStub(await stack.channel(stack.bookings[0]))
    asked = pb.ListBookingsRequest(**request)
    return await stub.ListBookings(asked, metadata=metadata_for("olga", scope), timeout=30)


async def references(stack: Stack, **request: Any) -> list[list[str]]:
    """The bookings of all pages, page by page."""
    pages, token = [], ""
    while not pages or token:
        page = await listed(stack, page_token=token, **request)
        pages.append([one.booking_reference for one in page.bookings])
        token = page.next_page_token
    return pages


async def test_everyones_bookings_are_listed(stack: Stack) -> None:
    """Bookings of all users come newest first, each once, page by page, or in one status only."""
    first = await stack.buyer("ann").confirm(await stack.buyer("ann").hold("A1"), "k")
    stack.clock.move(1)
    poor = confirm_request(await stack.buyer("bob").hold("A2"), POOR_CARD)
    await stack.buyer("bob").asks(poor)
    (second,) = (await stack.buyer("bob").mine()).bookings
    stack.clock.move(1)
    third = await stack.buyer("cleo").confirm(await stack.buyer("cleo").hold("A3"), "k")
    newest_first = [one.booking_reference for one in (third, second, first)]
    assert await references(stack) == [newest_first]
    assert await references(stack, page_size=2) == [newest_first[:2], newest_first[2:]]
    confirmed = pb.Booking.CONFIRMED
    assert await references(stack, page_size=1, status=confirmed) == [
        newest_first[:1],
        newest_first[2:],
    ]
    assert await references(stack, status=pb.Booking.PENDING) == [[]]
    assert list((await listed(stack)).bookings) == [third, second, first]


@on_sqlite
async def test_a_page_of_another_list(stack: Stack) -> None:
    """A token of another status' list, or of none, and a status that there is not, are refused."""
    ann = stack.buyer("ann")
    for number in (1, 2):
        await ann.confirm(await ann.hold(f"A{number}"), f"k{number}")
        stack.clock.move(1)
    token = (await listed(stack, page_size=1)).next_page_token
    for request in (
        {"page_token": token, "status": pb.Booking.CONFIRMED},
        {"page_token": "not a token"},
        {"status": 99},
        {"page_size": -1},
    ):
        with refused("INVALID_FIELD"):
            await listed(stack, **request)
    with refused("SCOPE_MISSING", scopes="admin"):
        await listed(stack, "bookings payments inventory")


async def plan(database: Database, status: BookingStatus | None, before: int | None) -> str:
    """How the database finds a page: the words with which it explains the statement."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        sent.append((statement, values))

    engine = database.reader.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    transactions = DatabaseTransactions(database, SqlBookings)
    found = await transactions.read(lambda one: one.all_bookings_before(before, status, 3))
    event.remove(engine, "before_cursor_execute", note)
    assert len(found) == 3
    # One statement for the bookings and one for all their seats.
    (statement, values), _ = sent
    explain = "EXPLAIN" if engine.dialect.name == "mysql" else "EXPLAIN QUERY PLAN"
    async with database.reader.connect() as connection:
        rows = await connection.exec_driver_sql(f"{explain} {statement}", values)
        return " ".join(str(one) for one in rows)


@pytest.mark.parametrize("before", [None, 10_000], ids=["first page", "later page"])
@pytest.mark.parametrize("status", [None, BookingStatus.PENDING])
async def test_a_page_is_found_by_an_index(
    databases: Databases, status: BookingStatus | None, before: int | None
) -> None:
    """A page is read in the order of an index, however many bookings there are; none is sorted."""
    database = await databases.fresh("booking_svc")
    transactions = DatabaseTransactions(database, SqlBookings)

    async def fill(stored: SqlBookings) -> None:
        for number in range(ENOUGH_TO_CHOOSE):
            rare = BookingStatus.PENDING if number % 40 == 0 else BookingStatus.CONFIRMED
            booking = a_booking(
                booking_id=number + 1,
                booking_reference=f"BK-{number}",
                status=rare,
                seats=(BookedSeat(number + 1, "A1", 100),),
            )
            await stored.add_booking(booking)

    await transactions.write(fill)
    if databases.kind == MARIADB:
        async with database.writer.connect() as connection:
            await connection.execute(text("ANALYZE TABLE bookings"))
    told = await plan(database, status, before)
    if status is not None:
        assert "ix_bookings_status" in told
    elif databases.kind == MARIADB:
        assert "PRIMARY" in told
    assert "filesort" not in told
    assert "TEMP B-TREE" not in told
