"""Calls through the gateway: what goes on, what comes back, and how refusals are told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from holdfast.booking.v1 import booking_pb2
from holdfast.inventory.v1 import inventory_pb2
from holdfast.payment.v1 import payment_pb2
from support.gateway import Gateway, Seen, gateway
from support.telemetry import TRACEPARENT

from booking_svc.domain.errors import BookingNotFound, PaymentFailed
from chassis.errors import (
    DeadlineTooShort,
    DependencyUnavailable,
    DomainError,
    IdempotencyKeyInUse,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    InvalidField,
    Overloaded,
    ScopeMissing,
    TokenMissing,
)
from gateway.upstream import is_serving

# What is away is asked so often, if that is safe.
TRIES = 4
BOOKING = booking_pb2.Booking(booking_id=5001, booking_reference="BK-1", status="CONFIRMED")
CONFIRM = '{"reservationIds": [1001, 1002]}'


@pytest.fixture
async def gate() -> AsyncIterator[Gateway]:
    async with gateway() as running:
        yield running


async def forever(_context: Any, _seen: Seen) -> Any:
    await asyncio.Event().wait()


def replayed(message: Any) -> Any:
    async def answer(context: Any, _seen: Seen) -> Any:
        context.set_trailing_metadata((("idempotent-replayed", "true"), ("x-internal", "secret")))
        return message

    return answer


@pytest.mark.parametrize(
    ("given", "goes_on"),
    [
        ({}, {"traceparent": TRACEPARENT}),
        ({"tracestate": "shop=7"}, {"traceparent": TRACEPARENT, "tracestate": "shop=7"}),
        ({"tracestate": "card 4111 1111, =;"}, {"traceparent": TRACEPARENT}),
    ],
    ids=["alone", "with a state", "with what is none"],
)
async def test_the_trace_of_a_caller(
    gate: Gateway, given: dict[str, str], goes_on: dict[str, str]
) -> None:
    """A caller's trace goes on with its state, but not with a state that is none."""
    gate.services.answers.append(BOOKING)
    await gate.post("/api/bookings/confirm", CONFIRM, traceparent=TRACEPARENT, **given)
    metadata = (await gate.services.last()).metadata
    assert {name: metadata[name] for name in metadata if name.startswith("trace")} == goes_on


async def test_headers_that_go_on(gate: Gateway) -> None:
    """Only the headers that are named go on as metadata, the key without its quotes."""
    gate.services.answers.append(BOOKING)
    await gate.post(
        "/api/bookings/confirm",
        CONFIRM,
        authorization="Bearer t",
        idempotency_key='"a \\"key\\""',
        traceparent="00-1-2-01",
        x_request_id="abc.1",
        grpc_metadata_tenant="7",
        cookie="session=1",
        x_forwarded_for="10.0.0.1",
        webhook_signature="v1,x",
    )
    metadata = (await gate.services.last()).metadata
    metadata.pop("user-agent")
    assert metadata == {
        "authorization": "Bearer t",
        "idempotency-key": 'a "key"',
        "traceparent": "00-1-2-01",
        "x-request-id": "abc.1",
        "tenant": "7",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"grpc_metadata_authorization": "Bearer x"},
        {"grpc_metadata_grpc_timeout": "1S"},
        {"grpc_metadata_key_bin": "AA=="},
        {"grpc_metadata_x_request_id": "1"},
        {"x_request_timeout": "soon"},
        {"grpc_timeout": "10"},
    ],
)
async def test_headers_that_are_refused(gate: Gateway, headers: dict[str, str]) -> None:
    """A header that would reach further than it may, or cannot be read, is a 400 that names it."""
    response = await gate.get("/api/bookings/5001", **headers)
    (name,) = headers
    assert response.status_code == 400
    assert response.json()["details"][0]["field"] == name.replace("_", "-")
    assert gate.services.seen == []


async def test_the_signature_of_a_webhook(gate: Gateway) -> None:
    """Bytes and signature of a webhook go on as they came, whatever type they are said to be."""
    gate.services.answers.append(payment_pb2.HandleWebhookResponse())
    response = await gate.http.post(
        "/api/payment/webhooks/mock",
        content=b"\x00{]",
        headers={"content-type": "text/plain", "webhook-signature": "v1,x", "webhook-id": "1"},
    )
    assert (response.status_code, response.text) == (200, "{}")
    seen = await gate.services.last()
    assert seen.request == payment_pb2.HandleWebhookRequest(
        provider="mock", body={"data": b"\x00{]", "content_type": "text/plain"}
    )
    assert (seen.metadata["webhook-signature"], seen.metadata["webhook-id"]) == ("v1,x", "1")


async def test_every_call_has_a_deadline(gate: Gateway) -> None:
    """A caller's timeout is passed on, and without one there is the gateway's own."""
    for headers, most_s in (
        ({}, 45.0),
        ({"grpc_timeout": "5S"}, 5.0),
        ({"x_request_timeout": "2.5"}, 2.5),
        ({"grpc_timeout": "9H"}, 45.0),
    ):
        gate.services.answers.append(BOOKING)
        await gate.get("/api/bookings/5001", **headers)
        # What is left of it is told to the next millisecond or so.
        assert most_s - 1 < gate.services.seen[-1].timeout_s <= most_s + 0.1


@pytest.mark.parametrize(
    ("answer", "status", "more"),
    [
        (BOOKING, 201, {"location": "/api/bookings/5001"}),
        (replayed(BOOKING), 200, {"idempotent-replayed": "true"}),
        (booking_pb2.Booking(booking_id=1, status="PENDING"), 202, {}),
        (
            replayed(booking_pb2.Booking(booking_id=1, status="PENDING")),
            202,
            {"idempotent-replayed": "true"},
        ),
    ],
    ids=["new", "replayed", "pending", "still pending"],
)
async def test_statuses_of_a_success(
    gate: Gateway, answer: Any, status: int, more: dict[str, str]
) -> None:
    """The contract says which status a success has; of the metadata only what is named is shown."""
    gate.services.answers.append(answer)
    response = await gate.post("/api/bookings/confirm", CONFIRM)
    assert response.status_code == status
    assert {name: response.headers.get(name) for name in ("location", "idempotent-replayed")} == {
        "location": None,
        "idempotent-replayed": None,
        **more,
    }
    assert "x-internal" not in response.headers


@pytest.mark.parametrize(("status", "code"), [("SUCCESS", 200), ("FAILED", 400), ("PENDING", 202)])
async def test_statuses_of_a_payment(gate: Gateway, status: str, code: int) -> None:
    """A declined payment is a 400 with the payment in it, and one that is open a 202."""
    gate.services.answers.append(payment_pb2.Payment(payment_id="pay_1", status=status))
    response = await gate.post("/api/payment/process")
    assert (response.status_code, response.json()["status"]) == (code, status)


REFUSED: list[tuple[DomainError, int]] = [
    (InvalidField(("payment_method.card_number", "has a wrong check digit")), 400),
    (TokenMissing(), 401),
    (ScopeMissing(frozenset({"bookings"})), 403),
    (BookingNotFound(7), 404),
    (PaymentFailed("declined", {"paymentId": "pay_1"}), 402),
    (IdempotencyKeyRequired(), 400),
    (IdempotencyKeyInUse(), 409),
    (IdempotencyKeyReused(), 422),
    (Overloaded("too much"), 429),
    (DependencyUnavailable("away"), 503),
    (DeadlineTooShort(), 504),
]


@pytest.mark.parametrize(("error", "status"), REFUSED, ids=lambda one: getattr(one, "reason", ""))
async def test_refusals_of_a_service(gate: Gateway, error: DomainError, status: int) -> None:
    """A refusal has the status of its reason, and its body says all that the service said."""
    gate.services.answers.extend([error] * TRIES)
    response = await gate.get("/api/bookings/5001")
    assert response.status_code == status
    body = response.json()
    details = body.pop("details")
    wanted = {"error": error.reason, "message": error.message, "code": error.kind.name}
    assert body == {**wanted, **error.metadata}
    if error.violations:
        assert details == [
            {"field": "paymentMethod.cardNumber", "description": "has a wrong check digit"}
        ]
    assert ("retry-after" in response.headers) is (error.retry_after_s is not None)
    assert ("www-authenticate" in response.headers) is (status == 401)


@pytest.mark.parametrize("code", [one for one in grpc.StatusCode if one is not grpc.StatusCode.OK])
async def test_no_text_from_inside(gate: Gateway, code: grpc.StatusCode) -> None:
    """Where a service gives no reason, gRPC's own words are not shown, but what they mean."""
    gate.services.answers.extend([code] * TRIES)
    response = await gate.get("/api/bookings/5001")
    told_on_purpose = {
        "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED",
        "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    }  # fmt: skip
    assert ("swordfish" in response.text) is (code.name in told_on_purpose)
    assert response.status_code >= 400
    meant = {
        "UNKNOWN": "INTERNAL", "DATA_LOSS": "INTERNAL", "RESOURCE_EXHAUSTED": "OVERLOADED",
        "UNAVAILABLE": "DEPENDENCY_UNAVAILABLE",
    }  # fmt: skip
    said = response.json()
    assert (said["code"], said["error"]) == (code.name, meant.get(code.name, code.name))


async def test_a_service_that_is_away() -> None:
    """A service that cannot be reached is a 503, without its address, and not ready."""
    away = {"targets": '{"holdfast.booking.v1.BookingService": "127.0.0.1:1"}'}
    async with gateway(descriptors="gen/holdfast/descriptors.binpb", **away) as gate:
        response = await gate.get("/api/bookings/5001")
        assert (response.status_code, response.json()["error"]) == (503, "DEPENDENCY_UNAVAILABLE")
        assert "127.0.0.1" not in response.text
        ready = await gate.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "NOT_SERVING")
        assert (await gate.get("/healthz")).status_code == 200


async def test_what_is_asked_again(gate: Gateway) -> None:
    """A service that is away is asked again, but only what may be repeated without harm."""
    gate.services.answers.extend([DependencyUnavailable("away"), BOOKING])
    assert (await gate.get("/api/bookings/5001")).status_code == 200
    gate.services.answers.append(DependencyUnavailable("away"))
    assert (await gate.post("/api/bookings/confirm", CONFIRM)).status_code == 503
    assert [one.method for one in gate.services.seen] == ["GetBooking"] * 2 + ["ConfirmBooking"]


async def test_a_caller_that_leaves(gate: Gateway) -> None:
    """When the caller leaves, the call to the service is cancelled."""
    gate.services.answers.append(forever)
    asking = asyncio.create_task(gate.get("/api/bookings/5001"))
    seen = await gate.services.last()
    asking.cancel()
    async with asyncio.timeout(10):
        await seen.cancelled.wait()


async def test_head_and_options(gate: Gateway) -> None:
    """HEAD answers as GET does, without a body; OPTIONS says what is allowed."""
    gate.services.answers.extend([BOOKING, BOOKING])
    whole, head = await gate.get("/api/bookings/1"), await gate.http.head("/api/bookings/1")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(whole.content))
    options = await gate.http.options("/api/bookings/1")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert (await gate.http.options("/nowhere")).status_code == 404
    assert (await gate.http.options("/healthz")).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_wrong_methods(gate: Gateway) -> None:
    """A path with another method is a 405 with those that are allowed; POST overrides none."""
    response = await gate.http.delete("/api/bookings/me")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    response = await gate.post("/api/bookings/me", x_http_method_override="GET")
    assert response.status_code == 405
    assert (await gate.post("/readyz")).status_code == 405
    assert gate.services.seen == []


async def test_large_answers_are_compressed(gate: Gateway) -> None:
    """An answer of some size is compressed for who takes that, and for nobody else."""
    seats = [inventory_pb2.Seat(seat_number=f"A{one}") for one in range(100)]
    for accepted, encoding in (("gzip, br", "gzip"), ("br", None), ("gzip;q=0", None)):
        gate.services.answers.append(inventory_pb2.ListSeatsResponse(seats=seats))
        response = await gate.get("/api/inventory/events/9/seats", accept_encoding=accepted)
        assert response.headers.get("content-encoding") == encoding
        assert len(response.json()["seats"]) == 100


async def test_answers_are_safe_to_meet(gate: Gateway) -> None:
    """Every answer says that it is not to be sniffed, run, framed or kept, and names itself."""
    gate.services.answers.append(BOOKING)
    for response in [await gate.get("/api/bookings/1"), await gate.get("/nowhere")]:
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"]
        assert "server" not in response.headers


async def test_a_server_that_tells_nothing_of_its_health(gate: Gateway) -> None:
    """A server without a health service is ready if it answers, and so is one that knows itself."""
    bare = grpc.aio.server()
    port = bare.add_insecure_port("127.0.0.1:0")
    await bare.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await is_serving(channel, "some.Service")
        await bare.stop(0)
        assert not await is_serving(channel, "some.Service")
    async with grpc.aio.insecure_channel(gate.services.target) as channel:
        assert await is_serving(channel, "a.Service.that.it.does.not.know")
        await gate.services.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert not await is_serving(channel, "a.Service.that.it.does.not.know")
