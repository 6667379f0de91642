"""Streams of answers: closed in order whatever ends them, and ended by a stop of the server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from chassis.errors import DependencyUnavailable
from chassis.interceptors.around import OPEN_SERVICES, Context, inner_of, rebuilt


class StreamInterceptor(grpc.aio.ServerInterceptor):
    """Makes one coroutine of an async generator and of the writing of what it yields.

    grpc.aio writes between two steps of the generator. A caller who leaves, or a deadline,
    would then end the writing and leave the generator, and all that is around it, open until
    the garbage collector finds them. So it is the innermost: the others surround a coroutine.
    """

    def __init__(self, stopping: asyncio.Event) -> None:
        """End the streams when this is set: they would use up the grace of the stop."""
        self._stopping = stopping

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the servicer's generator."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(OPEN_SERVICES):
            return handler
        if handler.request_streaming or not handler.response_streaming:
            return handler
        inner = inner_of(handler)

        async def handle(request: Any, context: Context) -> None:
            if self._stopping.is_set():
                raise _stopped()
            # gRPC cannot send an error while these are on their way with the first message.
            await _sent(context.send_initial_metadata(()))
            async with self._until_stop(), aclosing(inner(request, context)) as messages:
                async for message in messages:
                    await _sent(context.write(message))

        return rebuilt(handler, handle, handler.request_deserializer)

    @asynccontextmanager
    async def _until_stop(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None) as limit:
                end = asyncio.create_task(self._end(limit), name="end of a stream")
                try:
                    yield
                finally:
                    end.cancel()
        except TimeoutError:
            if limit.expired():
                raise _stopped() from None
            raise

    async def _end(self, limit: asyncio.Timeout) -> None:
        await self._stopping.wait()
        limit.reschedule(asyncio.get_running_loop().time())


async def _sent(sending: Awaitable[None]) -> None:
    """Wait until something is on its way; the call is cancelled if its caller has left.

    gRPC cancels it for that, too, but sometimes the failure to send is noticed first.
    """
    try:
        await sending
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None


def _stopped() -> DependencyUnavailable:
    return DependencyUnavailable("the server is stopping; ask again, another may answer")
