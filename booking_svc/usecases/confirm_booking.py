"""Booking: check, store the intent, run the saga, answer. Each key once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from booking_svc.domain.booking import Booking, new_booking
from booking_svc.domain.errors import BookingNotFound, ReservationExpired, ReservationNotActive
from booking_svc.domain.outcome import Refused
from booking_svc.domain.reservation import Reservation, require_bookable
from booking_svc.ports import Bookings, Encode, Inventory
from booking_svc.saga import machine
from booking_svc.saga.definition import CONFIRM_BOOKING
from booking_svc.usecases.refusals import require_done
from booking_svc.usecases.sagas import Sagas
from chassis.cards import Card
from chassis.clock import Clock
from chassis.errors import DomainError, IdempotencyKeyInUse, InvalidField
from chassis.idempotency import Claim, fingerprint
from chassis.ids import Ids
from chassis.money import DIGITS_MAX
from chassis.transactions import Transactions

# A hold outlives the payment by this, so that the seats can be confirmed after it.
HOLD_MARGIN_S = 60.0


@dataclass(frozen=True)
class BookingRequest:
    """A booking to make."""

    user_id: str
    key: str
    reservation_ids: Sequence[int]
    card: Card

    def fingerprint(self) -> str:
        """Of what makes two requests the same."""
        card = self.card.fingerprint_parts()
        return fingerprint("ConfirmBooking", list(self.reservation_ids), *card)


@dataclass(frozen=True)
class Answer:
    """The answer of ConfirmBooking: a message, encoded, or a refusal; and if it is a stored one."""

    message: bytes | DomainError
    replayed: bool


class ConfirmBooking:
    """Makes bookings."""

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        *,
        transactions: Transactions[Bookings],
        inventory: Inventory,
        sagas: Sagas,
        encode: Encode,
        clock: Clock,
        ids: Ids,
        payment_timeout_s: float,
    ) -> None:
        """Work on these; a payment may take `payment_timeout_s` seconds."""
        self._transactions = transactions
        self._inventory = inventory
        self._sagas = sagas
        self._encode = encode
        self._clock = clock
        self._ids = ids
        self._hold_s = payment_timeout_s + HOLD_MARGIN_S

    async def __call__(self, request: BookingRequest) -> Answer:
        """Book, or answer again what the key was answered before.

        The answer is a refusal, PaymentFailed or SeatsLost, when the booking failed: nothing is
        held or taken.

        Raises:
            ReservationNotFound, ReservationExpired, ReservationNotActive, ReservationsMixed:
                as named; nothing is stored and the key stays free.
            InvalidField: a bad card.
            IdempotencyKeyReused, IdempotencyKeyInUse: as named.
            DependencyUnavailable: the inventory cannot be reached; the key stays free.
        """
        earlier = await self._earlier(request)
        if earlier is not None:
            return await self._answer_again(earlier, request)
        request.card.check(self._clock.now().date())
        try:
            held = await self._held(request)
        except DomainError:
            # The first call with this key may have got that far meanwhile, and be why.
            earlier = await self._earlier(request)
            if earlier is None:
                raise
            return await self._answer_again(earlier, request)
        begun = await self._sagas.begin(self._begin(request, held))
        if isinstance(begun, Claim):
            return await self._answer_again(begun, request)
        return self._answer(await self._sagas.wait(begun), replayed=False)

    async def _earlier(self, request: BookingRequest) -> Claim | None:
        return await self._transactions.read(
            lambda bookings: bookings.keys.find(request.user_id, request.key)
        )

    async def _held(self, request: BookingRequest) -> list[Reservation]:
        """The reservations, held for long enough to be paid for."""
        held = require_done(await self._inventory.reservations(request.reservation_ids))
        now = self._clock.now()
        require_bookable(held, request.user_id, now)
        if sum(one.price_minor for one in held) >= 10**DIGITS_MAX:
            raise InvalidField(("reservation_ids", "cost more together than one payment can take"))
        if min(one.expires_at for one in held) < now + timedelta(seconds=self._hold_s):
            extended = await self._inventory.extend(request.reservation_ids, self._hold_s)
            if isinstance(extended, Refused) and extended.reason == InvalidField.reason:
                # The inventory holds them no longer than this.
                raise ReservationExpired(request.reservation_ids)
            require_done(extended)
        return held

    async def _begin(self, request: BookingRequest, held: Sequence[Reservation]) -> Claim | Booking:
        drawn: list[Booking] = []

        async def unit(bookings: Bookings) -> Claim | Booking:
            drawn[:] = [new_booking(self._ids.number(), held, self._clock.now())]
            return await self._store(bookings, request, drawn[0])

        async def landed(bookings: Bookings) -> Claim | Booking | None:
            claim = await bookings.keys.find(request.user_id, request.key, settled=True)
            ours = claim is not None and claim.subject == str(drawn[0].booking_id)
            return drawn[0] if ours else claim

        begun = await self._transactions.write(unit, landed)
        if isinstance(begun, Booking):
            saga = machine.begin(CONFIRM_BOOKING, begun.booking_id)
            self._sagas.start(saga, begun, request.card)
        return begun

    async def _store(
        self, bookings: Bookings, request: BookingRequest, booking: Booking
    ) -> Claim | Booking:
        """Store key, booking and saga, all or nothing; or find who had the key first."""
        digest, subject = request.fingerprint(), str(booking.booking_id)
        claim = Claim(request.user_id, request.key, digest, subject, booking.created_at)
        earlier = await bookings.keys.claim(claim)
        if earlier is not None:
            return earlier
        tied = await bookings.claim_reservations(booking.booking_id, booking.reservation_ids)
        if tied:
            raise ReservationNotActive(tied)
        await bookings.add_booking(booking)
        await bookings.add_saga(machine.begin(CONFIRM_BOOKING, booking.booking_id))
        return booking

    async def _answer_again(self, earlier: Claim, request: BookingRequest) -> Answer:
        earlier.require_same_request(request.fingerprint())
        booking_id = int(earlier.subject)
        booking = await self._transactions.read(lambda bookings: bookings.booking(booking_id))
        if booking is None:
            raise BookingNotFound(booking_id)
        if booking.answer is None and not booking.holds_nothing:
            raise IdempotencyKeyInUse
        return self._answer(booking, replayed=True)

    def _answer(self, booking: Booking, *, replayed: bool) -> Answer:
        if booking.answer is not None:
            return Answer(booking.answer, replayed)
        if booking.holds_nothing:
            return Answer(booking.refusal(), replayed)
        return Answer(self._encode(booking), replayed)
