"""What is seen of a request from outside: a span, one log line, and the counters."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from chassis import tracing
from gateway import metrics
from gateway.exchange import Exchange

log = structlog.get_logger("gateway.requests")

PATH_SHOWN_MAX = 300
# The first status that is our fault, or that of what is behind us.
FAULT = 500


@contextmanager
def observed(exchange: Exchange) -> Iterator[None]:
    """Surround the serving of one request."""
    began = time.perf_counter()
    verb = exchange.verb if exchange.verb in metrics.METHODS else metrics.OTHER_METHOD
    metrics.ACTIVE.inc()
    with tracing.serving(verb, exchange.trace, **{"http.request.method": verb}) as span:
        try:
            yield
        finally:
            duration_s = time.perf_counter() - began
            metrics.ACTIVE.dec()
            metrics.REQUESTS.labels(verb, exchange.route, exchange.status).observe(duration_s)
            span.update_name(f"{verb} {exchange.route}")
            span.set_attribute("http.route", exchange.route)
            span.set_attribute("http.response.status_code", exchange.status)
            span.set_attribute("holdfast.request_id", exchange.name)
            if exchange.status >= FAULT:
                tracing.fail(span, str(exchange.status))
            log.info(
                "request",
                method=exchange.verb,
                path=exchange.path[:PATH_SHOWN_MAX],
                status=exchange.status,
                duration_ms=round(duration_s * 1000, 1),
            )
