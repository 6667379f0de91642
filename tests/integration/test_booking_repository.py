"""`SqlBookings` keeps what it is given, and lets the database guard what must be unique."""

import asyncio
from datetime import timedelta

import pytest
from support.clock import START
from support.databases import Databases, on_mariadb, url_of
from support.sagas import a_booking

from booking_svc.domain.booking import BookedSeat, Booking, BookingStatus, Failure, PaymentStatus
from booking_svc.persistence.repository import SqlBookings
from chassis.database import DatabaseTransactions
from chassis.idempotency import Claim
from chassis.transactions import Transactions

LATER = START + timedelta(microseconds=1)
CHANGES = {
    "new": {},
    "confirmed": {
        "status": BookingStatus.CONFIRMED,
        "payment_id": "pay_1",
        "payment_status": PaymentStatus.SUCCESS,
        "confirmed_at": LATER,
        "answer": b"\x00\xff",
    },
    "failed": {
        "status": BookingStatus.FAILED,
        "failure": Failure("PAYMENT_FAILED", "Payment declined: ✗", "CARD_DECLINED"),
    },
    "cancelled": {"status": BookingStatus.CANCELLED, "cancelled_at": LATER},
}


@pytest.fixture
async def transactions(databases: Databases) -> Transactions[SqlBookings]:
    return DatabaseTransactions(await databases.fresh("booking_svc"), SqlBookings)


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
async def test_a_booking_comes_back_as_it_was_stored(
    transactions: Transactions[SqlBookings], changes: dict[str, object]
) -> None:
    """Every field of a booking is stored at once or by a change, and read back the same."""
    new, changed = a_booking(), a_booking(**changes)
    other = a_booking(booking_id=5002, booking_reference="BK-2026-ZZZZZZZZZZ", **changes)
    await transactions.write(lambda bookings: bookings.add_booking(new))
    await transactions.write(lambda bookings: bookings.add_booking(other))
    await transactions.write(lambda bookings: bookings.save_booking(changed))
    assert await transactions.read(lambda bookings: bookings.booking(5001)) == changed
    assert await transactions.write(lambda bookings: bookings.lock_booking(5001)) == changed
    assert await transactions.read(lambda bookings: bookings.booking(5002)) == other
    assert await transactions.read(lambda bookings: bookings.booking(1)) is None


async def test_fifty_seats_keep_their_order(transactions: Transactions[SqlBookings]) -> None:
    """A booking of fifty seats has them in the order of the request."""
    seats = tuple(BookedSeat(2000 - number, f"S{number}", number) for number in range(50))
    booking = a_booking(seats=seats)
    await transactions.write(lambda bookings: bookings.add_booking(booking))
    assert await transactions.read(lambda bookings: bookings.booking(5001)) == booking


async def test_a_reservation_belongs_to_one_booking(
    transactions: Transactions[SqlBookings],
) -> None:
    """A reservation that is tied to a booking is refused to every other, and all with it."""

    async def claim(booking_id: int, *reservation_ids: int) -> list[int]:
        async def unit(bookings: SqlBookings) -> list[int]:
            tied = await bookings.claim_reservations(booking_id, reservation_ids)
            if tied:
                raise Tied(tied)
            return tied

        try:
            return await transactions.write(unit)
        except Tied as error:
            return error.args[0]

    assert await claim(5001, 1, 2) == []
    assert await claim(5002, 2, 3) == [2]
    assert await claim(5002, 2, 1) in ([1, 2], [2, 1])
    # 3 was rolled back with 2.
    assert await claim(5003, 3) == []
    assert await claim(5002, 3) == [3]


class Tied(Exception):
    pass


async def test_a_users_bookings_before_one(transactions: Transactions[SqlBookings]) -> None:
    """Bookings of one user, newest first, from before one of them or of one reference."""
    made: list[Booking] = []
    for number in range(4):
        user = "bob" if number == 2 else "ann"
        made.append(
            a_booking(
                booking_id=number + 1, booking_reference=f"BK-{number}", user_id=user, seats=SEATS
            )
        )
        await transactions.write(lambda bookings: bookings.add_booking(made[-1]))

    async def before(booking_id: int | None, limit: int, reference: str = "") -> list[int]:
        found = await transactions.read(
            lambda bookings: bookings.bookings_before(booking_id, "ann", reference, limit)
        )
        assert all(one in made for one in found)
        return [one.booking_id for one in found]

    assert await before(None, 10) == [4, 2, 1]
    assert await before(4, 1) == [2]
    assert await before(1, 10) == []
    assert await before(None, 10, "BK-1") == [2]
    assert await before(2, 10, "BK-1") == []
    # Somebody else's is not found by its reference.
    assert await before(None, 10, "BK-2") == []


SEATS = (BookedSeat(7, "A1", 100),)


async def test_where_a_reader_has_got_to(transactions: Transactions[SqlBookings]) -> None:
    """A reader's position is its own, empty at first, and stays what it was set to last."""

    async def move(name: str, position: str) -> None:
        await transactions.write(lambda bookings: bookings.move_cursor(name, position))

    async def cursors() -> list[str]:
        return [
            await transactions.read(lambda bookings, name=name: bookings.cursor(name))
            for name in ("payments", "mail")
        ]

    assert await cursors() == ["", ""]
    await move("payments", "a")
    await move("mail", "b")
    # To move to where it stands is no change, and no second row.
    await move("payments", "a")
    assert await cursors() == ["a", "b"]
    await move("payments", "c" * 200)
    assert await cursors() == ["c" * 200, "b"]


@on_mariadb
async def test_two_replicas_note_a_first_position(databases: Databases) -> None:
    """Replicas that both note where they are for the first time leave one position of the two."""
    database = await databases.fresh("booking_svc")
    other = databases.open(url_of(database))
    both = [DatabaseTransactions(one, SqlBookings) for one in (database, other)]
    for number in range(10):
        name = f"reader {number}"
        await asyncio.gather(
            *(
                one.write(lambda bookings, at=at, name=name: bookings.move_cursor(name, at))
                for at, one in zip("ab", both, strict=True)
            )
        )
        assert await both[0].read(lambda bookings, name=name: bookings.cursor(name)) in ("a", "b")


@on_mariadb
async def test_a_settled_look_waits_for_a_commit(databases: Databases) -> None:
    """Whether a key is stored is not decided while a transaction may still be storing it."""
    database = await databases.fresh("booking_svc")
    claim = Claim("ann", "key", "digest", "5001", START)
    async with database.writer.connect() as connection:
        await SqlBookings(connection).keys.claim(claim)
        look = asyncio.create_task(
            database.read(lambda one: SqlBookings(one).keys.find("ann", "key", settled=True))
        )
        await asyncio.sleep(0.3)
        assert not look.done()
        await connection.commit()
    assert await look == claim
