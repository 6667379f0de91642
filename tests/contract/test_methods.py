"""The methods of the services: their routes are a promise, and each has its scopes."""

import importlib

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from holdfast.booking.v1 import booking_pb2, saga_pb2
from holdfast.inventory.v1 import inventory_pb2
from holdfast.payment.v1 import payment_pb2
from support.source import SERVICES

CONTRACTS = {
    "booking_svc": [
        booking_pb2.DESCRIPTOR.services_by_name["BookingService"],
        saga_pb2.DESCRIPTOR.services_by_name["SagaService"],
    ],
    "inventory_svc": [inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"]],
    "payment_svc": [payment_pb2.DESCRIPTOR.services_by_name["PaymentService"]],
}
BUYERS, SERVICE, MONEY, ADMIN = ["bookings"], ["inventory"], ["payments"], ["admin"]
BOTH = ["bookings", "inventory"]
# Needs no token.
OPEN: list[str] = []
# For other services and for operators: by gRPC only.
NO_ROUTE = ""
# Clients exist already: a row may be added, none may be changed.
PROMISED = {
    "ProcessPayment": ("POST /api/payment/process", MONEY),
    "GetPayment": ("GET /api/payment/{payment_id}", MONEY),
    "ListPayments": ("GET /api/payment", MONEY),
    "RefundPayment": ("POST /api/payment/{payment_id}/refund", MONEY),
    "CancelPayment": (NO_ROUTE, MONEY),
    "HandleWebhook": ("POST /api/payment/webhooks/{provider}", OPEN),
    "ListTestCards": (NO_ROUTE, MONEY),
    "StreamPaymentEvents": (NO_ROUTE, MONEY),
    "ConfirmBooking": ("POST /api/bookings/confirm", BUYERS),
    "ListMyBookings": ("GET /api/bookings/me", BUYERS),
    "GetBooking": ("GET /api/bookings/{booking_id}", BUYERS),
    "CancelBooking": ("POST /api/bookings/{booking_id}/cancel", BUYERS),
    "WatchBooking": ("GET /api/bookings/{booking_id}/watch", BUYERS),
    "StreamBookingEvents": (NO_ROUTE, ADMIN),
    "ListSagas": (NO_ROUTE, ADMIN),
    "GetSaga": (NO_ROUTE, ADMIN),
    "RetrySaga": (NO_ROUTE, ADMIN),
    "ResolveSaga": (NO_ROUTE, ADMIN),
    "CreateEvent": ("POST /api/inventory/events", ADMIN),
    "ListSeats": ("GET /api/inventory/events/{event_id}/seats", BOTH),
    "ReserveSeats": ("POST /api/inventory/reservations", BOTH),
    "GetReservations": ("GET /api/inventory/reservations", BOTH),
    "ExtendReservations": ("POST /api/inventory/reservations/extend", BOTH),
    "ConfirmReservations": ("PUT /api/inventory/reservations/confirm", SERVICE),
    "CancelReservations": ("POST /api/inventory/reservations/cancel", SERVICE),
}
METHODS = [
    method for services in CONTRACTS.values() for service in services for method in service.methods
]
READS = ("Get", "List", "Watch", "Stream")


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return request.param


def route(method: MethodDescriptor) -> str:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return f"{verb.upper()} {getattr(rule, verb)}" if verb is not None else NO_ROUTE


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_route_is_a_promise(method: MethodDescriptor) -> None:
    """Each method has the REST route that clients use, if any; all but GET take the whole body."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    assert route(method) == PROMISED[method.name][0]
    # A webhook's bytes are verified as they came.
    whole = "body" if method.name == "HandleWebhook" else "*"
    assert rule.body == ("" if rule.get or route(method) == NO_ROUTE else whole)


def test_no_promise_is_dropped() -> None:
    """Every promised method is in a contract, and no two have one route."""
    assert {method.name for method in METHODS} == PROMISED.keys()
    assert len({method.name for method in METHODS}) == len(METHODS)
    routes = [route(method) for method in METHODS if route(method) != NO_ROUTE]
    assert len(set(routes)) == len(routes)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_what_is_read_has_no_side_effects(method: MethodDescriptor) -> None:
    """The methods that read, and only they, say that they have no side effects, and use GET."""
    reads = method.name.startswith(READS)
    level = method.GetOptions().idempotency_level
    assert (level == MethodOptions.NO_SIDE_EFFECTS) is reads
    assert route(method) == NO_ROUTE or route(method).startswith("GET ") is reads


def test_every_method_has_its_scopes(service: str) -> None:
    """A servicer names the scopes of each method of its contracts, or that it needs no token."""
    contracts: list[ServiceDescriptor] = CONTRACTS[service]
    servicer = importlib.import_module(f"{service}.servicer")
    named = {method: sorted(names) for method, names in servicer.SCOPES.items()}
    named |= dict.fromkeys(getattr(servicer, "OPEN", ()), OPEN)
    assert named == {
        f"/{contract.full_name}/{method.name}": PROMISED[method.name][1]
        for contract in contracts
        for method in contract.methods
    }


def test_every_method_works(service: str) -> None:
    """Only methods that work are in a contract: each servicer has them all."""
    module = vars(importlib.import_module(f"{service}.servicer"))
    missing = [
        f"{contract.name}.{method.name}"
        for contract in CONTRACTS[service]
        for method in contract.methods
        if method.name not in vars(module[contract.name.replace("Service", "Servicer")])
    ]
    assert missing == []
