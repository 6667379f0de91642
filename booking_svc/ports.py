"""What the use cases need from outside, and no more."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from booking_svc.domain.booking import Booking, BookingStatus
from booking_svc.domain.outcome import Done, Pending, Refused, Unknown
from booking_svc.domain.reservation import Reservation
from booking_svc.saga.machine import Lease, Saga, State
from booking_svc.saga.runner import StepRecord
from chassis.cards import Method
from chassis.errors import DomainError
from chassis.events import Outbox
from chassis.idempotency import Claim, Keys
from chassis.privacy import HasPersonalData

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
    card: Method


@dataclass(frozen=True)
class Decision:
    """The payment of a booking has changed its state."""

    # Where to go on after it.
    cursor: str
    booking_reference: str
    # False while its provider has not decided.
    is_decided: bool


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
        self, reservation_ids: Sequence[int], booking_reference: str, *, retake: bool
    ) -> Done[None] | Refused | Unknown:
        """Book the seats for a booking; with `retake` also seats that were let go and are free."""

    async def cancel(
        self, reservation_ids: Sequence[int], booking_reference: str
    ) -> Done[None] | Refused | Unknown:
        """See to it that a booking holds none of the seats."""


class Payments(Protocol):
    """The payment adapter, as far as bookings need it."""

    async def charge(self, order: ChargeOrder) -> Done[str] | Refused | Pending | Unknown:
        """Take money; what comes of it is the payment's id.

        A refusal says `paymentId` and `errorCode` in its metadata, where there are any.
        """

    async def find(
        self, booking_reference: str, user_id: str
    ) -> Done[str] | Refused | Pending | Unknown | None:
        """What became of a user's charge for a booking, as `charge`; none if there was none."""

    async def cancel(
        self, booking_reference: str, reason: str
    ) -> Done[str] | Refused | Pending | Unknown:
        """See to it that nothing stays taken for a booking, also by a charge that comes later.

        What comes of it is the state of its payment: REFUNDED, CANCELLED or FAILED.
        """

    def decisions(self, cursor: str) -> AsyncIterator[Decision]:
        """What becomes of payments, in order, from a cursor on and without end.

        Raises:
            CursorExpired: what came after the cursor is not kept any more.
            DependencyUnavailable: the payment adapter cannot be reached.
        """


@dataclass(frozen=True)
class KeptAnswer:
    """What a key was answered, for ever."""

    # Of the request that it was used for.
    fingerprint: str
    # A message, encoded, or a refusal.
    message: bytes | DomainError


@dataclass(frozen=True)
class OurClaim:
    """Nothing is kept for a key, and for now we alone are to find out why."""

    token: str


class Answers(Protocol):
    """A fast copy of what keys were answered.

    It never raises, takes a moment at most, and never decides: it may know nothing, forget
    everything and lose what it is told, and the database is asked instead.
    """

    async def look_up_or_claim(self, owner: str, key: str) -> KeptAnswer | OurClaim | None:
        """What a key was answered; or our claim of it; or none: claimed by another, or not known.

        Atomic. A claim ends by itself, and keeps nobody from anything.
        """

    async def keep(self, owner: str, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Remember a final answer for so many seconds."""

    async def release(self, owner: str, key: str, claim: OurClaim) -> None:
        """Forget a claim, unless it is over and somebody else's is there."""

    async def forget(self, owner: str, keys: Sequence[str]) -> bool:
        """Forget what keys were answered; false if that may have failed."""


class BookingKeys(Keys, Protocol):
    """The idempotency keys that were used."""

    async def find(self, owner: str, key: str, *, settled: bool = False) -> Claim | None:
        """The claim of a key, if there is one.

        With `settled`, waits for a transaction that may be storing it.
        """


@dataclass(frozen=True)
class Counted:
    """Some sagas, counted."""

    count: int
    # When the first of them began.
    oldest: datetime


class SagaStore(Protocol):
    """The stored sagas and their timelines, within one unit of work."""

    async def add(self, saga: Saga) -> None:
        """Store a new saga."""

    async def save(self, saga: Saga) -> bool:
        """Store where a saga stands; false if its attempt is over or it is stored already."""

    async def find(self, booking_id: int, definition: str) -> Saga | None:
        """A saga of a booking, if it has one of this name, or of this family."""

    async def definitions(self, booking_id: int) -> list[str]:
        """The definitions of the sagas that a booking has."""

    async def supersede(self, booking_id: int, family: str) -> None:
        """End the saga of a family, if it runs, wherever, without doing or undoing more of it."""

    async def due(self, now: datetime, limit: int, running: Sequence[int]) -> list[Saga]:
        """Sagas whose time has come, longest waiting first, but not of the bookings `running`.

        Nor any whose definition is not known here: a newer replica has begun it, and goes on.
        """

    async def take_over(self, saga: Saga, lease: Lease, now: datetime) -> Saga | None:
        """Lease a saga whose lease is over, under a new attempt; none if somebody was faster."""

    async def renew(self, booking_ids: Sequence[int], lease: Lease) -> None:
        """Move the end of an owner's leases."""

    async def hand_back(self, saga: Saga, now: datetime) -> None:
        """End the lease of a saga, unless its attempt is over."""

    async def release(self, owner: str, now: datetime) -> None:
        """End all leases of an owner."""

    async def resting(self, booking_reference: str) -> list[Saga]:
        """The sagas of a booking that nobody runs and whose time has not come."""

    async def reopen(self, saga: Saga) -> bool:
        """Store a saga that was parked and goes on, under its new attempt; false if it was not."""

    async def before(
        self, last: tuple[int, str] | None, state: State | None, booking_reference: str, limit: int
    ) -> list[tuple[Saga, str]]:
        """Sagas older than one, newest first, with the references of their bookings."""

    async def census(self, states: Sequence[State]) -> dict[State, Counted]:
        """How many sagas are in each of these states, and since when; not those without any."""

    async def unknown(self, states: Sequence[State]) -> dict[str, int]:
        """How many sagas are in these states, by definition, of those that are not known here."""

    async def add_step(self, step_id: int, saga: Saga, step: StepRecord) -> None:
        """Store what an action came to."""

    async def steps(self, booking_id: int, definition: str, limit: int) -> list[StepRecord]:
        """The timeline of a saga, oldest first, its last `limit` entries."""

    async def purge_steps(self, before: datetime, limit: int) -> int:
        """Delete from timelines without a step since `before`, `limit` at most; how many.

        Not from those of sagas that are to go on, and not what a person did.
        """


class Bookings(HasPersonalData, Protocol):
    """The stored bookings and sagas, within one unit of work."""

    @property
    def keys(self) -> BookingKeys:
        """The idempotency keys that were used."""

    @property
    def sagas(self) -> SagaStore:
        """The sagas behind the bookings."""

    @property
    def outbox(self) -> Outbox:
        """The events that tell others what became of bookings."""

    async def purge_keys(self, before: datetime, limit: int) -> int:
        """Delete keys older than `before`, `limit` at most, and say how many.

        Not the key of a booking that may still change by itself.
        """

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
        self, booking_id: int | None, user_id: str, booking_reference: str, limit: int
    ) -> list[Booking]:
        """A user's bookings older than one, newest first; of one reference unless that is empty."""

    async def all_bookings_before(
        self, booking_id: int | None, status: BookingStatus | None, limit: int
    ) -> list[Booking]:
        """Everyone's bookings older than one, newest first; in one status unless that is none."""

    async def cursor(self, name: str) -> str:
        """Where the reader of a stream has got to; empty at the beginning."""

    async def move_cursor(self, name: str, position: str) -> None:
        """Note where the reader of a stream has got to."""
