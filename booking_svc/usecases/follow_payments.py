"""Following what becomes of payments, so that the sagas that wait for one go on at once.

Each replica follows for itself: to wake a saga twice is harmless, and a cursor is stored
only by who handled everything before it. Sagas also wake by themselves and ask, for when
an event comes late or not at all.
"""

from datetime import timedelta

import structlog

from booking_svc.ports import Bookings, Decision, Payments
from chassis.bell import Bell
from chassis.clock import Clock
from chassis.errors import CursorExpired
from chassis.transactions import Transactions

log = structlog.get_logger(__name__)

CURSOR = "payments"
# Events that are handled twice after a restart cost little: the cursor need not be exact.
CURSOR_EVERY = timedelta(seconds=1)


class FollowPayments:
    """Wakes sagas whose payment is decided."""

    def __init__(
        self,
        transactions: Transactions[Bookings],
        payments: Payments,
        clock: Clock,
        awake: Bell,
    ) -> None:
        """Ring `awake` when a saga is to go on."""
        self._transactions = transactions
        self._payments = payments
        self._clock = clock
        self._awake = awake

    async def run_once(self) -> bool:
        """Follow from the stored cursor on until the stream ends.

        Where the events after it are not kept any more, from the oldest that is: what waits for
        one of the others wakes by itself and asks. True if that is to be done at once.

        Raises:
            DependencyUnavailable: the payment adapter cannot be reached.
        """
        cursor = await self._transactions.read(lambda bookings: bookings.cursor(CURSOR))
        try:
            await self._follow(cursor)
        except CursorExpired:
            log.warning("payment_events_missed")
            await self._note("")
            return True
        return False

    async def _follow(self, cursor: str) -> None:
        noted_at = self._clock.now()
        async for decision in self._payments.decisions(cursor):
            await self._handle(decision)
            if self._clock.now() >= noted_at + CURSOR_EVERY:
                noted_at = self._clock.now()
                await self._note(decision.cursor)

    async def _handle(self, decision: Decision) -> None:
        if not decision.is_decided:
            return
        reference = decision.booking_reference
        waiting = await self._transactions.read(lambda bookings: bookings.sagas.resting(reference))
        if not waiting:
            return
        now = self._clock.now()

        async def unit(bookings: Bookings) -> None:
            for saga in waiting:
                await bookings.sagas.hand_back(saga, now)

        await self._transactions.write(unit)
        self._awake.ring()

    async def _note(self, cursor: str) -> None:
        await self._transactions.write(lambda bookings: bookings.move_cursor(CURSOR, cursor))
