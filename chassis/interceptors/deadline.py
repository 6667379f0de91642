"""The caller's deadline: kept, spent, and refused when too little of it is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import context as call_context
from chassis.errors import DeadlineTooShort
from chassis.interceptors.around import AroundInterceptor, Call

# For calls whose callers set none, or more: no call may hold a server for ever. A stream may: it
# is there to be waited on, there is room for so many only, and a stop ends it.
MOST_S = 60.0
# Kept back so that the answer is on its way before the caller stops listening.
MARGIN_S = 0.02


class DeadlineInterceptor(AroundInterceptor):
    """Ends a call a little before its caller's deadline."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        ends_at = _ends_at(call)
        call_context.deadline.set(ends_at)
        try:
            async with asyncio.timeout_at(ends_at) as limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise DeadlineTooShort from None
            raise


def _ends_at(call: Call) -> float | None:
    """When to end a call, by the clock of the event loop; none: when it ends by itself."""
    given: float | None = call.context.time_remaining()
    if given is None and call.streams:
        return None
    budget_s = MOST_S if given is None else given - MARGIN_S
    if budget_s <= 0:
        raise DeadlineTooShort
    return asyncio.get_running_loop().time() + (budget_s if call.streams else min(budget_s, MOST_S))
