"""Reserving, reading, extending, confirming and cancelling: always all or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.idempotency import Claim, fingerprint
from chassis.ids import Ids
from chassis.transactions import Transactions
from inventory_svc import metrics
from inventory_svc.domain.errors import (
    EventNotFound,
    ReservationExpired,
    ReservationNotActive,
    ReservationNotFound,
    SeatNotAvailable,
)
from inventory_svc.domain.event import Event, Seat
from inventory_svc.domain.reservation import (
    Reservation,
    ReservationStatus,
    require_active,
    require_retakeable,
)
from inventory_svc.ports import Inventory

# A payment that has begun near the end of a reservation's life must be able to end.
SERVICE_EXTRA_S = 3600.0


@dataclass(frozen=True)
class Limits:
    """How long seats may be held, in seconds."""

    # One reservation or extension.
    ttl_max_s: float
    # All extensions by the holder together.
    lifetime_max_s: float


@dataclass(frozen=True)
class SeatRequest:
    """Seats to hold for a user."""

    user_id: str
    event_id: int
    seat_numbers: Sequence[str]
    ttl_s: float
    key: str


@dataclass(frozen=True)
class Reserved:
    """Reservations, and whether the key named them before."""

    reservations: Sequence[Reservation]
    replayed: bool


@dataclass(frozen=True)
class _Changed:
    """Reservations as they were, and those of them that have changed as they are now."""

    before: Sequence[Reservation]
    changed: Sequence[Reservation]

    @property
    def reservations(self) -> list[Reservation]:
        by_id = {one.reservation_id: one for one in self.changed}
        return [by_id.get(one.reservation_id, one) for one in self.before]


class Reservations:
    """The use cases about reservations."""

    def __init__(
        self, transactions: Transactions[Inventory], clock: Clock, ids: Ids, limits: Limits
    ) -> None:
        """Work on these."""
        self._transactions = transactions
        self._clock = clock
        self._ids = ids
        self._limits = limits

    async def reserve(self, request: SeatRequest) -> Reserved:
        """Hold all the seats or none; a repeat with the same key returns the first reservations.

        Raises:
            EventNotFound, SeatNotAvailable: as named.
            InvalidField: an unknown seat number, or too long a time.
            IdempotencyKeyReused: the key belongs to another request.
        """
        _check_ttl(request.ttl_s, self._limits.ttl_max_s)
        parts = (request.event_id, *request.seat_numbers, request.ttl_s)
        digest = fingerprint("ReserveSeats", *parts)

        async def unit(inventory: Inventory) -> Reserved:
            now = self._clock.now()
            event = await inventory.event(request.event_id)
            if event is None:
                raise EventNotFound(request.event_id)
            seats = await _seats_in_order(inventory, request)
            wanted = self._reservations(request, event, seats, now)
            ids = ",".join(str(one.reservation_id) for one in wanted)
            claim = Claim(request.user_id, request.key, digest, ids, now)
            earlier = await inventory.keys.claim(claim) if request.key else None
            if earlier is not None:
                earlier.require_same_request(digest)
                first = [int(number) for number in earlier.subject.split(",")]
                found = await inventory.reservations(first)
                return Reserved(_in_order(found, first, owner=None), replayed=True)
            if not await inventory.take_seats(wanted, now):
                raise await _not_available(inventory, wanted)
            await inventory.add_reservations(wanted)
            return Reserved(wanted, replayed=False)

        try:
            reserved = await self._transactions.write(unit)
        except SeatNotAvailable as error:
            metrics.SEATS_REFUSED.inc(error.count)
            raise
        if not reserved.replayed:
            metrics.count(reserved.reservations)
        return reserved

    async def get(self, reservation_ids: Sequence[int], owner: str | None) -> list[Reservation]:
        """Read reservations, of one owner only unless `owner` is none.

        Raises:
            ReservationNotFound: some do not exist or are someone else's.
        """

        async def unit(inventory: Inventory) -> list[Reservation]:
            found = await inventory.reservations(reservation_ids)
            return _in_order(found, reservation_ids, owner)

        return await self._transactions.read(unit)

    async def extend(
        self, reservation_ids: Sequence[int], ttl_s: float, owner: str | None
    ) -> list[Reservation]:
        """Hold for `ttl_s` from now, within the bound on a reservation's whole life.

        For a service, `owner` is none: it may go further, as far as a payment may take.

        Raises:
            ReservationNotFound, ReservationNotActive, ReservationExpired: as named.
            InvalidField: too long a time.
        """
        lifetime_s = self._limits.lifetime_max_s + (0.0 if owner is not None else SERVICE_EXTRA_S)
        _check_ttl(ttl_s, self._limits.ttl_max_s if owner is not None else lifetime_s)

        async def unit(inventory: Inventory) -> list[Reservation]:
            now = self._clock.now()
            until = now + timedelta(seconds=ttl_s)
            held = _in_order(
                await inventory.lock_reservations(reservation_ids), reservation_ids, owner
            )
            require_active(held, now)
            _check_lifetime(held, now, until, lifetime_s)
            if await inventory.extend(held, until) != len(held):
                raise ReservationExpired(reservation_ids)
            return [one.extended(until) for one in held]

        return await self._transactions.write(unit)

    async def confirm(
        self, reservation_ids: Sequence[int], booking_reference: str, *, retake_expired: bool
    ) -> list[Reservation]:
        """Book the seats for a booking; a repeat for the same booking changes nothing.

        With `retake_expired`, a reservation that is over gets its seat back if that is free.

        Raises:
            ReservationNotFound, ReservationNotActive, ReservationExpired: as named.
        """

        async def unit(inventory: Inventory) -> _Changed:
            now = self._clock.now()
            held = _in_order(
                await inventory.lock_reservations(reservation_ids), reservation_ids, owner=None
            )
            waiting = [one for one in held if not one.is_confirmed_for(booking_reference)]
            if not waiting:
                return _Changed(held, [])
            if retake_expired:
                require_retakeable(waiting)
                booked = await inventory.retake(waiting, booking_reference, now)
                done = [one.retaken(booking_reference, now) for one in waiting]
            else:
                require_active(waiting, now)
                booked = await inventory.confirm(waiting, booking_reference, now)
                done = [one.confirmed(booking_reference, now) for one in waiting]
            # Fewer seats than reservations: somebody else has one by now. Without a retake, a
            # replica whose clock is ahead gave it away.
            if booked != len(waiting):
                raise ReservationExpired(one.reservation_id for one in waiting)
            return _Changed(held, done)

        return _counted(await self._transactions.write(unit))

    async def cancel(
        self, reservation_ids: Sequence[int], booking_reference: str
    ) -> list[Reservation]:
        """See to it that a booking holds none of these seats; without a booking, end active holds.

        For a booking, what is over is cancelled too: so that a confirmation that comes late is
        refused, by a replica whose clock is behind and with `retake_expired` as well.

        Raises:
            ReservationNotFound: some do not exist.
            ReservationNotActive: no booking is named and some are confirmed.
        """

        async def unit(inventory: Inventory) -> _Changed:
            now = self._clock.now()
            held = _in_order(
                await inventory.lock_reservations(reservation_ids), reservation_ids, owner=None
            )
            _require_unconfirmed_unless_named(held, booking_reference)
            given_up = [one for one in held if _may_be_held_by(one, booking_reference, now)]
            over = [
                one for one in held if one.status_at(now) is not one.status and one not in given_up
            ]
            if given_up:
                await inventory.cancel(given_up, now)
            if over:
                await inventory.expire(over, now)
            ended = [one.cancelled(now) for one in given_up] + [one.expired(now) for one in over]
            return _Changed(held, ended)

        return _counted(await self._transactions.write(unit))

    def _reservations(
        self, request: SeatRequest, event: Event, seats: Sequence[Seat], now: datetime
    ) -> list[Reservation]:
        return [
            Reservation(
                reservation_id=reservation_id,
                event_id=event.event_id,
                user_id=request.user_id,
                seat_id=seat.seat_id,
                seat_number=seat.seat_number,
                price_minor=seat.price_minor,
                currency=event.currency,
                status=ReservationStatus.ACTIVE,
                created_at=now,
                expires_at=now + timedelta(seconds=request.ttl_s),
            )
            for reservation_id, seat in zip(self._ids.numbers(len(seats)), seats, strict=True)
        ]


def _counted(done: _Changed) -> list[Reservation]:
    metrics.count(done.changed)
    return done.reservations


def _check_ttl(ttl_s: float, most_s: float) -> None:
    if ttl_s > most_s:
        raise InvalidField(("ttl", f"must be at most {most_s:g} s"))


def _check_lifetime(
    held: Sequence[Reservation], now: datetime, until: datetime, lifetime_s: float
) -> None:
    ends_at = min(one.created_at for one in held) + timedelta(seconds=lifetime_s)
    if until > ends_at:
        left_s = max(0, int((ends_at - now).total_seconds()))
        bound = f"a seat may be held {lifetime_s:g} s in all"
        raise InvalidField(("ttl", f"must be at most {left_s} s: {bound}"))


def _in_order(
    found: Sequence[Reservation], reservation_ids: Sequence[int], owner: str | None
) -> list[Reservation]:
    mine = {one.reservation_id: one for one in found if owner is None or one.user_id == owner}
    missing = [number for number in reservation_ids if number not in mine]
    if missing:
        raise ReservationNotFound(missing)
    return [mine[number] for number in reservation_ids]


async def _seats_in_order(inventory: Inventory, request: SeatRequest) -> list[Seat]:
    found = await inventory.seats_numbered(request.event_id, request.seat_numbers)
    by_number = {seat.seat_number: seat for seat in found}
    unknown = [
        (f"seat_numbers[{index}]", f"event {request.event_id} has no seat {seat_number!r}")
        for index, seat_number in enumerate(request.seat_numbers)
        if seat_number not in by_number
    ]
    if unknown:
        raise InvalidField(*unknown)
    return [by_number[seat_number] for seat_number in request.seat_numbers]


async def _not_available(inventory: Inventory, wanted: Sequence[Reservation]) -> SeatNotAvailable:
    """Which of the seats stayed with someone else; this unit is rolled back after it."""
    numbers = [one.seat_number for one in wanted]
    seats = await inventory.seats_numbered(wanted[0].event_id, numbers)
    holders = {seat.seat_number: seat.reservation_id for seat in seats}
    return SeatNotAvailable(
        one.seat_number for one in wanted if holders[one.seat_number] != one.reservation_id
    )


def _require_unconfirmed_unless_named(held: Sequence[Reservation], booking_reference: str) -> None:
    confirmed = [one.reservation_id for one in held if one.status is ReservationStatus.CONFIRMED]
    if confirmed and not booking_reference:
        raise ReservationNotActive(confirmed)


def _may_be_held_by(one: Reservation, booking_reference: str, now: datetime) -> bool:
    """Whether a booking has its seat or could still get it; for no booking: whether it is held."""
    if one.status_at(now) is ReservationStatus.EXPIRED:
        return bool(booking_reference)
    return one.status is ReservationStatus.ACTIVE or one.is_confirmed_for(booking_reference)
