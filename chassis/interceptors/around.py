"""What the interceptors share: code around a handler, written once for all its shapes."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

Context = grpc.aio.ServicerContext[Any, Any]
# Takes the request; returns the answer, or writes the answers of a stream and returns nothing.
Handle = Callable[[Any, Context], Awaitable[Any]]
# Health and reflection answer anyone, and are not news.
OPEN_SERVICES = ("/grpc.health.v1.Health/", "/grpc.reflection.")


@dataclass(frozen=True)
class Call:
    """One call that is being served."""

    # As `/package.Service/Method`.
    method: str
    # The message; before it is parsed, what it comes from.
    request: Any
    context: Context
    # Whether it is answered with a stream.
    streams: bool


class AroundInterceptor(grpc.aio.ServerInterceptor):
    """Runs `around` a call: what is before its `yield` first, what is after it last.

    Health and reflection are left alone.
    """

    @abstractmethod
    def around(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Surround one call."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler that the next interceptor gives."""
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(OPEN_SERVICES):
            return handler
        if handler.request_streaming:
            # Rather no answer than one that went around authentication.
            return grpc.stream_unary_rpc_method_handler(_not_served)
        inner = inner_of(handler)

        async def handle(request: Any, context: Context) -> Any:
            async with self.around(Call(method, request, context, handler.response_streaming)):
                return await inner(request, context)

        return rebuilt(handler, handle, handler.request_deserializer)


def inner_of(handler: Any) -> Any:
    """What a handler for one request calls."""
    return handler.unary_stream if handler.response_streaming else handler.unary_unary


def rebuilt(handler: Any, handle: Handle, read: Callable[[bytes], Any] | None) -> Any:
    """A handler of the same shape that calls `handle` with the request as `read` reads it."""
    make: Any = (
        grpc.unary_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return make(handle, read, handler.response_serializer)


async def refuse(
    context: Context,
    code: grpc.StatusCode,
    details: str,
    trailing: Sequence[tuple[str, str | bytes]] = (),
) -> None:
    """End a call with an error.

    Raises:
        grpc.aio.AbortError: how gRPC ends the handler.
        asyncio.CancelledError: the call was over. Its caller is gone, or gRPC itself has refused
            its message; it would call that a fault of ours, in the log.
    """
    try:
        await context.abort(code, details, tuple(trailing))
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None


async def _not_served(_requests: AsyncIterator[bytes], context: Context) -> None:
    await refuse(context, grpc.StatusCode.UNIMPLEMENTED, "a stream of requests is not served here")
