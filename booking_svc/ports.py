"""What the use cases need from outside, and no more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from booking_svc.domain.booking import Booking
from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.domain.reservation import Reservation
from booking_svc.saga.machine import Saga
from chassis.cards import Card
from chassis.idempotency import Claim, Keys

# Makes the answer of ConfirmBooking from a booking.
Encode = Callable[[Booking], bytes]


@dataclass(frozen=True)
class ChargeOrder:
    """What a payment is asked for."""

    # Our own key: two orders with one key are one charge.
    key: str
    booking_reference: str
    user_id: str
    amount_minor: int
    currency: str
    card: Card


class Inventory(Protocol):
    """The inventory, as far as bookings need it."""

    async def reservations(
        self, reservation_ids: Sequence[int]
    ) -> Done[list[Reservation]] | Refused | Unknown:
        """Read reservations, in the order asked for."""

    async def extend(
        self, reservation_ids: Sequence[int], ttl_s: float
    ) -> Done[None] | Refused | Unknown:
        """Hold the seats for at least so many seconds from now."""

    async def confirm(
        self, reservation_ids: Sequence[int], booking_reference: str
    ) -> Done[None] | Refused | Unknown:
        """Book the seats for a booking."""

    async def cancel(
        self, reservation_ids: Sequence[int], booking_reference: str
    ) -> Done[None] | Refused | Unknown:
        """See to it that a booking holds none of the seats."""


class Payments(Protocol):
    """The payment adapter, as far as bookings need it."""

    async def charge(self, order: ChargeOrder) -> Done[str] | Refused | Unknown:
        """Take money; what comes of it is the payment's id.

        A refusal says `paymentId` and `errorCode` in its metadata, where there are any.
        """

    async def give_back(
        self, payment_id: str, key: str, reason: str
    ) -> Done[None] | Refused | Unknown:
        """See to it that nothing of a payment stays taken."""


class BookingKeys(Keys, Protocol):
    """The idempotency keys that were used."""

    async def find(self, owner: str, key: str, *, settled: bool = False) -> Claim | None:
        """The claim of a key, if there is one.

        With `settled`, waits for a transaction that may be storing it.
        """


class Bookings(Protocol):
    """The stored bookings and sagas, within one unit of work."""

    @property
    def keys(self) -> BookingKeys:
        """The idempotency keys that were used."""

    async def claim_reservations(
        self, booking_id: int, reservation_ids: Sequence[int]
    ) -> list[int]:
        """Tie reservations to a booking for ever; those that are tied to another already."""

    async def add_booking(self, booking: Booking) -> None:
        """Store a new booking with its seats."""

    async def booking(self, booking_id: int) -> Booking | None:
        """A booking, if there is one of this id."""

    async def lock_booking(self, booking_id: int) -> Booking | None:
        """The same, and nobody else changes it before this unit ends."""

    async def save_booking(self, booking: Booking) -> None:
        """Store what has changed about a booking."""

    async def bookings_before(
        self, booking_id: int | None, user_id: str, limit: int
    ) -> list[Booking]:
        """A user's bookings older than one, newest first, `limit` at most."""

    async def add_saga(self, saga: Saga) -> None:
        """Store a new saga."""

    async def save_saga(self, saga: Saga) -> bool:
        """Store where a saga stands, unless its attempt is over or it has ended: then false."""
