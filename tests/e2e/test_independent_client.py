"""What a client that was not made here sees: `buf curl`, with nothing but reflection."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.descriptor_pool import Default
from holdfast.booking.v1 import booking_pb2, saga_pb2  # noqa: F401 - for the pool of descriptors
from holdfast.inventory.v1 import inventory_pb2  # noqa: F401
from holdfast.payment.v1 import payment_pb2  # noqa: F401

GOOD_CARD, POOR_CARD = "4242424242424242", "4000000000009995"
CODES = {"INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "FAILED_PRECONDITION": 9, "UNAUTHENTICATED": 16}
BOOKING, PAYMENT, INVENTORY = "booking_svc", "payment_svc", "inventory_svc"
SERVICES = {
    BOOKING: "holdfast.booking.v1.BookingService",
    PAYMENT: "holdfast.payment.v1.PaymentService",
    INVENTORY: "holdfast.inventory.v1.InventoryService",
}
# For operators.
MORE_SERVICES = {BOOKING: ["holdfast.booking.v1.SagaService"]}
EVERYWHERE = "holdfast.privacy.v1.PrivacyService"


def method_of_payment(card: str = GOOD_CARD) -> dict[str, Any]:
    return {
        "type": "CREDIT_CARD",
        "cardNumber": card,
        "expiryMonth": 12,
        "expiryYear": 2040,
        "cvv": "123",
    }


def confirm(stack: Any, reservation_ids: list[str], card: str = GOOD_CARD, **call: Any) -> Any:
    request = {"reservationIds": reservation_ids, "paymentMethod": method_of_payment(card)}
    return stack.call(BOOKING, "ConfirmBooking", request, **{"key": "k", **call})


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_describes_itself(stack: Any, name: str) -> None:
    """Reflection lists a program's services with the methods of their contract, and no more."""
    ours = [SERVICES[name], *MORE_SERVICES.get(name, ()), EVERYWHERE]
    listed = stack.curl(name, "--list-methods").splitlines()
    assert {one for one in listed if one.startswith("holdfast.")} == {
        f"{service}/{method}"
        for service in ours
        for method in Default().FindServiceByName(service).methods_by_name
    }
    assert stack.curl(name, "--list-services").splitlines() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        *ours,
    ]


def test_a_booking_from_outside(stack: Any) -> None:
    """Seats are reserved, paid and CONFIRMED; a repeat says the same and that it is a repeat."""
    held = stack.hold(stack.event(), "A1", "A2")
    first = confirm(stack, held, key="a booking")
    assert (first.code, first.body["status"]) == (0, "CONFIRMED")
    assert first.body["totalAmount"] == {"value": "150.00"}
    assert "idempotent-replayed" not in first.metadata
    again = confirm(stack, held, key="a booking")
    assert again.body == first.body
    assert "idempotent-replayed: true" in again.metadata.lower()


def foreign(stack: Any) -> Any:
    return confirm(stack, stack.hold(stack.event(), "A1"), user="bob")


def expired(stack: Any) -> Any:
    held = stack.hold(stack.event(), "A1", ttl="1s")
    time.sleep(1.1)
    return confirm(stack, held)


def amount(stack: Any) -> Any:
    request = {
        "amount": {"value": "150.001"},
        "currency": "USD",
        "bookingReference": "BK-1",
        "userId": "ann",
        "paymentMethod": method_of_payment(),
    }
    return stack.call(PAYMENT, "ProcessPayment", request, scope="payments")


REFUSALS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "no token": (
        lambda stack: confirm(stack, ["1"], user=""),
        "UNAUTHENTICATED",
        "TOKEN_MISSING",
    ),
    "no key": (
        lambda stack: confirm(stack, ["1"], key=""),
        "INVALID_ARGUMENT",
        "IDEMPOTENCY_KEY_REQUIRED",
    ),
    "foreign reservation": (foreign, "NOT_FOUND", "RESERVATION_NOT_FOUND"),
    "expired reservation": (expired, "FAILED_PRECONDITION", "RESERVATION_EXPIRED"),
    "unknown reservation": (
        lambda stack: confirm(stack, ["4711"]),
        "NOT_FOUND",
        "RESERVATION_NOT_FOUND",
    ),
    "unknown booking": (
        lambda stack: stack.call(BOOKING, "GetBooking", {"bookingId": 4711}),
        "NOT_FOUND",
        "BOOKING_NOT_FOUND",
    ),
    "malformed amount": (amount, "INVALID_ARGUMENT", "INVALID_FIELD"),
    "declined card": (
        lambda stack: confirm(stack, stack.hold(stack.event(), "A1"), POOR_CARD, key="poor"),
        "FAILED_PRECONDITION",
        "PAYMENT_FAILED",
    ),
}


@pytest.mark.parametrize(("ask", "code", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_why(stack: Any, ask: Callable[[Any], Any], code: str, reason: str) -> None:
    """A refusal has a status, a reason of ours for programs, and words for people."""
    reply = ask(stack)
    assert (reply.code, reply.info.reason) == (CODES[code], reason)
    assert reply.info.domain == "holdfast"
    assert reply.body["message"]
