"""What loses the cancellation of its task, as `asyncio.wait_for` of CPython 3.11 may."""

import asyncio
from contextlib import suppress

from chassis.errors import DependencyUnavailable


async def refused_at_that_moment() -> bool:
    """Cancelled in the moment of a failure."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        message = "away"
        raise DependencyUnavailable(message) from None
    return False


async def connected_at_that_moment() -> bool:
    """Cancelled in the moment of a success."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return False
