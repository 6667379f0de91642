"""What every program measures, and where it is read.

Names and units follow the conventions of Prometheus (https://prometheus.io/docs/practices/naming);
those of calls are the ones that gRPC's dashboards know. Every label has few values, all of them
ours: a method, a pool, a worker; never an id, a user or a text.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from chassis.metrics_server import MetricsServer

# When each series was made: nobody asks, and it doubles what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Of calls, in seconds: a database's answer, a provider's, and the longest that a caller waits.
CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# Of what takes a moment, or else something is wrong.
SHORT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
LOOP_EVERY_S = 0.5
# How long a connection to the metrics may be silent.
IDLE_S = 5.0

BUILD = Gauge(
    "holdfast_build_info", "Always 1: the program and its version", ["program", "version"]
)
LOOP_LAG = Histogram(
    "holdfast_event_loop_lag_seconds",
    "How late the event loop wakes up what is due",
    buckets=SHORT_BUCKETS,
)
BREAKER = Gauge(
    "holdfast_breaker_state",
    "The circuit breaker before what is called: 0 closed, 1 half-open, 2 open",
    ["target"],
)

# Of the calls that are served.
_METHOD = ("grpc_type", "grpc_service", "grpc_method")
STARTED = Counter("grpc_server_started", "Calls that have come in", _METHOD)
HANDLED = Counter("grpc_server_handled", "Calls that were answered", (*_METHOD, "grpc_code"))
HANDLING = Histogram(
    "grpc_server_handling_seconds",
    "From a call's coming in to its answer",
    _METHOD,
    buckets=CALL_BUCKETS,
)
IN_PROGRESS = Gauge("holdfast_calls_in_progress", "Calls and streams being served", ["kind"])
IN_PROGRESS_MAX = Gauge(
    "holdfast_calls_max", "As many are served at once; more are refused", ["kind"]
)

# Of the calls to other services.
CALLED = Counter(
    "grpc_client_handled",
    "Calls to other services that were answered",
    ["grpc_service", "grpc_method", "grpc_code"],
)
CALLING = Histogram(
    "grpc_client_handling_seconds",
    "From a call to another service to its answer, repeats by gRPC itself included",
    ["grpc_service", "grpc_method"],
    buckets=CALL_BUCKETS,
)

KEYS = Counter(
    "holdfast_idempotency_requests",
    "Calls with an idempotency key: new, replayed, in_use, reused, or failed for another reason",
    ["method", "result", "source"],
)

CONNECTIONS = Gauge(
    "holdfast_database_connections",
    "Connections to the database that are open",
    ["database", "pool", "state"],
)
CONNECTIONS_MAX = Gauge(
    "holdfast_database_connections_max", "As many there may be at most", ["database", "pool"]
)
UNITS = Histogram(
    "holdfast_database_unit_seconds",
    "Units of work, from waiting for a connection to the commit, all runs of them together",
    ["database", "kind", "outcome"],
    buckets=SHORT_BUCKETS,
)
RERUNS = Counter(
    "holdfast_database_reruns",
    "Units that ran again: deadlocks, lock waits, lost connections, ids drawn twice",
    ["database", "kind"],
)

PURGED = Counter(
    "holdfast_purged_rows", "Rows that were deleted because their retention was over", ["kind"]
)

ROUNDS = Counter("holdfast_worker_rounds", "Rounds of background work", ["worker", "outcome"])
LAST_SUCCESS = Gauge(
    "holdfast_worker_last_success_timestamp_seconds",
    "When a worker last ended a round well, or was started, in seconds since 1970",
    ["worker"],
)

CERTIFICATE_ENDS = Gauge(
    "holdfast_certificate_ends_timestamp_seconds",
    "When the certificate of a setting is over, as the program has it now, in seconds since 1970",
    ["setting"],
)


class MetricsAddressTaken(Exception):
    """Metrics cannot be served where they were to be; the text says what to do."""


def describe_program(name: str) -> None:
    """Say which program this is, and of which version."""
    BUILD.labels(name, version("holdfast")).set(1)


def watch_pool(
    database: str, pool: str, most: int, in_use: Callable[[], int], idle: Callable[[], int]
) -> None:
    """Read how many connections of a pool are in use, and how many wait, whenever that is asked."""
    CONNECTIONS.labels(database, pool, "in_use").set_function(in_use)
    CONNECTIONS.labels(database, pool, "idle").set_function(idle)
    CONNECTIONS_MAX.labels(database, pool).set(most)


def watch_certificate(setting: str, ends_at: Callable[[], float]) -> None:
    """Read when the certificate of a setting is over, whenever that is asked."""
    CERTIFICATE_ENDS.labels(setting).set_function(ends_at)


@asynccontextmanager
async def served(
    program: str, listen: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve what is measured at `http://LISTEN/metrics` until the block ends; not if it is empty.

    With `tls`, at `https://…`. Gives the port, 0 without one.

    Raises:
        MetricsAddressTaken: something else listens there.
    """
    describe_program(program)
    if not listen:
        yield 0
        return
    host, _, port = listen.rpartition(":")
    try:
        # It looks up the name of this machine, which may take long.
        server = await asyncio.to_thread(MetricsServer, host.strip("[]"), int(port), IDLE_S, tls)
    except OSError:
        message = f"cannot serve metrics on {listen}: taken, or not an address of this machine"
        raise MetricsAddressTaken(message) from None
    server.start()
    lag = asyncio.create_task(_watch_loop(), name="loop lag")
    try:
        yield server.server_port
    finally:
        lag.cancel()
        with suppress(asyncio.CancelledError):
            await lag
        server.stop()


async def _watch_loop() -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + LOOP_EVERY_S
        await asyncio.sleep(LOOP_EVERY_S)
        LOOP_LAG.observe(max(0.0, clock() - due))
