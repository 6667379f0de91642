"""The one place that turns errors into gRPC statuses (AIP-193), and reads them back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.errors import DomainError

DOMAIN = "holdfast"


@dataclass(frozen=True)
class ErrorInfo:
    """What a failed call said: its code, its reason, its facts, its text."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    message: str


def to_status(error: DomainError) -> status_pb2.Status:
    """The status of an error, with ErrorInfo, and with RetryInfo and BadRequest where they fit."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    details = [_pack(info)]
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after_s * 1000))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=what)
            for field, what in error.violations
        ]
        details.append(_pack(error_details_pb2.BadRequest(field_violations=violations)))
    code = to_code(error)
    return status_pb2.Status(code=code.value[0], message=error.message, details=details)


def to_code(error: DomainError) -> grpc.StatusCode:
    """The code of an error."""
    return grpc.StatusCode[error.kind.name]


def from_rpc_error(error: Any) -> ErrorInfo:
    """What an error of a call says, of `grpc` or `grpc.aio`; no reason if it is not one of ours."""
    info = error_details_pb2.ErrorInfo()
    for detail in _details(error):
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    reason = info.reason if info.domain == DOMAIN else ""
    return ErrorInfo(error.code(), reason, dict(info.metadata), error.details() or "")


def _details(error: Any) -> Sequence[any_pb2.Any]:
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        # gRPC itself refused the answer, and what is left of ours does not fit its code.
        return ()
    return status.details if status is not None else ()


def _pack(
    message: error_details_pb2.ErrorInfo
    | error_details_pb2.RetryInfo
    | error_details_pb2.BadRequest,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    # Facts are a map: the same ones are the same bytes from every process.
    packed.Pack(message, deterministic=True)
    return packed
