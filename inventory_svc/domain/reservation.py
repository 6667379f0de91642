"""Reservations: a state that moves only forward, which is what makes late calls harmless.

ACTIVE ────confirm───► CONFIRMED ──cancel──► CANCELLED
│  │                       ▲                  ▲    ▲
│  └─expire─► EXPIRED ───retake               │    │
│                └───────cancel───────────────┘    │
└────────────────────────cancel────────────────────┘

A payment that came late may retake what time has ended, if the seat is still free. What was
cancelled never comes back: so a booking that is undone cancels what has expired too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis.transitions import Transition
from inventory_svc.domain.errors import ReservationExpired, ReservationNotActive


class ReservationStatus(StrEnum):
    """Where a reservation stands."""

    ACTIVE = "ACTIVE"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


_S = ReservationStatus
EXTEND = Transition("extend", frozenset({_S.ACTIVE}), _S.ACTIVE)
CONFIRM = Transition("confirm", frozenset({_S.ACTIVE}), _S.CONFIRMED)
# From ACTIVE too: its time may be over without that being written down.
RETAKE = Transition("retake", frozenset({_S.ACTIVE, _S.EXPIRED}), _S.CONFIRMED)
CANCEL = Transition("cancel", frozenset({_S.ACTIVE, _S.CONFIRMED, _S.EXPIRED}), _S.CANCELLED)
EXPIRE = Transition("expire", frozenset({_S.ACTIVE}), _S.EXPIRED)
TRANSITIONS = (EXTEND, CONFIRM, RETAKE, CANCEL, EXPIRE)


@dataclass(frozen=True)
class Reservation:
    """A hold on one seat for one user."""

    reservation_id: int
    event_id: int
    user_id: str
    seat_id: int
    seat_number: str
    price_minor: int
    currency: str
    # As stored: ACTIVE may be over already, see `status_at`.
    status: ReservationStatus
    created_at: datetime
    expires_at: datetime
    booking_reference: str = ""
    # None: it never was, or an older version did it and kept no time.
    confirmed_at: datetime | None = None
    # When it was cancelled, or when its end was written down; none while it has its seat.
    ended_at: datetime | None = None

    def status_at(self, now: datetime) -> ReservationStatus:
        """Its state at a moment: ACTIVE ends at `expires_at`, written down or not."""
        if self.status is _S.ACTIVE and self.expires_at <= now:
            return _S.EXPIRED
        return self.status

    def is_confirmed_for(self, booking_reference: str) -> bool:
        """Whether its seat is booked for this booking."""
        return self.status is _S.CONFIRMED and self.booking_reference == booking_reference

    def confirmed(self, booking_reference: str, now: datetime) -> "Reservation":
        """The same, with its seat booked for a booking."""
        status = CONFIRM.apply(self.status)
        return replace(self, status=status, booking_reference=booking_reference, confirmed_at=now)

    def retaken(self, booking_reference: str, now: datetime) -> "Reservation":
        """The same, with its seat booked for a booking although its time may be over."""
        status = RETAKE.apply(self.status)
        return replace(
            self,
            status=status,
            booking_reference=booking_reference,
            confirmed_at=now,
            ended_at=None,
        )

    def cancelled(self, now: datetime) -> "Reservation":
        """The same, ended by someone."""
        return replace(self, status=CANCEL.apply(self.status), ended_at=now)

    def expired(self, now: datetime) -> "Reservation":
        """The same, ended by time, which is written down now."""
        return replace(self, status=EXPIRE.apply(self.status), ended_at=now)

    def extended(self, until: datetime) -> "Reservation":
        """The same, held until a moment, but never for a shorter time than before."""
        return replace(
            self, status=EXTEND.apply(self.status), expires_at=max(self.expires_at, until)
        )


def require_active(reservations: Sequence[Reservation], now: datetime) -> None:
    """Refuse unless every one of them holds its seat now.

    Raises:
        ReservationNotActive, ReservationExpired: some do not; names them.
    """
    require_retakeable(reservations)
    overdue = [one.reservation_id for one in reservations if one.status_at(now) is _S.EXPIRED]
    if overdue:
        raise ReservationExpired(overdue)


def require_retakeable(reservations: Sequence[Reservation]) -> None:
    """Refuse unless every one of them holds its seat, or would if time had not ended it.

    Raises:
        ReservationNotActive: some do not; names them.
    """
    ended = [one.reservation_id for one in reservations if one.status not in RETAKE.sources]
    if ended:
        raise ReservationNotActive(ended)
