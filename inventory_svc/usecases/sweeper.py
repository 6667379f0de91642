"""Writes down which reservations are over.

Only tidying: whether a reservation is over is decided by its expiry whenever it is read
or changed, so nothing depends on how often this runs.
"""

from chassis.clock import Clock
from chassis.transactions import Transactions
from inventory_svc import metrics
from inventory_svc.domain.reservation import Reservation, ReservationStatus
from inventory_svc.ports import Inventory

# One transaction; small enough that nobody waits for its locks.
BATCH = 500


class Sweeper:
    """Ends reservations whose time is over."""

    def __init__(self, transactions: Transactions[Inventory], clock: Clock) -> None:
        """Work on these."""
        self._transactions = transactions
        self._clock = clock

    async def run_once(self) -> bool:
        """End one batch; true if there may be more."""
        now = self._clock.now()
        overdue = await self._transactions.read(lambda inventory: inventory.overdue(now, BATCH))
        if not overdue:
            return False

        async def unit(inventory: Inventory) -> list[Reservation]:
            locked = await inventory.lock_reservations(overdue)
            over = [
                one
                for one in locked
                if one.status is ReservationStatus.ACTIVE
                and one.status_at(now) is ReservationStatus.EXPIRED
            ]
            if over:
                await inventory.expire(over, now)
            return [one.expired(now) for one in over]

        metrics.count(await self._transactions.write(unit))
        return len(overdue) == BATCH
