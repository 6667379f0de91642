"""Seats: a confirmed booking has all of its own, and nobody else has them; a dead one has none."""

from collections.abc import Iterator

from auditor.evidence import DEAD, Evidence, several
from auditor.findings import Code, Finding
from auditor.tables import Row


def seats_booked(evidence: Evidence) -> Iterator[Finding]:
    """Each reservation of a confirmed booking is CONFIRMED, in that booking's name."""
    for booking, seat in _booked_seats(evidence):
        if booking["status"] != "CONFIRMED":
            continue
        reservation = evidence.reservations.get(seat["reservation_id"])
        found = reservation and (reservation["status"], reservation["booking_reference"])
        if found != ("CONFIRMED", booking["booking_reference"]):
            text = f"seat {seat['seat_number']} is not booked for it, but {found}"
            yield Finding(Code.SEAT_NOT_BOOKED, _about(booking, seat), text)


def seats_of_the_dead(evidence: Evidence) -> Iterator[Finding]:
    """No reservation of a booking that is over holds or books a seat."""
    for booking, seat in _booked_seats(evidence):
        if booking["status"] not in DEAD or booking["booking_id"] in evidence.by_hand:
            continue
        reservation = evidence.reservations.get(seat["reservation_id"])
        status = reservation["status"] if reservation else ""
        if status in ("ACTIVE", "CONFIRMED"):
            text = f"is {booking['status']}, and seat {seat['seat_number']} is {status} for it"
            yield Finding(Code.SEAT_OF_DEAD_BOOKING, _about(booking, seat), text)


def seats_alone(evidence: Evidence) -> Iterator[Finding]:
    """A seat belongs to one confirmed booking at most."""
    confirmed = (
        (reservation["seat_id"], booking["booking_reference"])
        for booking, seat in _booked_seats(evidence)
        if booking["status"] == "CONFIRMED"
        and (reservation := evidence.reservations.get(seat["reservation_id"]))
    )
    for seat_id, owners in several(confirmed).items():
        text = f"belongs to several confirmed bookings: {', '.join(sorted(owners))}"
        yield Finding(Code.SEAT_SHARED, f"seat {seat_id}", text)


def reservations_alone(evidence: Evidence) -> Iterator[Finding]:
    """A reservation belongs to one booking for ever, whatever becomes of that booking."""
    pairs = (
        (one["reservation_id"], str(one["booking_id"])) for one in evidence.booking["booking_seats"]
    )
    for reservation_id, owners in several(pairs).items():
        text = f"belongs to several bookings: {', '.join(sorted(owners))}"
        yield Finding(Code.RESERVATION_SHARED, f"reservation {reservation_id}", text)


def claims(evidence: Evidence) -> Iterator[Finding]:
    """The reservations that a booking claims are those of its seats."""
    booked = {
        (one["reservation_id"], one["booking_id"]) for one in evidence.booking["booking_seats"]
    }
    claimed = {
        (one["reservation_id"], one["booking_id"]) for one in evidence.booking["reservation_claims"]
    }
    for reservation_id, booking_id in booked ^ claimed:
        is_claimed = (reservation_id, booking_id) in claimed
        text = "is claimed and not among the seats" if is_claimed else "is not claimed"
        about = f"booking {booking_id} reservation {reservation_id}"
        yield Finding(Code.CLAIM_DIFFERS, about, text)


def has_seats(evidence: Evidence) -> Iterator[Finding]:
    """A booking has seats, and seats that were booked have a booking."""
    for booking in evidence.bookings:
        if booking["booking_id"] not in evidence.seats_of:
            yield Finding(Code.BOOKING_WITHOUT_SEATS, booking["booking_reference"], "has no seats")
    for booking_id in evidence.seats_of.keys() - evidence.booking_by_id.keys():
        about = f"booking {booking_id}"
        yield Finding(Code.BOOKING_WITHOUT_SEATS, about, "has seats and does not exist")


def same_seat(evidence: Evidence) -> Iterator[Finding]:
    """A booked seat is the one that was reserved: event, user, number, price, currency.

    A reservation that was never confirmed may be forgotten when its booking is over, or has waited
    for an operator for months.
    """
    for booking, seat in _booked_seats(evidence):
        reservation = evidence.reservations.get(seat["reservation_id"])
        waits = booking["status"] in DEAD or booking["booking_id"] in evidence.parked
        if reservation is None and waits and not booking["confirmed_at"]:
            continue
        if reservation is None:
            text = f"the reservation of seat {seat['seat_number']} does not exist"
            yield Finding(Code.SEAT_DIFFERS, _about(booking, seat), text)
            continue
        merged = {**booking, **seat}
        columns = ("event_id", "user_id", "seat_number", "price_minor", "currency")
        differ = [name for name in columns if merged[name] != reservation[name]]
        if differ:
            text = f"differs from its reservation in {', '.join(differ)}"
            yield Finding(Code.SEAT_DIFFERS, _about(booking, seat), text)


def reservation_has_seat(evidence: Evidence) -> Iterator[Finding]:
    """A CONFIRMED reservation has its seat, of its own event, booked."""
    for reservation in evidence.reservations.values():
        if reservation["status"] != "CONFIRMED":
            continue
        seat = evidence.seats.get(reservation["seat_id"], {})
        found = [seat.get(name) for name in ("event_id", "seat_number", "reservation_id")]
        wanted = [reservation[name] for name in ("event_id", "seat_number", "reservation_id")]
        if found != wanted or not seat["booked"]:
            about = f"reservation {reservation['reservation_id']} seat {reservation['seat_id']}"
            text = "is CONFIRMED, and its seat is not booked for it"
            yield Finding(Code.RESERVATION_WITHOUT_SEAT, about, text)


def seat_has_booking(evidence: Evidence) -> Iterator[Finding]:
    """A booked seat is that of a CONFIRMED reservation in the name of a booking that has it.

    Where that booking is over, its own check says so.
    """
    for seat in evidence.seats.values():
        if not seat["booked"]:
            continue
        reservation = evidence.reservations.get(seat["reservation_id"], {})
        reference = reservation.get("booking_reference", "")
        booking_id = evidence.booking_by_reference.get(reference, {}).get("booking_id", 0)
        own = {one["reservation_id"] for one in evidence.seats_of.get(booking_id, ())}
        if reservation.get("status") != "CONFIRMED" or seat["reservation_id"] not in own:
            about = f"seat {seat['seat_id']} reservation {seat['reservation_id']}"
            text = f"is booked in the name of {reference!r}, which does not have it"
            yield Finding(Code.SEAT_WITHOUT_BOOKING, about, text)


def _booked_seats(evidence: Evidence) -> Iterator[tuple[Row, Row]]:
    for seat in evidence.booking["booking_seats"]:
        booking = evidence.booking_by_id.get(seat["booking_id"])
        if booking is not None:
            yield booking, seat


def _about(booking: Row, seat: Row) -> str:
    return f"{booking['booking_reference']} reservation {seat['reservation_id']}"


CHECKS = (
    seats_booked,
    seats_of_the_dead,
    seats_alone,
    reservations_alone,
    claims,
    has_seats,
    same_seat,
    reservation_has_seat,
    seat_has_booking,
)
