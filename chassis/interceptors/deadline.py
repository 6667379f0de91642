"""The caller's deadline: kept, spent, and refused when too little of it is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chassis import context as call_context
from chassis.errors import DeadlineTooShort
from chassis.interceptors.around import AroundInterceptor, Context

# For callers that set none: no call may hold a server for ever.
DEFAULT_S = 60.0
# Kept back so that the answer is on its way before the caller stops listening.
MARGIN_S = 0.02


class DeadlineInterceptor(AroundInterceptor):
    """Ends a call a little before its caller's deadline."""

    @asynccontextmanager
    async def around(self, method: str, request: Any, context: Context) -> AsyncIterator[None]:  # noqa: ARG002
        """Surround one call."""
        given: float | None = context.time_remaining()
        budget_s = DEFAULT_S if given is None else min(given - MARGIN_S, DEFAULT_S)
        if budget_s <= 0:
            raise DeadlineTooShort
        call_context.deadline.set(asyncio.get_running_loop().time() + budget_s)
        try:
            async with asyncio.timeout(budget_s) as limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise DeadlineTooShort from None
            raise
