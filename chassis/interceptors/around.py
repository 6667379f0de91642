"""What the interceptors share: code around a handler, written once for all its shapes."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio

Context = grpc.aio.ServicerContext[Any, Any]
# Health and reflection answer anyone, and are not news.
OPEN_SERVICES = ("/grpc.health.v1.Health/", "/grpc.reflection.")


class AroundInterceptor(grpc.aio.ServerInterceptor):
    """Runs `around` a call: what is before its `yield` first, what is after it last.

    Health and reflection are left alone.
    """

    @abstractmethod
    def around(
        self, method: str, request: Any, context: Context
    ) -> AbstractAsyncContextManager[None]:
        """Surround one call of a method such as `/package.Service/Method`."""

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
        wrap = self._stream if handler.response_streaming else self._unary
        make = (
            grpc.unary_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        inner = handler.unary_stream if handler.response_streaming else handler.unary_unary
        return make(wrap(method, inner), handler.request_deserializer, handler.response_serializer)

    def _unary(
        self, method: str, inner: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, context: Context) -> Any:
            async with self.around(method, request, context):
                return await inner(request, context)

        return call

    def _stream(
        self, method: str, inner: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self.around(method, request, context):
                async for message in inner(request, context):
                    yield message

        return call


async def _not_served(_requests: AsyncIterator[bytes], context: Context) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "a stream of requests is not served here")
