"""What holds for every route: headers in and out, errors, limits, webhooks and streams."""

import base64
import json
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook
from support.rest import JSON, REQUEST_ID, Rest, exact, refused, says
from support.tokens import token_for

pytestmark = pytest.mark.timeout(300)

SECRET = f"whsec_{base64.b64encode(b'a secret of the tests').decode()}"
WEBHOOK = "/api/payment/webhooks/mock"
ME = "/api/bookings/me"
BURST = 300


@pytest.fixture(scope="module")
def rest_settings() -> dict[str, str]:
    return {
        "PAYMENT_WEBHOOK_SECRETS": SECRET,
        "GATEWAY_RATE_PER_S": "1",
        "GATEWAY_RATE_BURST": str(BURST),
        "GATEWAY_BODY_TIMEOUT_S": "1",
    }


# Headers.


def test_a_name_for_a_request(rest: Rest) -> None:
    """X-Request-Id comes back as it was sent if it is one, else a new one; on errors, too."""
    for path in (ME, "/nowhere", "/healthz"):
        assert rest("GET", path, headers={"x-request-id": "a-1"}).headers["x-request-id"] == "a-1"
        for odd in ("a b", "x" * 129, "a\tb"):
            answer = rest("GET", path, headers={"x-request-id": odd})
            assert answer.headers["x-request-id"] == REQUEST_ID
        assert rest("GET", path).headers["x-request-id"] == REQUEST_ID


@pytest.mark.parametrize("path", [ME, "/nowhere", "/healthz", WEBHOOK])
def test_safe_headers(rest: Rest, path: str) -> None:
    """Every answer tells browsers not to guess, frame, run or keep it, and not who serves."""
    headers = rest("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert not [one for one in headers if one.startswith(("grpc-", "access-control-"))]


def test_tokens(rest: Rest) -> None:
    """No token, a wrong one and an old one are 401 by name, with WWW-Authenticate."""
    old = token_for("ann", lifetime_s=-3600)
    for sent, reason in (("", "MISSING"), ("Bearer x", "INVALID"), (f"Bearer {old}", "EXPIRED")):
        headers = {"authorization": sent} if sent else {}
        answer = rest("GET", ME, user="", headers=headers)
        assert refused(answer, 401, f"TOKEN_{reason}", "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_deadlines(rest: Rest) -> None:
    """A deadline that is over before anything is done is 504, and one that is none is 400."""
    answer = rest("GET", ME, headers={"grpc-timeout": "1n"})
    assert answer.status_code == 504
    assert answer.json()["code"] == "DEADLINE_EXCEEDED"
    for name, value in (("grpc-timeout", "soon"), ("x-request-timeout", "-1")):
        answer = rest("GET", ME, headers={name: value})
        assert refused(answer, 400, "INVALID_FIELD", "INVALID_ARGUMENT")
        assert answer.json()["details"][0]["field"] == name


# Methods.


def test_head_and_options(rest: Rest) -> None:
    """HEAD is GET without its body, and OPTIONS says what is allowed, also without a token."""
    get, head = rest("GET", ME), rest("HEAD", ME)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    options = rest("OPTIONS", "/api/bookings/7/cancel", user="")
    assert (options.status_code, options.headers["allow"]) == (204, "OPTIONS, POST")
    assert rest("OPTIONS", "/nowhere").status_code == 404


def test_no_method_override(rest: Rest) -> None:
    """A header that names another method is no such thing."""
    headers = {"x-http-method-override": "GET"}
    answer = rest("POST", ME, headers=headers)
    assert refused(answer, 405, "METHOD_NOT_ALLOWED", "UNIMPLEMENTED")
    assert answer.headers["allow"].startswith("GET, HEAD")


# Bodies.


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("{", ""),
        ("[]", ""),
        ("{} {}", ""),
        (b'{"ttl": "\xff"}', ""),
        ('{"ttl": NaN}', ""),
        ("[" * 100_000, ""),
        ('{"what": 1}', "what"),
        ('{"eventId": 1, "eventId": 2}', "eventId"),
        ('{"eventId": 1.5}', "eventId"),
        ('{"eventId": 9223372036854775808}', "eventId"),
        ('{"seatNumbers": ["A1", 2]}', "seatNumbers[1]"),
        ('{"eventId": 1, "seatNumbers": []}', "seatNumbers"),
        ('{"eventId": 1, "seatNumbers": ["A1"], "ttl": "0s"}', "ttl"),
    ],
)
def test_a_body_that_is_wrong(rest: Rest, body: str | bytes, path: str) -> None:
    """What is no JSON, or not the JSON of the request, is 400, with the path of what is wrong."""
    answer = rest("POST", "/api/inventory/reservations", body)
    assert refused(answer, 400, "INVALID_FIELD", "INVALID_ARGUMENT")
    assert [one["field"] for one in answer.json()["details"]] == [path]
    assert all(one["description"] for one in answer.json()["details"])


@pytest.mark.parametrize("query", ["what=1", "pageSize=x", "pageSize=1&pageSize=2", "pageSize=-1"])
def test_a_query_that_is_wrong(rest: Rest, query: str) -> None:
    """A parameter that is not known, not a number or given twice is 400, with its name."""
    answer = rest("GET", f"{ME}?{query}")
    assert refused(answer, 400, "INVALID_FIELD", "INVALID_ARGUMENT")
    assert [one["field"] for one in answer.json()["details"]] == [query.partition("=")[0]]


@pytest.mark.parametrize("path", ["abc", "1.5", "-1", "0", "9223372036854775808", "%FF", "%zz"])
def test_an_id_that_is_none(rest: Rest, path: str) -> None:
    """An id in a path that can be none is 400, with the name of its field."""
    answer = rest("GET", f"/api/bookings/{path}")
    assert refused(answer, 400, "INVALID_FIELD", "INVALID_ARGUMENT")
    assert [one["field"] for one in answer.json()["details"]] == ["bookingId"]


def test_media_types(rest: Rest) -> None:
    """A body that is not JSON in UTF-8 is 415, and who takes no JSON is told 406."""
    path = "/api/inventory/reservations"
    for sent in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"):
        answer = rest("POST", path, "{}", headers={"content-type": sent})
        assert refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE", "INVALID_ARGUMENT")
    squeezed = rest("POST", path, b"{}", headers={"content-encoding": "gzip"})
    assert refused(squeezed, 415, "UNSUPPORTED_MEDIA_TYPE", "INVALID_ARGUMENT")
    good = {"content-type": 'Application/JSON; charset="UTF-8"'}
    assert rest("POST", path, "{}", headers=good).status_code == 400
    answer = rest("GET", ME, headers={"accept": "text/html"})
    assert refused(answer, 406, "NOT_ACCEPTABLE", "INVALID_ARGUMENT")
    accepted = {"accept": "text/html, application/json;q=0.5"}
    assert rest("GET", ME, headers=accepted).status_code == 200


def test_limits_of_size(rest: Rest) -> None:
    """A body over 1 MiB is 413, whether its length is told or not; headers over 16 KiB are 431."""
    path = "/api/inventory/reservations"
    body = b" " * 1_048_577
    assert refused(rest("POST", path, body), 413, "BODY_TOO_LARGE", "INVALID_ARGUMENT")
    headers = {"authorization": f"Bearer {token_for('ann')}", "content-type": JSON}
    pieces = (body[:65536] for _ in range(17))
    untold = httpx.post(f"{rest.url}{path}", content=pieces, headers=headers, trust_env=False)
    assert refused(untold, 413, "BODY_TOO_LARGE", "INVALID_ARGUMENT")
    # One byte less is read, and refused for what it says.
    assert rest("POST", path, body[1:]).status_code == 400
    large = rest("GET", ME, headers={"x-a": "a" * 16_384})
    assert refused(large, 431, "HEADERS_TOO_LARGE", "INVALID_ARGUMENT")


def test_a_body_that_does_not_come(rest: Rest) -> None:
    """A caller that does not send its body in time is answered 408."""
    host, _, port = rest.url.removeprefix("http://").rpartition(":")
    lines = [
        "POST /api/inventory/reservations HTTP/1.1",
        f"host: {host}",
        f"content-type: {JSON}",
        "content-length: 10",
    ]
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", "{"]).encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_compression(rest: Rest) -> None:
    """A large answer is compressed for who takes that, and for nobody else."""
    path = f"/api/inventory/events/{rest.event(50)}/seats"
    small = rest("GET", path, headers={"accept-encoding": "gzip"})
    plain = rest("GET", path, headers={"accept-encoding": "identity"})
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(plain.content) / 2
    assert "content-encoding" not in plain.headers
    assert small.content == plain.content


def test_too_many_requests(rest: Rest) -> None:
    """A caller that asks too much is 429 with Retry-After, and another one is served."""
    headers = {"authorization": f"Bearer {token_for('flood')}"}
    answers = [rest("GET", "/nowhere", user="", headers=headers) for _ in range(BURST)]
    # What comes anew in that time may be asked, too.
    while answers[-1].status_code == 404 and len(answers) < 4 * BURST:
        answers.append(rest("GET", "/nowhere", user="", headers=headers))
    assert refused(answers[-1], 429, "OVERLOADED", "RESOURCE_EXHAUSTED")
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert {one.status_code for one in answers[:BURST]} == {404}
    assert rest("GET", ME).status_code == 200


# Webhooks.


def signed(body: bytes, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign("evt_1", at, body.decode())
    stamp = str(int(at.timestamp()))
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": stamp,
        "webhook-signature": signature,
        "content-type": JSON,
    }


def notice(reference: str) -> bytes:
    """What the mock provider tells of a charge; its bytes are those that are signed."""
    data = {"reference": reference, "transaction_id": "txn_1"}
    return json.dumps({"type": "charge.succeeded", "data": data}, indent=3).encode()


def test_a_webhook(rest: Rest) -> None:
    """A webhook with a good signature is taken, needs no token, and may come again."""
    body = notice("pay_01JCQK2X9S8G7V5N4M3B2A1ZYX")
    for _ in range(2):
        answer = rest("POST", WEBHOOK, body, user="", headers=signed(body))
        assert answer.status_code == 200, answer.text
        assert exact(answer) == {}


def test_a_webhook_that_is_forged(rest: Rest) -> None:
    """A webhook that is unsigned, altered, old or signed by another is 401, and why is not said."""
    body = notice("pay_1")
    other = f"whsec_{base64.b64encode(b'another secret').decode()}"
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    forged = [
        rest("POST", WEBHOOK, body, user=""),
        rest("POST", WEBHOOK, body + b" ", user="", headers=signed(body)),
        rest("POST", WEBHOOK, body, user="", headers=signed(body, at=hour_ago)),
        rest("POST", WEBHOOK, body, user="", headers=signed(body, other)),
        rest("POST", "/api/payment/webhooks/nobody", body, user="", headers=signed(body)),
    ]
    for answer in forged:
        assert refused(answer, 401, "WEBHOOK_REFUSED", "UNAUTHENTICATED")
    assert len({answer.content for answer in forged}) == 1


# Streams.


@pytest.fixture(scope="module")
def booking(rest: Rest) -> dict[str, Any]:
    means = {"token": "pm_mock_success"}
    body = {"reservationIds": rest.hold(rest.event(), "A1"), "paymentMethod": means}
    return dict(rest("POST", "/api/bookings/confirm", body, key="watched").json())


def test_watching_by_lines(rest: Rest, booking: dict[str, Any]) -> None:
    """A stream is a line of JSON for each message, the first of which is the booking as it is."""
    path = f"/api/bookings/{booking['bookingId']}"
    answer = rest("GET", f"{path}/watch")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.content == rest("GET", path).content + b"\n"


def test_watching_by_events(rest: Rest, booking: dict[str, Any]) -> None:
    """With `Accept: text/event-stream` each message is an event, and an error has its status."""
    path = f"/api/bookings/{booking['bookingId']}"
    accept = {"accept": "text/event-stream"}
    answer = rest("GET", f"{path}/watch", headers=accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert answer.content == b"data: " + rest("GET", path).content + b"\n\n"
    answer = rest("GET", f"{path}/watch", user="bob", headers=accept)
    assert refused(answer, 404, "BOOKING_NOT_FOUND", "NOT_FOUND")
    answer = rest("GET", f"{path}/watch", headers={"accept": "text/html"})
    assert refused(answer, 406, "NOT_ACCEPTABLE", "INVALID_ARGUMENT")


# Faults.


def test_a_service_that_is_away(programs: Any) -> None:
    """A service that cannot be reached is 503, whether the gateway or a service needs it."""
    away = "127.0.0.1:1"
    programs.start("booking_svc", BOOKING_INVENTORY_TARGET=away, BOOKING_PAYMENT_TARGET=away)
    programs.start("gateway", GATEWAY_INVENTORY_TARGET=away, GATEWAY_PAYMENT_TARGET=away)
    with Rest.open(programs.url) as rest:
        body = {"reservationIds": [1], "paymentMethod": {"token": "pm_mock_success"}}
        answer = rest("POST", "/api/bookings/confirm", body, key="k")
        assert refused(answer, 503, "DEPENDENCY_UNAVAILABLE", "UNAVAILABLE")
        answer = rest("GET", "/api/payment", scope="payments")
        assert refused(answer, 503, "DEPENDENCY_UNAVAILABLE", "UNAVAILABLE")
        assert rest("GET", "/healthz").status_code == 200
        ready = rest("GET", "/readyz")
        assert ready.status_code == 503
        assert says(ready, {"services": {"holdfast.booking.v1.BookingService": "SERVING"}})


def test_a_fault_inside(programs: Any) -> None:
    """What breaks in a service is 500 with a fixed text and the request id, and not a word more."""
    programs.start("inventory_svc")
    programs.start("gateway")
    with Rest.open(programs.url) as rest:
        event = rest.event()
        with sqlite3.connect(programs.folder / "inventory_svc.db") as books:
            books.execute("DROP TABLE seats")
        books.close()
        path = f"/api/inventory/events/{event}/seats"
        answer = rest("GET", path, headers={"x-request-id": "a-1"})
        assert refused(answer, 500, "INTERNAL", "INTERNAL")
        assert says(answer, {"requestId": "a-1", "details": []})
