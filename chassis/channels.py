"""Calls to other services: kept-alive channels, retries where they are safe, deadlines spent."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from chassis import context, metrics, tracing
from chassis.breaker import Breaker, Verdict
from chassis.errors import CursorExpired, DeadlineTooShort, DependencyUnavailable
from chassis.status import from_rpc_error
from chassis.tls import PLAIN, Tls
from chassis.tls_channel import FollowingChannel
from chassis.tokens import ServiceToken

Response = TypeVar("Response", bound=Message)

# Kept back from the caller's time, so that there is some left to answer in.
MARGIN_S = 0.05
# As servers take; gRPC's default is 4 MiB.
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
# gRPC allows 5 attempts at most.
RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
# Of a service that does not do its work, whatever reason it still gives.
FAILURES = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}


def open_channel(target: str, service: ServiceDescriptor, tls: Tls = PLAIN) -> grpc.aio.Channel:
    """A channel to a service; in plaintext only over loopback or another trusted network.

    A target may stand for several replicas, `ipv4:HOST:PORT,HOST:PORT` or a name that DNS has
    several addresses for: calls go to each in turn. UNAVAILABLE is retried, on another one, on
    the methods that the contract marks as idempotent or without side effects, and on no other.
    """
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        # Calls go to those that say that they serve: who is stopping, or has lost its database,
        # gets none. Of the server as a whole, which every server of health can answer.
        "healthCheckConfig": {"serviceName": ""},
        "methodConfig": [{"name": _safe_to_repeat(service), "retryPolicy": RETRY}],
    }
    options = [
        ("grpc.service_config", json.dumps(config)),
        # A proxy for the way out is none for the way to each other.
        ("grpc.enable_http_proxy", 0),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        # A fresh connection is tried soon after a restart of the other side.
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    files = tls.files
    if files is None:
        return grpc.aio.insecure_channel(target, options=options)
    return FollowingChannel(
        files, lambda credentials: grpc.aio.secure_channel(target, credentials, options=options)
    )


class Outgoing:
    """Makes calls in a service's own name, within the time that its caller has left."""

    def __init__(
        self,
        service: ServiceDescriptor,
        token: ServiceToken | None,
        breaker: Breaker | None = None,
    ) -> None:
        """Call one other service with this token, behind this breaker (see `breaker_to`).

        Without a token, the certificate of the channel says who calls.
        """
        self._service = service.full_name
        # Each method has a request message of its own: it tells which one is called.
        self._methods = {method.input_type.full_name: method.name for method in service.methods}
        self._token = token
        self._breaker = breaker

    @property
    def is_open(self) -> bool:
        """Whether a call would be refused now, because the other service does not answer."""
        return self._breaker is not None and self._breaker.is_open

    async def call(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Any, Response]",
        request: Message,
        *,
        timeout_s: float,
        idempotency_key: str = "",
    ) -> Response:
        """Call a method and wait `timeout_s` at most, less if the caller has less.

        Raises:
            DeadlineTooShort: the caller has too little time left for the call.
            CircuitOpen: the other service does not answer; it was not called.
            grpc.aio.AioRpcError: the call failed.
        """
        budget_s = timeout_s
        if context.deadline.get() is not None:
            budget_s = context.remaining_s(timeout_s + MARGIN_S) - MARGIN_S
        if budget_s <= 0:
            raise DeadlineTooShort
        with self._breaker.guard() if self._breaker is not None else nullcontext():
            try:
                with seen(self._service, self._methods[request.DESCRIPTOR.full_name]):
                    metadata = self._metadata()
                    if idempotency_key:
                        metadata.append(("idempotency-key", idempotency_key))
                    return await method(request, timeout=budget_s, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and budget_s < timeout_s:
                    # It was the caller's time that ran out, not the other service's.
                    raise DeadlineTooShort from None
                raise

    async def stream(
        self, method: "grpc.aio.UnaryStreamMultiCallable[Any, Response]", request: Message
    ) -> AsyncIterator[Response]:
        """Read a stream of a method until it ends.

        Raises:
            CursorExpired: as named.
            DependencyUnavailable: it ended with another error, or could not begin.
        """
        try:
            async for one in method(request, metadata=self._metadata()):
                yield one
        except grpc.aio.AioRpcError as error:
            if from_rpc_error(error).reason == CursorExpired.reason:
                raise CursorExpired from None
            message = f"the stream ended: {error.code().name}"
            raise DependencyUnavailable(message) from None

    def _metadata(self) -> list[tuple[str, str]]:
        pairs = [("x-request-id", context.request_id.get()), *tracing.handed_on()]
        if self._token is not None:
            pairs.append(("authorization", f"Bearer {self._token.current()}"))
        return pairs


@contextmanager
def seen(service: str, method: str) -> Iterator[None]:
    """Surround a call that answers once, for the traces and the metrics."""
    began, code = time.perf_counter(), grpc.StatusCode.CANCELLED
    with tracing.calling(f"{service}/{method}", **{"rpc.system": "grpc"}) as span:
        try:
            yield
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code in FAILURES:
                tracing.fail(span, code.name)
            raise
        finally:
            span.set_attribute("rpc.grpc.status_code", code.value[0])
            metrics.CALLED.labels(service, method, code.name).inc()
            metrics.CALLING.labels(service, method).observe(time.perf_counter() - began)


def breaker_to(target: str) -> Breaker:
    """A breaker for the calls to one other service."""
    return Breaker(target, judge=judge)


def judge(error: Exception) -> Verdict:
    """What a failed call says of the other service: with a refusal it answered, so it works."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return Verdict.NOTHING
    if error.code() in FAILURES:
        return Verdict.FAILS
    return Verdict.WORKS if from_rpc_error(error).reason else Verdict.NOTHING


def _safe_to_repeat(service: ServiceDescriptor) -> list[dict[str, str]]:
    unsafe = MethodOptions.IDEMPOTENCY_UNKNOWN
    return [
        {"service": service.full_name, "method": method.name}
        for method in service.methods
        if method.GetOptions().idempotency_level != unsafe
    ]
