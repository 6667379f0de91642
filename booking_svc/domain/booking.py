"""Bookings: states, and what each outcome makes of them.

PENDING ──confirm──► CONFIRMED ──begin to cancel──► CANCELLING ──cancel──► CANCELLED
   │                                                    ▲
   ├──────────────────begin to cancel───────────────────┘
   └──fail──► FAILED
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from random import Random

from booking_svc.domain.errors import PaymentFailed, SeatsLost
from booking_svc.domain.reservation import Reservation
from chassis.errors import DomainError
from chassis.transitions import Transition

# Of what looks alike (0 O, 1 I, 2 Z, 5 S, 8 B, V Y) one at most, and no vowels: 25^10 is 46 bits.
REFERENCE_LETTERS = "23456789CDFGHJKLMNPQRTVWX"
REFERENCE_LENGTH = 10
# As long as the column that keeps it; a provider may have more to say.
MESSAGE_LENGTH_MAX = 500


class BookingStatus(StrEnum):
    """Where a booking stands."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


class PaymentStatus(StrEnum):
    """Where its payment stands, as far as the booking knows."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    REFUNDED = "REFUNDED"
    CANCELLED = "CANCELLED"


_S = BookingStatus
CONFIRM = Transition("confirm", frozenset({_S.PENDING}), _S.CONFIRMED)
FAIL = Transition("fail", frozenset({_S.PENDING}), _S.FAILED)
BEGIN_CANCEL = Transition("begin to cancel", frozenset({_S.CONFIRMED, _S.PENDING}), _S.CANCELLING)
CANCEL = Transition("cancel", frozenset({_S.CANCELLING}), _S.CANCELLED)
TRANSITIONS = (CONFIRM, FAIL, BEGIN_CANCEL, CANCEL)
SETTLED = frozenset({_S.CONFIRMED, _S.FAILED, _S.CANCELLED})


@dataclass(frozen=True)
class BookedSeat:
    """A seat as it was booked."""

    reservation_id: int
    seat_number: str
    price_minor: int


@dataclass(frozen=True)
class Failure:
    """Why a booking failed."""

    # PAYMENT_FAILED or SEATS_LOST.
    reason: str
    message: str
    # Of a declined payment: INSUFFICIENT_FUNDS, CARD_DECLINED, EXPIRED_CARD.
    decline_code: str = ""


@dataclass(frozen=True)
class Booking:
    """Seats of one event, paid for by one payment."""

    booking_id: int
    booking_reference: str
    user_id: str
    event_id: int
    currency: str
    seats: tuple[BookedSeat, ...]
    created_at: datetime
    status: BookingStatus = BookingStatus.PENDING
    payment_id: str = ""
    payment_status: PaymentStatus = PaymentStatus.PENDING
    failure: Failure | None = None
    confirmed_at: datetime | None = None
    cancelled_at: datetime | None = None
    # What ConfirmBooking answered, byte for byte, so that it is answered again the same.
    answer: bytes | None = None

    @property
    def total_minor(self) -> int:
        """What all the seats cost together."""
        return sum(seat.price_minor for seat in self.seats)

    @property
    def reservation_ids(self) -> list[int]:
        """The reservations that the seats came from."""
        return [seat.reservation_id for seat in self.seats]

    @property
    def holds_nothing(self) -> bool:
        """Whether it is over and its reservations are free for others."""
        return self.status in (_S.FAILED, _S.CANCELLED)

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.status in SETTLED

    @property
    def is_cancellable(self) -> bool:
        """Whether it may be cancelled: one that is failing is given back already."""
        return self.status in BEGIN_CANCEL.sources and self.failure is None

    def paid(self, payment_id: str) -> "Booking":
        """The same, with the money taken."""
        return replace(self, payment_id=payment_id, payment_status=PaymentStatus.SUCCESS)

    def declined(self, payment_id: str, decline_code: str, message: str) -> "Booking":
        """The same, with the payment refused; it fails once its seats are released."""
        failure = Failure(PaymentFailed.reason, message[:MESSAGE_LENGTH_MAX], decline_code)
        return replace(
            self, payment_id=payment_id, payment_status=PaymentStatus.FAILED, failure=failure
        )

    def without_seats(self) -> "Booking":
        """The same, with the seats gone after the payment; it fails once the money is back."""
        message = "the seats are no longer held; the payment is given back"
        return replace(self, failure=Failure(SeatsLost.reason, message))

    def awaiting(self, payment_id: str) -> "Booking":
        """The same, with a payment that is not decided yet."""
        return replace(self, payment_id=payment_id)

    def given_up(self) -> "Booking":
        """The same, with no more time for the payment; it fails once nothing stays taken."""
        message = "the payment did not come through in time; nothing stays charged"
        return replace(self, failure=Failure(PaymentFailed.reason, message))

    def given_back(self, payment_status: str) -> "Booking":
        """The same, with no money taken any more, and where its payment stands now."""
        return replace(self, payment_status=PaymentStatus(payment_status))

    def confirmed(self, now: datetime) -> "Booking":
        """The same, confirmed."""
        return replace(self, status=CONFIRM.apply(self.status), confirmed_at=now)

    def failed(self, now: datetime) -> "Booking":  # noqa: ARG002 - as all endings
        """The same, with nothing booked and no money taken."""
        return replace(self, status=FAIL.apply(self.status))

    def cancelling(self) -> "Booking":
        """The same, on its way to be cancelled."""
        return replace(self, status=BEGIN_CANCEL.apply(self.status))

    def cancelled(self, now: datetime) -> "Booking":
        """The same, cancelled."""
        return replace(self, status=CANCEL.apply(self.status), cancelled_at=now)

    def refusal(self) -> DomainError:
        """What ConfirmBooking answers for a booking that failed: always the same."""
        if self.failure is None:
            message = f"booking {self.booking_id} has not failed"
            raise LookupError(message)
        facts = {
            "paymentId": self.payment_id,
            "errorCode": self.failure.decline_code,
            "bookingReference": self.booking_reference,
        }
        kind = PaymentFailed if self.failure.reason == PaymentFailed.reason else SeatsLost
        return kind(self.failure.message, {name: value for name, value in facts.items() if value})


def new_booking(booking_id: int, held: Sequence[Reservation], now: datetime) -> Booking:
    """A booking of reservations that are bookable, in their order."""
    first = held[0]
    return Booking(
        booking_id=booking_id,
        booking_reference=new_reference(now.year),
        user_id=first.user_id,
        event_id=first.event_id,
        currency=first.currency,
        seats=tuple(
            BookedSeat(one.reservation_id, one.seat_number, one.price_minor) for one in held
        ),
        created_at=now,
    )


def new_reference(year: int, random: Random | None = None) -> str:
    """A booking reference: `BK-2026-` and ten letters and digits."""
    chance = random or secrets.SystemRandom()
    return f"BK-{year}-{''.join(chance.choices(REFERENCE_LETTERS, k=REFERENCE_LENGTH))}"
