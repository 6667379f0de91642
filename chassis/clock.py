"""Time as a parameter, so that a test can move it."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Says what time it is, and waits."""

    def now(self) -> datetime:
        """The present moment, in UTC, to the microsecond."""

    async def sleep(self, delay_s: float) -> None:
        """Wait for a number of seconds."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The present moment, in UTC, to the microsecond."""
        return datetime.now(UTC)

    async def sleep(self, delay_s: float) -> None:
        """Wait for a number of seconds."""
        await asyncio.sleep(delay_s)
