"""Forgetting what is old: rules that say what goes and when, and one worker for all of them.

A rule deletes at most a batch in a transaction of its own, so that nobody waits for its locks, and
the next begins when there is nothing left for it: what names something goes before that. Several
replicas may run it: what one of them deletes is gone for the others.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from chassis import metrics
from chassis.clock import Clock
from chassis.transactions import Transactions

BATCH = 500
INTERVAL_S = 600.0

Repository = TypeVar("Repository")


@dataclass(frozen=True)
class Rule(Generic[Repository]):
    """What goes when it is older than its retention."""

    # What it is, for the counter.
    kind: str
    retention_s: float
    # Deletes what is older than a moment, so many rows at most; how many it found.
    purge: Callable[[Repository, datetime, int], Awaitable[int]]


class Retention(Generic[Repository]):
    """Deletes by some rules, in their order."""

    def __init__(
        self,
        transactions: Transactions[Repository],
        clock: Clock,
        rules: Sequence[Rule[Repository]],
    ) -> None:
        """Work on these."""
        self._transactions = transactions
        self._clock = clock
        self._rules = rules
        for rule in rules:
            # There from the start: a rate of the first of its kind sees it rise from 0.
            metrics.PURGED.labels(rule.kind)

    async def run_once(self) -> bool:
        """Delete a batch by each rule, up to one that has more to do; true if one has."""
        for rule in self._rules:
            if await self._purge(rule) >= BATCH:
                return True
        return False

    async def _purge(self, rule: Rule[Repository]) -> int:
        try:
            before = self._clock.now() - timedelta(seconds=rule.retention_s)
        except OverflowError:
            # Before all time: it is kept for ever.
            return 0
        found = await self._transactions.write(lambda one: rule.purge(one, before, BATCH))
        metrics.PURGED.labels(rule.kind).inc(found)
        return found
