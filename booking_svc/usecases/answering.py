"""Answering a key again: from the fast copy where it knows, else from the database.

The database decides, always. The copy saves a look there; it may forget everything at any
moment, and then the same answers come a little later.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from booking_svc.domain.booking import Booking
from booking_svc.domain.errors import BookingNotFound
from booking_svc.ports import Answers, Bookings, Encode, KeptAnswer, OurClaim
from booking_svc.usecases.sagas import WAIT_MAX_S, Sagas
from chassis import context
from chassis.clock import Clock
from chassis.errors import DomainError, IdempotencyKeyInUse, IdempotencyKeyReused
from chassis.idempotency import Claim
from chassis.transactions import Transactions

# Between two looks at a first call that runs in another process.
POLL_S = 0.2
# Who knew a key, for the counters.
FAST_COPY = "redis"
# Kept back from the time of a caller who waits, to say that it was in vain: in good time, for
# nothing is lost by it.
ANSWER_MARGIN_S = 0.5


@dataclass(frozen=True)
class Answer:
    """The answer of ConfirmBooking: a message, encoded, or a refusal; and if it is a stored one."""

    message: bytes | DomainError
    replayed: bool


@dataclass(frozen=True)
class KeyUse:
    """One call with a key."""

    owner: str
    key: str
    fingerprint: str
    # Whether it waits for the first call, as long as that runs.
    waits: bool = False


@dataclass(frozen=True)
class Lifetimes:
    """How long answers are remembered, in seconds."""

    # In the fast copy.
    ttl_s: float
    # In the database: at least as long, or the copy would answer keys that are free again.
    retention_s: float


class Answering:
    """What keys were answered."""

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        transactions: Transactions[Bookings],
        answers: Answers,
        sagas: Sagas,
        encode: Encode,
        *,
        clock: Clock,
        lifetimes: Lifetimes,
        stopping: asyncio.Event,
    ) -> None:
        """Look in `answers` first, then in the database; nobody waits once it is `stopping`."""
        self._transactions = transactions
        self._answers = answers
        self._sagas = sagas
        self._encode = encode
        self._clock = clock
        self._lifetimes = lifetimes
        self._stopping = stopping

    async def recall(self, use: KeyUse) -> Answer | OurClaim | None:
        """The answer of a key; or a claim, if it may be new; or none, if the database has none.

        Raises:
            IdempotencyKeyReused, IdempotencyKeyInUse: as named.
        """
        known = await self._answers.look_up_or_claim(use.owner, use.key)
        if isinstance(known, KeptAnswer):
            context.key_source.set(FAST_COPY)
            if known.fingerprint != use.fingerprint:
                raise IdempotencyKeyReused
            return Answer(known.message, replayed=True)
        # With a claim, the database is not asked first: it is when the key is stored there.
        return known or await self.look_up(use)

    async def look_up(self, use: KeyUse) -> Answer | None:
        """The answer of a key, by the database alone; none if the key is new.

        Raises:
            IdempotencyKeyReused, IdempotencyKeyInUse: as named.
        """
        earlier = await self._transactions.read(
            lambda bookings: bookings.keys.find(use.owner, use.key)
        )
        return None if earlier is None else await self.again(earlier, use)

    async def again(self, earlier: Claim, use: KeyUse) -> Answer:
        """The answer that the first call with a key got.

        Raises:
            IdempotencyKeyReused: it was another request.
            IdempotencyKeyInUse: it has none yet.
        """
        earlier.require_same_request(use.fingerprint)
        booking_id = int(earlier.subject)
        booking = await self._transactions.read(lambda bookings: bookings.booking(booking_id))
        if booking is None:
            raise BookingNotFound(booking_id)
        if use.waits:
            booking = await self._wait(booking)
        final = _final(booking)
        if final is None:
            raise IdempotencyKeyInUse
        await self._keep(use, final, earlier.created_at)
        return Answer(final, replayed=True)

    async def first(self, booking: Booking, use: KeyUse) -> Answer:
        """The answer to the call that made a booking: final, or PENDING when its time is over."""
        final = _final(booking)
        if final is None:
            return Answer(self._encode(booking), replayed=False)
        await self._keep(use, final, booking.created_at)
        return Answer(final, replayed=False)

    async def let_go(self, use: KeyUse, claim: OurClaim) -> None:
        """Forget a claim: the call failed and stored nothing."""
        await self._answers.release(use.owner, use.key, claim)

    async def _keep(self, use: KeyUse, message: bytes | DomainError, used_at: datetime) -> None:
        """Copy a final answer, but for no longer than the database knows its key."""
        age_s = (self._clock.now() - used_at).total_seconds()
        left_s = min(self._lifetimes.ttl_s, self._lifetimes.retention_s - age_s)
        if left_s > 0:
            kept = KeptAnswer(use.fingerprint, message)
            await self._answers.keep(use.owner, use.key, kept, left_s)

    async def _wait(self, booking: Booking) -> Booking:
        """The booking when it has its answer, or as it is when the caller's time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(context.remaining_s(WAIT_MAX_S) - ANSWER_MARGIN_S):
                while _final(booking) is None and not self._stopping.is_set():
                    # Until the saga ends, if it runs here; else one look at the database.
                    booking = await self._sagas.wait(booking)
                    if _final(booking) is None:
                        await self._clock.sleep(POLL_S)
        return booking


def _final(booking: Booking) -> bytes | DomainError | None:
    """What ConfirmBooking answers from now on; none while that is open."""
    if booking.answer is not None:
        return booking.answer
    return booking.refusal() if booking.holds_nothing else None
