"""Whatever is sent, the gateway answers: it is never at a loss, and never says 500."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.gateway import Gateway, Services, gateway

from gateway import wiring
from gateway.app import App
from gateway.config import GatewaySettings

SETTINGS = settings(
    max_examples=600,
    derandomize=True,
    database=None,
    deadline=None,
    # The gateway is the same for all examples: it keeps nothing of a request.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
ROUTES = [
    *(("POST", "/api/payment/process"), ("POST", "/api/payment/{}/refund")),
    *(("GET", "/api/payment"), ("GET", "/api/payment/{}"), ("GET", "/api/bookings/me")),
    *(("POST", "/api/payment/webhooks/{}"), ("POST", "/api/bookings/confirm")),
    *(("GET", "/api/bookings/{}"), ("GET", "/api/bookings/{}/watch")),
    *(("POST", "/api/bookings/{}/cancel"), ("POST", "/api/inventory/events")),
    *(("GET", "/api/inventory/events/{}/seats"), ("GET", "/api/inventory/reservations")),
    *(("POST", "/api/inventory/reservations"), ("POST", "/api/inventory/reservations/extend")),
    *(("PUT", "/api/inventory/reservations/confirm"), ("GET", "/readyz"), ("GET", "/{}/{}")),
]
FIELDS = [
    *("pageSize", "page_token", "ids", "bookingReference", "view", "amount", "amount.value", "ttl"),
    *("reservationIds", "seatNumbers", "seats", "price", "eventId", "event_id", "paymentMethod"),
    *("paymentMethod.cardNumber", "cardNumber", "expiryMonth", "body.data", "provider", "token"),
]
HEADERS = [
    *("accept", "accept-encoding", "authorization", "content-length", "host", "content-type"),
    *("idempotency-key", "x-request-id", "grpc-timeout", "x-request-timeout", "traceparent"),
    *("last-event-id", "grpc-metadata-a", "grpc-metadata-b-bin", "webhook-id", "if-none-match"),
    *("origin", "access-control-request-method", "content-encoding", "transfer-encoding"),
]
VALUES = [
    *(b"application/json", b"text/event-stream", b"application/json; charset=utf-8", b"gzip"),
    *(b"gzip;q=0", b"*/*", b"10S", b"1n", b"0.5", b"99999999H", b'"k"', b'"k', b"Bearer x", b"-1"),
    *(b"", b"9" * 30, b"\xff\xfe", b"identity", b"a, b"),
]
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**53, 2**63, -(2**63) - 1, 1e400])
TEXTS = st.text(max_size=20) | st.sampled_from(["600s", "1e5", "NaN", "-1", "2026-01-01T00:00:00Z"])
SEGMENTS = st.binary(min_size=1, max_size=12).map(
    lambda raw: bytes(one for one in raw if one > 32 and one not in b"#?\x7f") or b"7"
) | st.sampled_from([b"7", b"%2F", b"%00", b"%ff", b"%", b"..", b"a:b", b"pay_1", b"9" * 40])
VALUES_OF_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(FIELDS) | TEXTS, inner, max_size=6)
    ),
    max_leaves=12,
)


class Refusing(list[grpc.StatusCode]):
    """The answer of any method, of one that streams, too: there is no such thing."""

    async def __call__(self, *_: object) -> grpc.StatusCode:
        return grpc.StatusCode.NOT_FOUND

    def popleft(self) -> "Refusing":
        return self


NOTHING_THERE = Refusing([grpc.StatusCode.NOT_FOUND])


@pytest.fixture
async def app() -> AsyncIterator[App]:
    services = Services()
    services.answers = NOTHING_THERE  # type: ignore[assignment]
    server = await services.start()
    names = ("booking_target", "payment_target", "inventory_target")
    targets: dict[str, Any] = dict.fromkeys(names, services.target)
    told = GatewaySettings(**targets, docs=False, rate_per_s=0, body_bytes_max=1000)
    async with wiring.opened(told, asyncio.Event()) as app:
        yield app
    await server.stop(0)


@st.composite
def targets(draw: st.DrawFn) -> tuple[str, bytes]:
    """A method and a path: nearly always of one route."""
    verb, path = draw(st.sampled_from(ROUTES))
    if draw(st.integers(0, 5)) == 0:
        verb = draw(st.sampled_from(VERBS))
    whole = path.encode()
    while b"{}" in whole:
        whole = whole.replace(b"{}", draw(SEGMENTS | st.just(b"7")), 1)
    return verb, whole + draw(st.sampled_from([b"", b"", b"", b"", b"/", b":cancel", b"//"]))


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    names = st.sampled_from(FIELDS).map(str.encode) | SEGMENTS
    pairs = draw(st.lists(st.tuples(names, SEGMENTS | st.just(b"")), max_size=4))
    return b"&".join(name + b"=" + value for name, value in pairs) + draw(
        st.sampled_from([b"", b"", b"&", b"&&=&", b"?", b"%"])
    )


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """JSON that is nearly that of a request, bytes that are nearly JSON, and any bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=60) | st.binary(min_size=990, max_size=1010))
    members = st.dictionaries(st.sampled_from(FIELDS), VALUES_OF_JSON, max_size=5)
    whole = json.dumps(draw(members | VALUES_OF_JSON)).encode()
    at = draw(st.integers(0, len(whole)))
    return draw(
        st.sampled_from([whole, whole, whole, whole[:at], whole[:at] + b"\xff" + whole[at:]])
    )


PAIRS = st.tuples(
    st.sampled_from(HEADERS).map(str.encode),
    st.sampled_from(VALUES) | st.binary(max_size=20).filter(lambda one: not {10, 13, 0} & {*one}),
)


async def asked(
    app: App, scope: dict[str, Any], chunks: list[bytes]
) -> tuple[int, dict[bytes, bytes], bytes]:
    """The status, the headers and the body that are sent for a request."""
    sent: list[Any] = []
    over = asyncio.Event()
    coming = [
        {"type": "http.request", "body": one, "more_body": n + 1 < len(chunks)}
        for n, one in enumerate(chunks)
    ]

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop(0)
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event)

    async with asyncio.timeout(20):
        await app(scope, receive, send)
    starts = [one for one in sent if one["type"] == "http.response.start"]
    assert len(starts) == 1
    assert not sent[-1].get("more_body", False)
    body = b"".join(one["body"] for one in sent[1:])
    return starts[0]["status"], dict(starts[0]["headers"]), body


@SETTINGS
@given(
    target=targets(),
    query=st.just(b"") | queries(),
    headers=st.just([]) | st.lists(PAIRS, max_size=4),
    body=st.just(b"") | bodies(),
    is_json=st.sampled_from([True, True, True, False]),
)
async def test_any_request(  # noqa: PLR0913, PLR0917 - what a request has
    app: App,
    target: tuple[str, bytes],
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    is_json: bool,  # noqa: FBT001 - drawn, not chosen
) -> None:
    """Any request is answered once, by no 500; a refusal has the body of an error."""
    verb, path = target
    kind = [(b"content-type", b"application/json")] if is_json else []
    scope = {
        "type": "http",
        "method": verb,
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "headers": [*kind, *headers],
        "client": ("127.0.0.1", 1),
    }
    status, answered, told = await asked(app, scope, [body[:7], body[7:]])
    assert status != 500, told
    assert answered[b"x-request-id"]
    if status >= 400 and verb != "HEAD" and path != b"/readyz":
        if answered.get(b"content-encoding") == b"gzip":
            return
        assert {"error", "message", "code", "details"} <= json.loads(told).keys()


async def over_a_socket(url: str, sent: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.fixture
async def gate() -> AsyncIterator[Gateway]:
    async with gateway(rate_per_s=0, body_timeout_s=0.2) as running:
        running.services.answers = NOTHING_THERE  # type: ignore[assignment]
        yield running


@settings(SETTINGS, max_examples=200)
@given(
    target=targets().map(lambda one: one[0].encode() + b" " + one[1]) | st.binary(max_size=30),
    pairs=st.lists(PAIRS, max_size=4),
    body=st.just(b"") | bodies(),
    end=st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n"]),
)
async def test_any_bytes(
    gate: Gateway,
    target: bytes,
    pairs: list[tuple[bytes, bytes]],
    body: bytes,
    end: bytes,
) -> None:
    """Any bytes on a connection are answered by no 500 or not at all, and others are served."""
    lines = [target + b" HTTP/1.1", b"connection: close"]
    lines += [name + b": " + value for name, value in pairs]
    lines += [b"content-length: %d" % len(body)]
    answer = await over_a_socket(str(gate.http.base_url), end.join(lines) + end + end + body)
    assert not answer.startswith(b"HTTP/1.1 500"), answer
    assert b"Traceback" not in answer
    assert (await gate.get("/healthz")).status_code == 200
