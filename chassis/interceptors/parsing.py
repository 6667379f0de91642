"""Reading the request: after authentication, and with a proper refusal.

grpc.aio would read it first of all, for anyone, and answer bytes that are no message with
the text of an exception.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from chassis.errors import InvalidField
from chassis.interceptors.around import OPEN_SERVICES, Context, inner_of, rebuilt
from chassis.interceptors.receiving import received


class ParsingInterceptor(grpc.aio.ServerInterceptor):
    """Gives the inner interceptors the message; to the outer ones it is still on its way."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Take over the reading from gRPC."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(OPEN_SERVICES):
            return handler

        inner = inner_of(handler)

        async def handle(arriving: AsyncIterator[bytes], context: Context) -> Any:
            return await inner(_read(handler, await received(arriving)), context)

        return rebuilt(handler, handle, None)


def _read(handler: Any, request: bytes) -> Any:
    try:
        return handler.request_deserializer(request)
    except DecodeError:
        raise InvalidField(("(request)", "is not a message of this method")) from None
