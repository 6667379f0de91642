"""A network that fails: a gRPC proxy between the bookings and another service.

It passes bytes on and knows no message; it spoils the first calls of one method.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any

import grpc
import grpc.aio

# As often as gRPC itself repeats a call that did not arrive, and then some.
SPOILED = 6
LATE_BY_S = 0.3
STREAMS = ("StreamPaymentEvents",)


class Fault(StrEnum):
    """What may become of a call."""

    REFUSED = "refused before it arrives"
    LOST = "executed, and the answer lost"
    LATE = "delayed past the deadline, and executed then"
    TWICE = "delivered twice at once"
    ELSEWHERE = "executed, the answer lost, and asked of another replica"


class Proxy:
    """Stands where a service is looked for, before one or more replicas of it."""

    def __init__(self, targets: Sequence[str], method: str, fault: Fault) -> None:
        self._channels = [grpc.aio.insecure_channel(target) for target in targets]
        self._method = method
        self._fault = fault
        self._left = 1 if fault is Fault.TWICE else SPOILED
        self._late: set[asyncio.Task[Any]] = set()
        # How many calls were spoiled.
        self.spoiled = 0

    async def unary(self, method: str, request: bytes, context: Any) -> bytes:
        metadata = passed_on(context)
        if not method.endswith(f"/{self._method}") or not self._left:
            return await self._call(0, method, request, metadata, context)
        self._left -= 1
        self.spoiled += 1
        match self._fault:
            case Fault.REFUSED:
                pass
            case Fault.LOST:
                await self._call(0, method, request, metadata, context)
            case Fault.LATE:
                await self._after_deadline(method, request, metadata, context)
            case Fault.TWICE:
                return await self._twice(method, request, metadata, context)
            case Fault.ELSEWHERE:
                which = self.spoiled % len(self._channels)
                await self._call(which, method, request, metadata, context)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the network failed")
        raise AssertionError

    async def stream(self, method: str, request: bytes, context: Any) -> AsyncIterator[bytes]:
        call = self._channels[0].unary_stream(method)(request, metadata=passed_on(context))
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details())

    async def close(self) -> None:
        await asyncio.gather(*self._late, return_exceptions=True)
        for channel in self._channels:
            await channel.close()

    async def _call(
        self, which: int, method: str, request: bytes, metadata: Any, context: Any
    ) -> bytes:
        call = self._channels[which].unary_unary(method)
        try:
            return await call(request, metadata=metadata, timeout=context.time_remaining())
        except grpc.aio.AioRpcError as error:
            context.set_trailing_metadata(error.trailing_metadata())
            await context.abort(error.code(), error.details(), error.trailing_metadata())
            raise AssertionError from None

    async def _twice(self, method: str, request: bytes, metadata: Any, context: Any) -> bytes:
        both = [self._call(0, method, request, metadata, context) for _ in range(2)]
        # The first answer counts; the other one is never read.
        done, rest = await asyncio.wait(
            map(asyncio.ensure_future, both), return_when=asyncio.FIRST_COMPLETED
        )
        await asyncio.wait(rest) if rest else None
        return done.pop().result()

    async def _after_deadline(
        self, method: str, request: bytes, metadata: Any, context: Any
    ) -> None:
        left_s = context.time_remaining()

        async def late() -> None:
            await asyncio.sleep(left_s + LATE_BY_S)
            await self._channels[0].unary_unary(method)(request, metadata=metadata, timeout=5)

        self._late.add(asyncio.create_task(late()))
        await asyncio.sleep(left_s + LATE_BY_S)


def passed_on(context: Any) -> Any:
    """The metadata of a call that are the caller's own."""
    names = ("authorization", "idempotency-key", "x-request-id")
    return [(key, value) for key, value in context.invocation_metadata() if key in names]


@asynccontextmanager
async def proxied(
    targets: Sequence[str], method: str, fault: Fault
) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy that serves until the block ends, and its address."""
    proxy = Proxy(targets, method, fault)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handlers(proxy),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield proxy, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
        await proxy.close()


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        if method.startswith("/grpc.health."):
            # It has no health of its own: callers then take it for one that serves.
            return None
        if method.endswith(STREAMS):
            return grpc.unary_stream_rpc_method_handler(_bound(self._proxy.stream, method))
        return grpc.unary_unary_rpc_method_handler(_bound_unary(self._proxy.unary, method))


def _bound_unary(serve: Callable[..., Any], method: str) -> Any:
    async def handler(request: bytes, context: Any) -> bytes:
        return await serve(method, request, context)

    return handler


def _bound(serve: Callable[..., Any], method: str) -> Any:
    async def handler(request: bytes, context: Any) -> AsyncIterator[bytes]:
        async for message in serve(method, request, context):
            yield message

    return handler
