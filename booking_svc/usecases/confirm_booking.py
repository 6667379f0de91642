"""Booking: check, store the intent, run the saga, answer. Each key once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from booking_svc.domain.booking import Booking, new_booking
from booking_svc.domain.errors import ReservationExpired, ReservationNotActive
from booking_svc.domain.outcome import Refused
from booking_svc.domain.reservation import Reservation, require_bookable
from booking_svc.ports import Bookings, Inventory, OurClaim
from booking_svc.saga.definition import CONFIRM_BOOKING
from booking_svc.saga.machine import Saga
from booking_svc.usecases.answering import Answer, Answering, KeyUse
from booking_svc.usecases.refusals import require_done
from booking_svc.usecases.sagas import Sagas
from chassis import tracing
from chassis.cards import Method
from chassis.clock import Clock
from chassis.errors import DependencyUnavailable, DomainError, InvalidField
from chassis.idempotency import Claim, fingerprint
from chassis.ids import Ids
from chassis.money import DIGITS_MAX
from chassis.transactions import Transactions

CANNOT_CHARGE = "no payment can be taken now; try again with the same idempotency key"
# A hold outlives the payment by this, so that the seats can be confirmed after it.
HOLD_MARGIN_S = 60.0


@dataclass(frozen=True)
class BookingRequest:
    """A booking to make."""

    user_id: str
    key: str
    reservation_ids: Sequence[int]
    card: Method

    def fingerprint(self) -> str:
        """Of what makes two requests the same."""
        card = self.card.fingerprint_parts()
        return fingerprint("ConfirmBooking", list(self.reservation_ids), *card)


class ConfirmBooking:
    """Makes bookings."""

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        *,
        transactions: Transactions[Bookings],
        inventory: Inventory,
        sagas: Sagas,
        answering: Answering,
        can_charge: Callable[[], bool],
        clock: Clock,
        ids: Ids,
        payment_timeout_s: float,
    ) -> None:
        """Work on these; a payment may take `payment_timeout_s` seconds."""
        self._transactions = transactions
        self._inventory = inventory
        self._sagas = sagas
        self._answering = answering
        self._can_charge = can_charge
        self._clock = clock
        self._ids = ids
        self._hold_s = payment_timeout_s + HOLD_MARGIN_S

    async def __call__(self, request: BookingRequest, *, wait: bool = False) -> Answer:
        """Book, or answer again what the key was answered before.

        The answer is a refusal, PaymentFailed or SeatsLost, when the booking failed: nothing is
        held or taken. With `wait`, a repeat waits for the first call while that runs.

        Raises:
            ReservationNotFound, ReservationExpired, ReservationNotActive, ReservationsMixed:
                as named; nothing is stored and the key stays free.
            InvalidField: a bad card.
            IdempotencyKeyReused, IdempotencyKeyInUse: as named.
            Overloaded: too many bookings are in the making; the key stays free.
            DependencyUnavailable: a service cannot be reached; the key stays free.
        """
        use = KeyUse(request.user_id, request.key, request.fingerprint(), wait)
        known = await self._answering.recall(use)
        if isinstance(known, Answer):
            return known
        try:
            return await self._book(request, use)
        except DomainError:
            if isinstance(known, OurClaim):
                await self._answering.let_go(use, known)
            raise

    async def _book(self, request: BookingRequest, use: KeyUse) -> Answer:
        try:
            begun = await self._prepare(request)
        except DomainError:
            # An earlier call with this key may be why, and then it has the answer.
            earlier = await self._answering.look_up(use)
            if earlier is None:
                raise
            return earlier
        if isinstance(begun, Claim):
            return await self._answering.again(begun, use)
        # Also when its caller leaves before there is an answer.
        tracing.note(booking_reference=begun.booking_reference)
        return await self._answering.first(await self._sagas.wait(begun), use)

    async def _prepare(self, request: BookingRequest) -> Claim | Booking:
        """Check all that can be checked, and store the intent; or find who had the key first."""
        with self._sagas.place():
            if not self._can_charge():
                raise DependencyUnavailable(CANNOT_CHARGE)
            request.card.check(self._clock.now().date())
            held = await self._held(request)
            return await self._sagas.begin(self._begin(request, held))

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
        sagas: list[Saga] = []

        async def unit(bookings: Bookings) -> Claim | Booking:
            drawn[:] = [new_booking(self._ids.number(), held, self._clock.now())]
            sagas[:] = [self._sagas.new(CONFIRM_BOOKING, drawn[0].booking_id)]
            return await self._store(bookings, request, drawn[0], sagas[0])

        async def landed(bookings: Bookings) -> Claim | Booking | None:
            claim = await bookings.keys.find(request.user_id, request.key, settled=True)
            ours = claim is not None and claim.subject == str(drawn[0].booking_id)
            stored = await bookings.sagas.find(drawn[0].booking_id, CONFIRM_BOOKING.name)
            # It may have taken so long to find out that somebody took the saga over.
            mine = ours and stored is not None and stored.lease == sagas[0].lease
            return drawn[0] if mine else claim

        begun = await self._transactions.write(unit, landed)
        if isinstance(begun, Booking):
            self._sagas.start(sagas[0], begun, request.card)
        return begun

    async def _store(
        self, bookings: Bookings, request: BookingRequest, booking: Booking, saga: Saga
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
        await bookings.sagas.add(saga)
        return booking
