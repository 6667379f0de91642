"""Which pages of other origins may call: none, unless a setting names them (Fetch, section 3.2)."""

from collections.abc import Iterable, Mapping

HEADERS_ALLOWED = (
    "authorization, content-type, idempotency-key, last-event-id, traceparent, x-request-id,"
    " x-request-timeout"
)
HEADERS_SHOWN = "idempotent-replayed, location, retry-after, x-request-id"
MAX_AGE_S = 600


class Cors:
    """What browsers are told."""

    def __init__(self, origins: str) -> None:
        """Allow these origins, by spaces; none: nothing is said, and so nothing is allowed."""
        self._origins = frozenset(origins.split())

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of an answer to a page of an allowed origin."""
        if not self._origins:
            return {}
        origin = headers.get("origin", "")
        if origin not in self._origins:
            return {"vary": "origin"}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": HEADERS_SHOWN,
            "vary": "origin",
        }

    def preflight(self, headers: Mapping[str, str], methods: Iterable[str]) -> dict[str, str]:
        """The further headers of an answer to a preflight from an allowed origin."""
        asked = "access-control-request-method" in headers
        if not asked or headers.get("origin", "") not in self._origins:
            return {}
        return {
            "access-control-allow-methods": ", ".join(sorted(methods)),
            "access-control-allow-headers": HEADERS_ALLOWED,
            "access-control-max-age": str(MAX_AGE_S),
        }
