"""What is seen of a call from outside: its request id, a span, one log line, and the counters."""

import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from chassis import context as call_context
from chassis import metrics, tracing
from chassis.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from chassis.interceptors.around import AroundInterceptor, Call, Context

log = structlog.get_logger("chassis.calls")

# What a caller may choose: enough for any tracing scheme, nothing that could forge a log line.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}
CODES = {code.value[0]: code for code in grpc.StatusCode}
KEY_RESULTS = {IdempotencyKeyInUse.reason: "in_use", IdempotencyKeyReused.reason: "reused"}


class ObservationInterceptor(AroundInterceptor):
    """Takes the caller's `x-request-id` or makes one, returns it, and notes how the call went."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        given = _text_metadata(call.context)
        request_id = _request_id(given)
        call_context.request_id.set(request_id)
        pairs = [("x-request-id", request_id)]
        call_context.answer_metadata.set(pairs)
        structlog.contextvars.clear_contextvars()
        seen = _Seen(call.method, "server_stream" if call.streams else "unary")
        metrics.STARTED.labels(*seen.labels).inc()
        began, code = time.perf_counter(), grpc.StatusCode.CANCELLED
        with tracing.serving(seen.name, given, **seen.attributes) as span:
            tracing.note(request_id=request_id)
            try:
                yield
                call.context.set_trailing_metadata(tuple(pairs))
                code = grpc.StatusCode.OK
            except grpc.aio.AbortError:
                code = _code(call.context)
                raise
            finally:
                span.set_attribute("rpc.grpc.status_code", code.value[0])
                if code in FAULTS:
                    tracing.fail(span, call_context.reason.get())
                seen.ended(code, time.perf_counter() - began)


@dataclass(frozen=True)
class _Seen:
    method: str
    kind: str

    @property
    def name(self) -> str:
        return self.method.removeprefix("/")

    @property
    def labels(self) -> tuple[str, str, str]:
        service, _, method = self.name.partition("/")
        return self.kind, service, method

    @property
    def attributes(self) -> dict[str, str]:
        _, service, method = self.labels
        return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}

    def ended(self, code: grpc.StatusCode, duration_s: float) -> None:
        metrics.HANDLED.labels(*self.labels, code.name).inc()
        metrics.HANDLING.labels(*self.labels).observe(duration_s)
        self._count_key(code)
        facts: dict[str, Any] = {
            "method": self.method,
            "code": code.name,
            "duration_ms": round(duration_s * 1000, 1),
        }
        reason = call_context.reason.get()
        if reason:
            facts["reason"] = reason
        caller = call_context._caller.get()  # noqa: SLF001 - none when authentication failed
        if caller is not None:
            facts["user_id"] = caller.user_id
        write = log.error if code in FAULTS else log.info
        write("call", **facts)

    def _count_key(self, code: grpc.StatusCode) -> None:
        source = call_context.key_source.get()
        if not source:
            return
        otherwise = "new" if code is grpc.StatusCode.OK else "failed"
        result = KEY_RESULTS.get(call_context.reason.get(), otherwise)
        if call_context.REPLAYED in (call_context.answer_metadata.get() or ()):
            result = "replayed"
        metrics.KEYS.labels(self.labels[2], result, source).inc()


def _text_metadata(context: Context) -> Mapping[str, str]:
    pairs = context.invocation_metadata() or ()
    return {name: value for name, value in pairs if isinstance(value, str)}


def _request_id(given: Mapping[str, str]) -> str:
    name = given.get("x-request-id", "")
    return name if REQUEST_ID.fullmatch(name) else uuid.uuid4().hex


def _code(context: Context) -> grpc.StatusCode:
    code: Any = context.code()
    return CODES.get(code, grpc.StatusCode.UNKNOWN) if isinstance(code, int) else code
