"""One request, from its first byte to the last of its answer: the stages in their order."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from google.protobuf.message import Message

from gateway import answers, metadata, streams
from gateway.answers import Response
from gateway.binding import Binder
from gateway.config import GatewaySettings
from gateway.cors import Cors
from gateway.errors import (
    Invalid,
    NoRoute,
    NotAcceptable,
    Refusal,
    TooLarge,
    TooSlow,
    WrongMediaType,
    WrongMethod,
)
from gateway.exchange import CallerGone, Exchange, Receive, Scope, Send
from gateway.limits import Places, Rates
from gateway.observation import observed
from gateway.router import Router
from gateway.status import CLIENT_CLOSED_REQUEST, Answered
from gateway.upstream import Failed, Upstream

log = structlog.get_logger("gateway.requests")

# What a page is called where routes are told apart.
PAGE = "(page)"

HSTS = "strict-transport-security"

# What is at a path that no contract has: a page, or nothing. The second is `If-None-Match`.
Page = Callable[[str, str], Awaitable[Response | None]]


@dataclass(frozen=True)
class Route:
    """A way to reach a method, ready to be taken."""

    # Of its path, as the contract has it.
    template: str
    binder: Binder
    upstream: Upstream
    told: Answered
    new_answer: Callable[[bytes], Message]
    encode: Callable[[Message], bytes]
    # Whether the body is bytes that are not read here.
    raw: bool
    takes_body: bool
    is_stream: bool
    # Whether the answer is bytes that are not made here: google.api.HttpBody.
    gives_raw: bool


class App:
    """The gateway as an ASGI application."""

    def __init__(
        self, settings: GatewaySettings, router: Router[Route], page: Page, stopping: asyncio.Event
    ) -> None:
        """Serve these routes, and these pages beside them; streams end when `stopping` is set."""
        self._settings = settings
        self._stopping = stopping
        self._router = router
        self._page = page
        self._cors = Cors(settings.cors_origins)
        self._places = Places(settings.requests_max, settings.requests_each_max)
        self._streams = Places(settings.streams_max, settings.streams_each_max)
        secured = bool(settings.tls_cert_file and settings.hsts_s)
        self._hsts = {HSTS: f"max-age={settings.hsts_s}"} if secured else {}
        self._rates = Rates(settings.rate_per_s, settings.rate_burst, time.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whatever goes wrong is an answer too."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, self._patient(send), self._always)
        with observed(exchange):
            try:
                await self._answer(exchange)
            except CallerGone:
                exchange.status = CLIENT_CLOSED_REQUEST

    def _patient(self, send: Send) -> Send:
        """The same, but for a caller that reads nothing for long: it is as good as gone."""

        async def within(event: MutableMapping[str, Any]) -> None:
            try:
                async with asyncio.timeout(self._settings.write_timeout_s):
                    await send(event)
            except TimeoutError:
                raise CallerGone from None

        return within

    def _always(self, exchange: Exchange) -> Mapping[str, str]:
        """The headers of every answer."""
        return {
            "x-request-id": exchange.name,
            **answers.SAFE,
            **self._hsts,
            **self._cors.headers(exchange.headers),
        }

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._serve(exchange)
        except CallerGone:
            raise
        except Refusal as refusal:
            await exchange.respond(answers.of_refusal(refusal))
        except Failed as failure:
            await exchange.respond(answers.of_failure(failure))
        except Exception:
            log.exception("request_failed")
            if exchange.status:
                # It is too late for another answer: end the connection, so that it is seen.
                raise
            await exchange.respond(answers.of_fault(exchange.name))

    async def _serve(self, exchange: Exchange) -> None:
        exchange.read_headers(self._settings.headers_bytes_max)
        if await self._served_beside(exchange):
            return
        # Whether a token is good is for the services to say: it is a name here, and no more.
        caller = exchange.headers.get("authorization") or exchange.client
        self._rates.take(caller)
        found = self._router.match(exchange.verb, exchange.raw_path)
        route = found.target
        exchange.route = route.template
        with (self._streams if route.is_stream else self._places).taken(caller):
            body = await self._body(exchange, route)
            message = route.binder.request(
                found.variables,
                exchange.query,
                body,
                content_type=exchange.headers.get("content-type", ""),
            )
            await (self._stream if route.is_stream else self._once)(exchange, route, message)

    async def _served_beside(self, exchange: Exchange) -> bool:
        """Serve a page, or say what is allowed; false if it is a call."""
        if exchange.verb == "OPTIONS":
            await self._allowed(exchange)
            return True
        page = await self._page(exchange.path, exchange.headers.get("if-none-match", ""))
        if page is None:
            return False
        exchange.route = PAGE
        if exchange.verb not in ("GET", "HEAD"):
            raise WrongMethod({"GET", "HEAD", "OPTIONS"})
        await exchange.respond(page)
        return True

    async def _allowed(self, exchange: Exchange) -> None:
        methods = set(self._router.methods(exchange.raw_path))
        if not methods and await self._page(exchange.path, "") is None:
            raise NoRoute
        methods = methods or {"GET"}
        methods |= {"OPTIONS", *({"HEAD"} if "GET" in methods else ())}
        allow = ", ".join(sorted(methods))
        preflight = self._cors.preflight(exchange.headers, methods)
        await exchange.respond(Response(HTTPStatus.NO_CONTENT, b"", {"allow": allow, **preflight}))

    async def _body(self, exchange: Exchange, route: Route) -> bytes:
        if not exchange.has_body:
            return b""
        settings = self._settings
        length = exchange.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > settings.body_bytes_max:
            raise TooLarge(settings.body_bytes_max)
        try:
            async with asyncio.timeout(settings.body_timeout_s):
                body = await exchange.read_body(settings.body_bytes_max)
        except TimeoutError:
            raise TooSlow(settings.body_timeout_s) from None
        if body and not route.takes_body:
            raise Invalid(("", "this method takes no body"))
        if body and not route.raw:
            _require_json_body(exchange.headers)
        return body

    async def _once(self, exchange: Exchange, route: Route, message: Message) -> None:
        if not route.gives_raw:
            _require_accepted(exchange.headers.get("accept", ""))
        timeout_s = metadata.timeout_s(exchange.headers, self._settings.timeout_s)
        pairs = metadata.incoming(exchange.headers, exchange.name, raw=route.raw)
        call = route.upstream.call(message.SerializeToString(), pairs, timeout_s)
        answer = await exchange.unless_gone(call)
        result = route.new_answer(answer.data)
        replayed = metadata.is_replayed(answer.initial, answer.trailing)
        told = route.told(result, replayed)
        headers = {**metadata.outgoing(answer.initial, answer.trailing), **told.headers}
        if route.gives_raw:
            whole: Any = result
            response = answers.of_message(told.status, whole.data, headers, whole.content_type)
        else:
            response = answers.of_message(told.status, route.encode(result), headers)
        await exchange.respond(response)

    async def _stream(self, exchange: Exchange, route: Route, message: Message) -> None:
        settings = self._settings
        kind = streams.kind_of(exchange.headers.get("accept", ""))
        timeout_s = metadata.timeout_s(exchange.headers, settings.stream_timeout_s)
        pairs = metadata.incoming(exchange.headers, exchange.name, raw=route.raw)
        streams.go_on_after(message, exchange.headers)
        data = message.SerializeToString()

        async def messages() -> AsyncGenerator[Message]:
            async with aclosing(route.upstream.stream(data, pairs, timeout_s)) as stream:
                async for one in stream:
                    yield route.new_answer(one)

        async with AsyncExitStack() as stack:
            source = await stack.enter_async_context(aclosing(messages()))
            opening = stack.enter_async_context(streams.opened(source))
            whole = await exchange.unless_gone(opening)
            if kind == streams.EVENTS:
                chunks = streams.events(whole, route.encode, settings.heartbeat_s)
            else:
                chunks = streams.lines(whole, route.encode)
            async with aclosing(chunks) as outgoing:
                await exchange.respond_with(kind, outgoing, self._stopping)


def _require_accepted(accepted: str) -> None:
    names = {one.partition(";")[0].strip().lower() for one in accepted.split(",")}
    if accepted and not names & {answers.JSON, "application/*", "*/*"}:
        raise NotAcceptable(answers.JSON)


def _require_json_body(headers: dict[str, str]) -> None:
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != answers.JSON or charset not in ("", "utf-8"):
        raise WrongMediaType
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise WrongMediaType
