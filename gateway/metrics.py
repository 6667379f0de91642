"""What the gateway measures; what every program measures is in `chassis/metrics.py`.

The names are those of OpenTelemetry's semantic conventions, as Prometheus writes them.
"""

from prometheus_client import Gauge, Histogram

# Requests, in seconds; a stream lasts for as long as somebody reads it.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Anything else is one method to us: who invents some must not make new series.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "_OTHER"

REQUESTS = Histogram(
    "http_server_request_duration_seconds",
    "From a request's headers to the end of its answer",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=REQUEST_BUCKETS,
)
ACTIVE = Gauge("http_server_active_requests", "Requests being served, streams included")
