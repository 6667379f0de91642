"""Counting the sagas that have not ended, for the metrics."""

from booking_svc import metrics
from booking_svc.ports import Bookings
from booking_svc.saga.machine import State
from chassis.clock import Clock
from chassis.transactions import Transactions

INTERVAL_S = 15.0
OPEN = (State.RUNNING, State.NEEDS_ATTENTION)


class Census:
    """Sets the gauges of what is in the database."""

    def __init__(self, transactions: Transactions[Bookings], clock: Clock) -> None:
        """Count here."""
        self._transactions = transactions
        self._clock = clock

    async def run_once(self) -> bool:
        """Count once. Never more to do at once."""
        found = await self._transactions.read(lambda bookings: bookings.sagas.census(OPEN))
        for state in OPEN:
            metrics.SAGAS.labels(state).set(found[state].count if state in found else 0)
        running = found.get(State.RUNNING)
        age_s = (self._clock.now() - running.oldest).total_seconds() if running else 0.0
        metrics.OLDEST.set(max(0.0, age_s))
        return False
