"""One exchange over ASGI: the request as it comes, and the only place that writes its answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, TypeVar

from chassis import context
from gateway import answers, metadata
from gateway.answers import Response
from gateway.errors import HeadersTooLarge, Invalid, TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Result = TypeVar("Result")

WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
# A header that says who asks, or what is asked, must not be there twice.
ONCE = frozenset({"authorization", "idempotency-key", "content-type", "content-length", "host"})
CHUNKED = "chunked"
# Of W3C Trace Context.
TRACE = (b"traceparent", b"tracestate")
# A caller that leaves is noticed so much later.
UNWATCHED_S = 0.02


class CallerGone(Exception):
    """The caller has left before it was answered."""


class Exchange:
    """A request, and its answer."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        always: Callable[["Exchange"], Mapping[str, str]],
    ) -> None:
        """Speak over these; `always` gives headers that go with every answer."""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._always = always
        self.verb: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"].partition(b"?")[0]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.client: str = (scope.get("client") or ("",))[0]
        self.headers: dict[str, str] = {}
        # Its request id.
        self.name = ""
        # The template of the path that it took, as the contract has it.
        self.route = "(none)"
        # Of the answer; 0: there is none yet.
        self.status = 0

    def read_headers(self, bytes_max: int) -> None:
        """Read the headers, by lower-case names; several of one name as one, by commas.

        Raises:
            HeadersTooLarge, Invalid: as named.
        """
        pairs = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in self._scope["headers"]
        ]
        for name, value in pairs:
            present = self.headers.get(name)
            self.headers[name] = value if present is None else f"{present}, {value}"
        self.name = metadata.request_id(self.headers)
        context.request_id.set(self.name)
        if sum(len(name) + len(value) for name, value in pairs) > bytes_max:
            raise HeadersTooLarge(bytes_max)
        self._refuse_doubtful_framing()
        if len(pairs) > len(self.headers):
            names = [name for name, _ in pairs]
            twice = [name for name in ONCE if names.count(name) > 1]
            if twice:
                raise Invalid(*((name, "is given twice") for name in sorted(twice)))

    def _refuse_doubtful_framing(self) -> None:
        """Refuse what a proxy in front may read as another request (RFC 9112, 3.2 and 6.1)."""
        if self._scope.get("http_version") == "1.1" and "host" not in self.headers:
            raise Invalid(("host", "is missing"))
        if self.headers.get("transfer-encoding", CHUNKED).lower() != CHUNKED:
            raise Invalid(("transfer-encoding", f"must be {CHUNKED}"))

    @property
    def trace(self) -> dict[str, str]:
        """The headers by which a caller hands on its trace."""
        found: dict[str, str] = {}
        for name, value in self._scope["headers"]:
            if name in TRACE:
                before = found.get(name.decode())
                text = value.decode("latin-1")
                # Several are one list; of parents there cannot be several, and it counts as none.
                found[name.decode()] = text if before is None else f"{before},{text}"
        return found

    @property
    def has_body(self) -> bool:
        """Whether there is a body to read (RFC 9112, section 6.3)."""
        headers = self.headers
        return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers

    async def read_body(self, bytes_max: int) -> bytes:
        """The body.

        Raises:
            TooLarge: it is larger than that.
            CallerGone: as named.
        """
        chunks, length = [], 0
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise CallerGone
            chunks.append(event.get("body", b""))
            length += len(chunks[-1])
            if length > bytes_max:
                raise TooLarge(bytes_max)
            if not event.get("more_body", False):
                return b"".join(chunks)

    async def unless_gone(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for work; if the caller leaves first, cancel it.

        Raises:
            CallerGone: as named.
        """
        watch = _Watch(self._left)
        try:
            return await work
        except asyncio.CancelledError:
            if watch.has_cancelled():
                raise CallerGone from None
            raise
        finally:
            await watch.end()

    async def respond(self, response: Response) -> None:
        """Send an answer that is complete."""
        response = answers.compressed(response, self.headers.get("accept-encoding", ""))
        await self._start(response)
        await self._send(
            {"type": "http.response.body", "body": b"" if self.verb == "HEAD" else response.body}
        )

    async def respond_with(
        self, kind: str, chunks: AsyncIterator[bytes], stopping: asyncio.Event
    ) -> None:
        """Send an answer piece by piece, as fast as the caller reads, until it leaves."""
        await self._start(Response(HTTPStatus.OK, b"", {"content-type": kind}), streaming=True)
        sending = asyncio.ensure_future(self._send_all(chunks))
        ends = [asyncio.ensure_future(one) for one in (self._left(), stopping.wait())]
        try:
            await asyncio.wait({sending, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for one in (sending, *ends):
                one.cancel()
            await asyncio.gather(sending, *ends, return_exceptions=True)
        if stopping.is_set():
            await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, response: Response, *, streaming: bool = False) -> None:
        always = self._always(self)
        headers = {**always, **response.headers}
        if "vary" in always and "vary" in response.headers:
            headers["vary"] = f"{always['vary']}, {response.headers['vary']}"
        if not streaming and response.status not in WITHOUT_BODY:
            headers["content-length"] = str(len(response.body))
        self.status = int(response.status)
        pairs = [
            (name.encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in headers.items()
        ]
        await self._send(
            {"type": "http.response.start", "status": response.status, "headers": pairs}
        )

    async def _send_all(self, chunks: AsyncIterator[bytes]) -> None:
        if self.verb != "HEAD":
            async for chunk in chunks:
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _left(self) -> None:
        """Return when the caller has left. Only once the body is read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class _Watch:
    """Cancels the task that makes it when the caller leaves, until it ends.

    Most work is done before it is worth a task to look: then there is only a timer.
    """

    def __init__(self, left: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._left = left
        self._task = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None
        self._cancelled = False
        self._timer = asyncio.get_running_loop().call_later(UNWATCHED_S, self._begin)

    def has_cancelled(self) -> bool:
        """Whether a cancellation that has come is its own; then it is dealt with."""
        if self._cancelled and self._task is not None:
            # Another one, of the server, would still be there.
            return self._task.uncancel() == 0
        return False

    async def end(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def _begin(self) -> None:
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        await self._left()
        if self._task is not None:
            self._cancelled = self._task.cancel()
