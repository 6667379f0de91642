"""A receiver of OpenTelemetry's own protocol, and the spans that programs have sent to it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc

WAIT_S = 30.0
KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT"}


@dataclass(frozen=True)
class Span:
    """A span, with its ids as in a `traceparent`."""

    program: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    # The traces that it is linked to.
    links: tuple[str, ...]
    began_s: float
    request_id: str
    booking_reference: str


class Receiver(rpc.TraceServiceServicer):
    """Keeps all that is sent to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        # All of it as text.
        self.text = ""
        self.address = ""

    def Export(
        self, request: pb.ExportTraceServiceRequest, _context: Any
    ) -> pb.ExportTraceServiceResponse:
        with self._lock:
            self.text += str(request)
            for resource in request.resource_spans:
                program = _facts(resource.resource.attributes)["service.name"]
                for scope in resource.scope_spans:
                    self._spans += [_span(program, one) for one in scope.spans]
        return pb.ExportTraceServiceResponse()

    @property
    def settings(self) -> dict[str, str]:
        """What makes a program send its spans here, and soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.address}",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def spans(self, **wanted: str) -> list[Span]:
        """The spans with these fields, in the order in which they began."""
        with self._lock:
            found = [
                one
                for one in self._spans
                if all(getattr(one, name) == value for name, value in wanted.items())
            ]
        return sorted(found, key=lambda one: one.began_s)

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait until what is needed has come."""
        ends_at = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < ends_at, [(one.program, one.name) for one in self._spans]
            time.sleep(0.02)

    def above(self, span: Span) -> list[Span]:
        """A span and those above it, as far as they have come, the first one first."""
        by_id = {one.span_id: one for one in self.spans(trace_id=span.trace_id)}
        path = [span]
        while path[0].parent_id in by_id:
            path.insert(0, by_id[path[0].parent_id])
        return path


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive spans until the block ends."""
    receiver = Receiver()
    server = grpc.server(ThreadPoolExecutor(4))
    rpc.add_TraceServiceServicer_to_server(receiver, server)
    receiver.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(0).wait()


def _span(program: str, one: Any) -> Span:
    facts = _facts(one.attributes)
    return Span(
        program=program,
        name=one.name,
        kind=KINDS[one.kind],
        trace_id=one.trace_id.hex(),
        span_id=one.span_id.hex(),
        parent_id=one.parent_span_id.hex(),
        links=tuple(link.trace_id.hex() for link in one.links),
        began_s=one.start_time_unix_nano / 1e9,
        request_id=facts.get("holdfast.request_id", ""),
        booking_reference=facts.get("holdfast.booking_reference", ""),
    )


def _facts(attributes: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in attributes}
