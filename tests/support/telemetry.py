"""What programs tell of themselves, read in this process: metrics as differences, and spans."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id
from prometheus_client import REGISTRY

from chassis import tracing

# The example of W3C Trace Context.
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"

# The name of a series, and the values of its labels in their order.
Series = tuple[str, tuple[str, ...]]


def samples() -> dict[Series, float]:
    """All series of this process."""
    return {
        (one.name, tuple(one.labels.values())): one.value
        for family in REGISTRY.collect()
        for one in family.samples
    }


class Tally:
    """What has been counted since it was made; other tests count in the same process."""

    def __init__(self) -> None:
        self._before = samples()

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """The series of a counter that have changed, by the values of their labels: by how much."""
        return {
            labels: value - self._before.get((found, labels), 0.0)
            for (found, labels), value in samples().items()
            if found == name and value != self._before.get((found, labels), 0.0)
        }

    def new(self) -> set[Series]:
        """The series that were not there before."""
        return samples().keys() - self._before.keys()


def value(name: str, *labels: str) -> float:
    """A series as it is now."""
    return samples()[name, labels]


class Spans:
    """The spans that have ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [one.name for one in self.all()]

    def one(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (found,) = [one for one in self.all() if one.name == name]
        return found

    def text(self) -> str:
        """What is exported of them that can hold words: not their ids, which are random."""
        return "\n".join(json.dumps(_words(one)) for one in self.all())


@contextmanager
def recorded() -> Iterator[Spans]:
    """Make spans within the block, as a program does that sends them, and keep them."""
    before = tracing._tracer, tracing._sending
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.send_to(provider)
    try:
        yield Spans(exporter)
    finally:
        tracing._tracer, tracing._sending = before
        provider.shutdown()


def _words(span: ReadableSpan) -> list[object]:
    told = [(one.name, dict(one.attributes or {})) for one in span.events]
    linked = [dict(one.attributes or {}) for one in span.links]
    about = dict(span.attributes or {}), dict(span.resource.attributes)
    return [span.name, span.status.description, *about, told, linked]


def trace_of(span: ReadableSpan) -> str:
    """The id of the trace that a span is part of."""
    return format_trace_id(span.context.trace_id)
