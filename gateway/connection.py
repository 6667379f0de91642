"""A connection, with what uvicorn leaves open: requests that never become one, and who has left."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# From the first byte of a request, or from the connection, to the end of the headers.
HEAD_TIMEOUT_S = 10.0
# The gateway refuses less than that, and with a body; but only when all headers have come.
HEAD_BYTES_MAX = 65_536
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """HTTP/1.1 with one client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Wait for a first request."""
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._unanswered: list[RequestResponseCycle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Do not wait for ever: uvicorn's own time begins after the first answer."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._end_if_idle)

    def data_received(self, data: bytes) -> None:
        """Read on, and see to it that what has begun ends."""
        # What comes before the end of a request in the same piece is counted for the next one.
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        super().data_received(data)
        # Also after an answer: a body that is no longer read, and empty lines, keep nothing open.
        if not self._in_head and not self._is_answered():
            self._forget_timer()
        elif self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            if self._is_answered():
                self.transport.write(TOO_LARGE)
            self.transport.close()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._end_if_idle)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind a body is none, whatever its name (RFC 9110, 6.5)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """It is served now, or after those before it."""
        super().on_headers_complete()
        self._in_head, self._head_bytes = False, 0
        waiting = [one for one in self._unanswered if not one.response_complete]
        self._unanswered = [*waiting, self.cycle]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all requests. uvicorn tells the last one, and another may be running before it."""
        self._forget_timer()
        super().connection_lost(exc)
        for one in self._unanswered:
            one.disconnected = one.disconnected or not one.response_complete
            one.message_event.set()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _end_if_idle(self) -> None:
        self._timer = None
        if self._is_answered():
            self.transport.close()
        else:
            # A beginning that was sent ahead must not end the request that is served.
            self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._end_if_idle)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
