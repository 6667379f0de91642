"""Structured logs: one JSON object a line, or plain colours on a terminal."""

import logging
import sys
from typing import Any

import structlog

from chassis import context, terminals, tracing

# What has lines of its own.
TRACEBACKS, OWN_LINES = ("exception", "stack"), "\n"
NOISY = ("sqlalchemy", "alembic", "aiosqlite", "asyncio", "grpc_reflection", "httpx", "uvicorn")


def configure(program: str, level: str) -> None:
    """Send every log line, our own and those of libraries, to standard error."""
    render: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if sys.stderr.isatty():
        # Plain: the pretty tracebacks show the values of variables, tokens too.
        render = [
            structlog.processors.format_exc_info,
            _harmless,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _Facts(program),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Statements, migrations and requests of libraries are not news; we write our own.
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It quotes what callers send as their trace.
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)


def _harmless(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Keep a line one line, and a terminal as it is, whatever callers have sent.

    Only what is text needs it: of anything else the representation is shown.
    """
    return {
        name: terminals.harmless(value, OWN_LINES if name in TRACEBACKS else "")
        if isinstance(value, str)
        else value
        for name, value in event.items()
    }


class _Facts:
    """Adds to every line which program wrote it, and for which call."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, _logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event["program"] = self._program
        present = context.request_id.get()
        if present:
            event.setdefault("request_id", present)
        trace_id = tracing.trace_id()
        if trace_id:
            event["trace_id"] = trace_id
        return event
