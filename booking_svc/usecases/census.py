"""Counting the sagas that have not ended, for the metrics."""

import structlog

from booking_svc import metrics
from booking_svc.ports import Bookings, Counted
from booking_svc.saga.machine import State
from chassis.clock import Clock
from chassis.transactions import Transactions

log = structlog.get_logger(__name__)

INTERVAL_S = 15.0
OPEN = (State.RUNNING, State.NEEDS_ATTENTION)


class Census:
    """Sets the gauges of what is in the database."""

    def __init__(self, transactions: Transactions[Bookings], clock: Clock) -> None:
        """Count here."""
        self._transactions = transactions
        self._clock = clock
        # The definitions that were told of last.
        self._unknown: set[str] = set()

    async def run_once(self) -> bool:
        """Count once. Never more to do at once."""
        found, unknown = await self._transactions.read(self._counted)
        for state in OPEN:
            metrics.SAGAS.labels(state).set(found[state].count if state in found else 0)
        running = found.get(State.RUNNING)
        age_s = (self._clock.now() - running.oldest).total_seconds() if running else 0.0
        metrics.OLDEST.set(max(0.0, age_s))
        self._tell_unknown(unknown)
        return False

    async def _counted(self, bookings: Bookings) -> tuple[dict[State, Counted], dict[str, int]]:
        return await bookings.sagas.census(OPEN), await bookings.sagas.unknown(OPEN)

    def _tell_unknown(self, unknown: dict[str, int]) -> None:
        metrics.UNKNOWN.set(sum(unknown.values()))
        if unknown.keys() != self._unknown:
            # Once for each news: while a newer version is rolled out this is as it should be.
            log.warning("sagas_unknown_here", definitions=unknown)
            self._unknown = set(unknown)
