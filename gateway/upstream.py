"""Calls to the services: raw bytes both ways, each with a deadline."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from chassis import tracing
from chassis.channels import seen
from gateway.metadata import Metadata, Pairs

HEALTH_TIMEOUT_S = 2.0
# Of W3C Trace Context.
TRACE = ("traceparent", "tracestate")
# What gRPC itself says holds addresses and names of ours; a service that means to be read gives a
# reason with its text.
OUR_WORDS = {
    grpc.StatusCode.CANCELLED: "the call was cancelled",
    grpc.StatusCode.UNKNOWN: "internal error",
    grpc.StatusCode.DEADLINE_EXCEEDED: "the service did not answer in time",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the service has more to do than it takes on",
    grpc.StatusCode.UNIMPLEMENTED: "the service does not do this",
    grpc.StatusCode.INTERNAL: "internal error",
    grpc.StatusCode.UNAVAILABLE: "the service cannot be reached; try again",
    grpc.StatusCode.DATA_LOSS: "internal error",
}
# And it gives no reason; where a service would have given one, that is it.
OUR_REASONS = {
    grpc.StatusCode.UNKNOWN: "INTERNAL",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "OVERLOADED",
    grpc.StatusCode.UNAVAILABLE: "DEPENDENCY_UNAVAILABLE",
    grpc.StatusCode.DATA_LOSS: "INTERNAL",
}


@dataclass(frozen=True)
class Answer:
    """What a call returned: the message as bytes, and the metadata with it."""

    data: bytes
    initial: Pairs
    trailing: Pairs


@dataclass
class Failed(Exception):
    """A call failed. Its text is public."""

    code: grpc.StatusCode
    # Of ErrorInfo (AIP-193); what the code means if there is none.
    reason: str
    message: str
    facts: dict[str, str]
    violations: tuple[tuple[str, str], ...]
    retry_after_s: float | None
    trailing: Pairs


class Upstream:
    """One method of a service."""

    def __init__(
        self, channel: grpc.aio.Channel, method: MethodDescriptor, *, certified: bool = False
    ) -> None:
        """Call it over this channel, which shows a certificate of ours if it is `certified`."""
        self._certified = certified
        self._labels = (method.containing_service.full_name, method.name)
        make: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
        self._method: Any = make("/" + "/".join(self._labels))

    async def call(self, data: bytes, metadata: Metadata, timeout_s: float) -> Answer:
        """Call a method that answers once.

        Raises:
            Failed: as it says.
        """
        try:
            with seen(*self._labels):
                call = self._method(data, metadata=self._own(metadata), timeout=timeout_s)
                message = await call
                return Answer(
                    message, await call.initial_metadata(), await call.trailing_metadata()
                )
        except grpc.aio.AioRpcError as error:
            raise failed(error) from None

    async def stream(
        self, data: bytes, metadata: Metadata, timeout_s: float
    ) -> AsyncGenerator[bytes]:
        """Call a method that answers with a stream; leaving the loop cancels the call.

        Raises:
            Failed: as it says.
        """
        call = self._method(data, metadata=self._own(metadata), timeout=timeout_s)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise failed(error) from None
        finally:
            call.cancel()

    def _own(self, metadata: Metadata) -> Metadata:
        metadata = _traced(metadata)
        if self._certified and all(name != "authorization" for name, _ in metadata):
            # Without any, a service that knows our certificate would take the caller for us.
            return (*metadata, ("authorization", ""))
        return metadata


async def is_serving(channel: grpc.aio.Channel, service: str) -> bool:
    """Whether a service says that it can work; one that says nothing of that, and answers, can."""
    check = health_pb2_grpc.HealthStub(channel).Check
    for name in (service, ""):
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            answer = await check(request, timeout=HEALTH_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return True
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                return False
        else:
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
    return True


def failed(error: grpc.aio.AioRpcError) -> Failed:
    """What an error of a call says, in words that may be read by anybody."""
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in _details(error):
        for known in (info, bad, retry):
            if detail.Is(known.DESCRIPTOR):
                detail.Unpack(known)
    code, message = error.code(), error.details() or ""
    if not info.reason:
        message = OUR_WORDS.get(code, message)
    delay_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return Failed(
        code=code,
        reason=info.reason or OUR_REASONS.get(code, code.name),
        message=message,
        facts=dict(info.metadata),
        violations=tuple((one.field, one.description) for one in bad.field_violations),
        retry_after_s=delay_s if retry.HasField("retry_delay") else None,
        trailing=error.trailing_metadata(),
    )


def _traced(metadata: Metadata) -> Metadata:
    """The same, with the present span in the place of the caller's."""
    own = tracing.handed_on()
    if not own:
        return metadata
    return (*(pair for pair in metadata if pair[0] not in TRACE), *own)


def _details(error: grpc.aio.AioRpcError) -> Any:
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return ()
    return status.details if status is not None else ()
