"""What must always hold, read from the databases themselves, and from the provider's own books."""

from collections.abc import Mapping
from typing import Any, Protocol

from chassis.database import Database


class Books(Protocol):
    """What a provider took and gave back, in minor units, by our own references."""

    taken: Mapping[str, int]
    returned: Mapping[str, int]


LIVE = ("PENDING", "CONFIRMED", "CANCELLING")


async def audit(databases: Mapping[str, Database], provider: Books) -> list[str]:
    """What is broken of design section 8, items 1, 2 and 4; empty when all holds."""
    bookings = await _rows(databases, "booking_svc", "SELECT * FROM bookings")
    seats = await _rows(databases, "booking_svc", "SELECT * FROM booking_seats")
    keys = await _rows(databases, "booking_svc", "SELECT * FROM idempotency_keys")
    payments = await _rows(databases, "payment_svc", "SELECT * FROM payments")
    reservations = await _rows(databases, "inventory_svc", "SELECT * FROM reservations")
    taken = await _rows(databases, "inventory_svc", "SELECT * FROM seats WHERE booked")
    return [
        *_wrong_money(bookings, seats, payments, provider),
        *_wrong_seats(bookings, seats, reservations, taken),
        *_wrong_keys(bookings, keys, payments),
    ]


async def _rows(databases: Mapping[str, Database], service: str, statement: str) -> list[Any]:
    async def unit(connection: Any) -> list[Any]:
        return list((await connection.exec_driver_sql(statement)).mappings())

    return await databases[service].read(unit)


def _wrong_money(
    bookings: list[Any], seats: list[Any], payments: list[Any], provider: Books
) -> list[str]:
    """Item 1: what is kept of a payment is the total of a confirmed booking, else nothing."""
    wrong = []
    for booking in bookings:
        total = sum(
            one["price_minor"] for one in seats if one["booking_id"] == booking["booking_id"]
        )
        mine = [one for one in payments if one["booking_reference"] == booking["booking_reference"]]
        kept = sum(_captured(one) - one["returned_minor"] for one in mine)
        due = {"CONFIRMED": total, "FAILED": 0, "CANCELLED": 0}.get(booking["status"], kept)
        if kept != due:
            wrong.append(f"{booking['booking_reference']} keeps {kept} and is due {due}")
    ours = sum(map(_captured, payments)), sum(one["returned_minor"] for one in payments)
    theirs = sum(provider.taken.values()), sum(provider.returned.values())
    if ours != theirs:
        wrong.append(f"our ledger says {ours}, the provider's {theirs}")
    return wrong


def _captured(payment: Any) -> int:
    return 0 if payment["status"] in ("PENDING", "FAILED") else payment["amount_minor"]


def _wrong_seats(
    bookings: list[Any], seats: list[Any], reservations: list[Any], taken: list[Any]
) -> list[str]:
    """Item 2: a confirmed booking has its seats, a dead one none, and no two live ones share."""
    status_of = {one["booking_id"]: one["status"] for one in bookings}
    by_reference = {one["booking_reference"]: one["status"] for one in bookings}
    reservation_of = {one["reservation_id"]: one for one in reservations}
    booked = {one["reservation_id"] for one in taken}
    wrong = []
    for seat in seats:
        status, name = status_of[seat["booking_id"]], seat["seat_number"]
        held = reservation_of[seat["reservation_id"]]["status"]
        has_it = held == "CONFIRMED" and seat["reservation_id"] in booked
        if status == "CONFIRMED" and not has_it:
            wrong.append(f"{name} is not booked for its CONFIRMED booking: {held}")
        others = [
            one["booking_id"]
            for one in seats
            if one["reservation_id"] == seat["reservation_id"]
            and status_of[one["booking_id"]] in LIVE
        ]
        if len(others) > 1:
            wrong.append(f"{name} belongs to several live bookings: {others}")
        if status not in LIVE and not others and held in ("ACTIVE", "CONFIRMED"):
            wrong.append(f"{name} is {held} for a booking that is {status}")
    for reservation_id in booked:
        owner = by_reference.get(reservation_of[reservation_id]["booking_reference"])
        if owner not in LIVE:
            wrong.append(f"a seat is BOOKED for a booking that is {owner}")
    return wrong


def _wrong_keys(bookings: list[Any], keys: list[Any], payments: list[Any]) -> list[str]:
    """Item 4: one key, one booking, one charge."""
    wrong = []
    if sorted(one["subject"] for one in keys) != sorted(str(one["booking_id"]) for one in bookings):
        wrong.append("keys and bookings do not match one to one")
    references = [one["booking_reference"] for one in payments]
    wrong += [f"{one} has several payments" for one in set(references) if references.count(one) > 1]
    return wrong
