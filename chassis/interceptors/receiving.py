"""Taking the request in: late, for those who may send one, and not for ever.

grpc.aio would wait for it first of all, without an end, for anyone: a caller who opens calls and
sends nothing would be in no limit. So to gRPC all methods are ones whose requests are streams.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from chassis.errors import DomainError, InvalidField, RequestTooSlow
from chassis.interceptors.around import OPEN_SERVICES, Context, Handle, inner_of, refuse
from chassis.status import to_code

# The largest message, over a line that is not fast.
RECEIVE_S = 20.0


class ReceivingInterceptor(grpc.aio.ServerInterceptor):
    """Gives the other interceptors, for a request, what `received` reads it from.

    It is the outermost. Health and reflection are given their request as it is. A method that
    needs no token is served only when its request is there: who sends none takes nobody's place.
    """

    def __init__(self, open_methods: frozenset[str]) -> None:
        """Wait for the requests of these methods before all else."""
        self._open_methods = open_methods

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Take over the receiving from gRPC."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        handle, method = inner_of(handler), handler_call_details.method
        if method.startswith(OPEN_SERVICES):
            handle = _received_first(handle, handler.request_deserializer)
        elif method in self._open_methods:
            handle = _received_first(handle, _arrived)
        make: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        return make(handle, None, handler.response_serializer)


async def received(arriving: AsyncIterator[bytes]) -> bytes:
    """The bytes of a request.

    Raises:
        InvalidField: the caller has ended the call without one.
        RequestTooSlow: as named.
    """
    try:
        async with asyncio.timeout(RECEIVE_S) as limit:
            async for request in arriving:
                return request
    except TimeoutError:
        if limit.expired():
            raise RequestTooSlow(RECEIVE_S) from None
        raise
    raise InvalidField(("(request)", "did not come"))


def _received_first(inner: Handle, read: Callable[[bytes], Any]) -> Handle:
    async def handle(arriving: AsyncIterator[bytes], context: Context) -> Any:
        try:
            request = await received(arriving)
        except DomainError as error:
            await refuse(context, to_code(error), error.message)
        return await inner(read(request), context)

    return handle


async def _arrived(request: bytes) -> AsyncIterator[bytes]:
    """What was received once, to be received by `received`."""
    yield request
