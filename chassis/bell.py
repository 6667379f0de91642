"""A bell inside one process: whoever waits for a change is woken, and looks for itself."""

import asyncio
from contextlib import suppress


class Bell:
    """Rung when something may have changed. It says nothing of what, and carries nothing.

    Note `rings` before looking, and wait since then: a ring between the look and the wait
    is heard.

        while True:
            heard = bell.rings
            look()
            await bell.wait(timeout_s, heard)

    It is a shortcut and never the only way: another process rings another bell, so every
    wait has a timeout. It belongs to one event loop.
    """

    def __init__(self) -> None:
        """Begin with no ring."""
        self.rings = 0
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake all who wait."""
        self.rings += 1
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, timeout_s: float, heard: int | None = None) -> bool:
        """Wait for a ring after `heard`, or after now; false when none came in time."""
        before = self.rings if heard is None else heard
        if self.rings == before:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._next.wait()
        return self.rings != before
