"""A clock that stands still until a test moves it."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 16, 10, 30, tzinfo=UTC)


class ManualClock:
    """`chassis.clock.Clock`, moved by hand; to sleep moves it and takes no time."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def move(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    async def sleep(self, delay_s: float) -> None:
        self.move(delay_s)
        await asyncio.sleep(0)
