"""Forgets idempotency keys that are old, so that their table does not grow for ever.

The limit is published. A key outlives the fast copy of its answer, and any saga of its booking.
"""

from datetime import timedelta

from booking_svc.ports import Bookings
from chassis.clock import Clock
from chassis.transactions import Transactions

# One transaction; small enough that nobody waits for its locks.
BATCH = 500
INTERVAL_S = 600.0


class PurgeKeys:
    """Deletes keys that are older than the retention."""

    def __init__(
        self, transactions: Transactions[Bookings], clock: Clock, retention_s: float
    ) -> None:
        """Work on these."""
        self._transactions = transactions
        self._clock = clock
        self._retention = timedelta(seconds=retention_s)

    async def run_once(self) -> bool:
        """Delete one batch; true if there may be more."""
        before = self._clock.now() - self._retention
        purged = await self._transactions.write(lambda bookings: bookings.purge_keys(before, BATCH))
        return purged == BATCH
