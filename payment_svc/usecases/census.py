"""Counting the payments and refunds that are open, for the metrics."""

from payment_svc import metrics
from payment_svc.ports import Counted
from payment_svc.usecases.records import Records

INTERVAL_S = 15.0


class Census:
    """Sets the gauges of what is in the database."""

    def __init__(self, records: Records) -> None:
        """Count here."""
        self._records = records

    async def run_once(self) -> bool:
        """Count once. Never more to do at once."""
        payments, refunds = await self._records.read(lambda ledger: ledger.census())
        metrics.PAYMENTS_OPEN.set(payments.count)
        metrics.PAYMENT_OLDEST.set(self._age_s(payments))
        metrics.REFUNDS_OPEN.set(refunds.count)
        metrics.REFUND_OLDEST.set(self._age_s(refunds))
        return False

    def _age_s(self, counted: Counted) -> float:
        if counted.oldest is None:
            return 0.0
        return max(0.0, (self._records.clock.now() - counted.oldest).total_seconds())
