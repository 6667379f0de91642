"""The request id, and one log line a call."""

import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog

from chassis import context as call_context
from chassis.interceptors.around import AroundInterceptor, Call, Context

log = structlog.get_logger("chassis.calls")

# What a caller may choose: enough for any tracing scheme, nothing that could forge a log line.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}
CODES = {code.value[0]: code for code in grpc.StatusCode}


class CallLogInterceptor(AroundInterceptor):
    """Takes the caller's `x-request-id` or makes one, returns it, and logs the call."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        request_id = _request_id(call.context)
        call_context.request_id.set(request_id)
        pairs = [("x-request-id", request_id)]
        call_context.answer_metadata.set(pairs)
        structlog.contextvars.clear_contextvars()
        began = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            yield
            call.context.set_trailing_metadata(tuple(pairs))
            code = grpc.StatusCode.OK
        except grpc.aio.AbortError:
            code = _code(call.context)
            raise
        finally:
            _write(call.method, code, time.perf_counter() - began)


def _request_id(context: Context) -> str:
    given = dict(context.invocation_metadata() or ()).get("x-request-id", "")
    if isinstance(given, str) and REQUEST_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex


def _code(context: Context) -> grpc.StatusCode:
    code: Any = context.code()
    return CODES.get(code, grpc.StatusCode.UNKNOWN) if isinstance(code, int) else code


def _write(method: str, code: grpc.StatusCode, duration_s: float) -> None:
    facts: dict[str, Any] = {
        "method": method,
        "code": code.name,
        "duration_ms": round(duration_s * 1000, 1),
    }
    caller = call_context._caller.get()  # noqa: SLF001 - there is none when authentication failed
    if caller is not None:
        facts["user_id"] = caller.user_id
    write = log.error if code in FAULTS else log.info
    write("call", **facts)
