"""Reservations, as far as a booking needs to know them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from booking_svc.domain.errors import (
    ReservationExpired,
    ReservationNotActive,
    ReservationNotFound,
    ReservationsMixed,
)


@dataclass(frozen=True)
class Reservation:
    """A hold on one seat, as the inventory reports it."""

    reservation_id: int
    event_id: int
    user_id: str
    seat_number: str
    price_minor: int
    currency: str
    # ACTIVE, CONFIRMED, CANCELLED or EXPIRED.
    status: str
    expires_at: datetime


def require_bookable(reservations: Sequence[Reservation], user_id: str, now: datetime) -> None:
    """Refuse unless all are this user's, of one event, and hold their seats now.

    Raises:
        ReservationNotFound: some are someone else's, which is not said.
        ReservationExpired, ReservationNotActive, ReservationsMixed: as named.
    """
    foreign = [one.reservation_id for one in reservations if one.user_id != user_id]
    if foreign:
        raise ReservationNotFound(foreign)
    overdue = [one.reservation_id for one in reservations if _is_over(one, now)]
    if overdue:
        raise ReservationExpired(overdue)
    ended = [one.reservation_id for one in reservations if one.status != "ACTIVE"]
    if ended:
        raise ReservationNotActive(ended)
    if len({one.event_id for one in reservations}) > 1:
        raise ReservationsMixed(one.reservation_id for one in reservations)


def _is_over(one: Reservation, now: datetime) -> bool:
    return one.status == "EXPIRED" or (one.status == "ACTIVE" and one.expires_at <= now)
