"""Traces: what one request led to, across programs, as spans of OpenTelemetry.

No span is made until an endpoint is named by the variables that every OpenTelemetry program reads:
OTEL_EXPORTER_OTLP_ENDPOINT, or …_TRACES_ENDPOINT. A caller's trace (W3C Trace Context) is handed on
either way.

No exception is recorded and no text of one: it might quote a card.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
OFF = "OTEL_SDK_DISABLED"
# How long a program that ends tries to send its last spans.
LAST_SPANS_S = 5.0

_tracer: Tracer = trace.NoOpTracer()
_w3c = TraceContextTextMapPropagator()
# Whether spans go anywhere: until they do, none is made.
_sending = False


def configure(program: str) -> Callable[[], None]:
    """Send spans to where the environment says, if it does. Returns what sends the last of them."""
    told = any(os.environ.get(name) for name in ENDPOINTS)
    if not told or os.environ.get(OFF, "").lower() == "true":
        return lambda: None
    # Only who uses them pays for them: half a second at the start.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider as Provider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME") or program
    provider = Provider(resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    send_to(provider)

    def end() -> None:
        # By itself it would try for half a minute.
        enough = threading.Timer(LAST_SPANS_S, exporter.shutdown)
        enough.daemon = True
        enough.start()
        provider.shutdown()
        enough.cancel()

    return end


def send_to(provider: TracerProvider) -> None:
    """Make spans, and give them to this provider."""
    global _sending, _tracer
    _tracer, _sending = provider.get_tracer("holdfast"), True


def serving(
    name: str, carrier: Mapping[str, str], **attributes: Any
) -> AbstractContextManager[Span]:
    """A span of a request that is served here; it goes on with the trace of its caller."""
    parent = _w3c.extract(carrier) if "traceparent" in carrier else Context()
    if not _sending:
        return _handing_on(parent)
    return _span(name, SpanKind.SERVER, attributes, context=parent)


def calling(name: str, **attributes: Any) -> AbstractContextManager[Span]:
    """A span of a request that is sent."""
    if not _sending:
        return nullcontext(INVALID_SPAN)
    return _span(name, SpanKind.CLIENT, attributes)


def inside(name: str, follows: str = "", **attributes: Any) -> AbstractContextManager[Span]:
    """A span of work within this program.

    `follows` is the `traceparent` of what began the work; where that is another trace, as after a
    restart, the span is linked to it.
    """
    if not _sending:
        return nullcontext(INVALID_SPAN)
    return _span(name, SpanKind.INTERNAL, attributes, links=_links(follows))


def part(name: str, **attributes: Any) -> AbstractContextManager[Span]:
    """A span of a part of the work in hand; none where that is no part of a trace."""
    if not _sending or not trace.get_current_span().is_recording():
        return nullcontext(INVALID_SPAN)
    return _span(name, SpanKind.INTERNAL, attributes)


@contextmanager
def apart() -> Iterator[None]:
    """Work that is no part of the present trace: what a stream polls for would never end it."""
    token = attach(Context())
    try:
        yield
    finally:
        detach(token)


def fail(span: Span, reason: str) -> None:
    """Mark a span as failed, for a reason from a closed list."""
    span.set_status(Status(StatusCode.ERROR, reason))


def note(**facts: str | int) -> None:
    """Say what the work in hand is about: on each of its further log lines, and on its span."""
    known = {name: value for name, value in facts.items() if value}
    structlog.contextvars.bind_contextvars(**known)
    span = trace.get_current_span()
    for name, value in known.items():
        span.set_attribute(f"holdfast.{name}", value)


def traceparent() -> str:
    """The present span, as it is handed on; empty outside of any trace."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return carrier.get("traceparent", "")


def handed_on() -> list[tuple[str, str]]:
    """The metadata that hand the present trace on to who is called."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return list(carrier.items())


def trace_id(parent: str | None = None) -> str:
    """The trace in a `traceparent`, the present one without it; empty if there is none."""
    there = None if parent is None else _w3c.extract({"traceparent": parent})
    context = trace.get_current_span(there).get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def _span(
    name: str, kind: SpanKind, attributes: Mapping[str, Any], **more: Any
) -> AbstractContextManager[Span]:
    return _tracer.start_as_current_span(
        name,
        kind=kind,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
        **more,
    )


@contextmanager
def _handing_on(parent: Context) -> Iterator[Span]:
    """Work as part of a caller's trace, without a span of its own."""
    token = attach(parent)
    try:
        yield INVALID_SPAN
    finally:
        detach(token)


def _links(follows: str) -> list[Link]:
    if not follows:
        return []
    before = trace.get_current_span(_w3c.extract({"traceparent": follows})).get_span_context()
    present = trace.get_current_span().get_span_context()
    return [Link(before)] if before.is_valid and before.trace_id != present.trace_id else []
