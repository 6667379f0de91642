"""What a gRPC call came to. Only a reason that means "no" is a refusal; all else is Unknown."""

from collections.abc import Awaitable
from typing import TypeVar

import grpc.aio
import structlog

from booking_svc.domain.outcome import Done, Refused, Unknown
from chassis.errors import CircuitOpen
from chassis.status import from_rpc_error

log = structlog.get_logger(__name__)
Response = TypeVar("Response")


async def outcome_of(
    call: Awaitable[Response], refusals: frozenset[str]
) -> Done[Response] | Refused | Unknown:
    """Wait for a call; an error with one of these reasons is a refusal."""
    try:
        return Done(await call)
    except grpc.aio.AioRpcError as error:
        info = from_rpc_error(error)
        if info.reason in refusals:
            return Refused(info.reason, info.message, info.metadata)
        cause = f"{info.code.name} {info.reason}".strip()
        log.warning("outcome_unknown", cause=cause, message=info.message)
        return Unknown(cause)
    except CircuitOpen as error:
        # Not called now, which says nothing of an earlier try: never a refusal.
        log.info("outcome_unknown", cause="circuit open", message=error.message)
        return Unknown("circuit open")
