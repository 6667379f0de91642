"""The methods of the services: their routes are a promise, and each of them works."""

import importlib

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from support.methods import CONTRACTS, METHODS
from support.source import SERVICES

# For other services and for operators: by gRPC only.
NO_ROUTE = ""
# Clients exist already: a row may be added, none may be changed.
PROMISED = {
    "ProcessPayment": "POST /api/payment/process",
    "GetPayment": "GET /api/payment/{payment_id}",
    "ListPayments": "GET /api/payment",
    "RefundPayment": "POST /api/payment/{payment_id}/refund",
    "CancelPayment": NO_ROUTE,
    "HandleWebhook": "POST /api/payment/webhooks/{provider}",
    "ListTestCards": NO_ROUTE,
    "StreamPaymentEvents": NO_ROUTE,
    "ConfirmBooking": "POST /api/bookings/confirm",
    "ListMyBookings": "GET /api/bookings/me",
    "ListBookings": "GET /api/bookings",
    "GetBooking": "GET /api/bookings/{booking_id}",
    "CancelBooking": "POST /api/bookings/{booking_id}/cancel",
    "WatchBooking": "GET /api/bookings/{booking_id}/watch",
    "StreamBookingEvents": NO_ROUTE,
    "ListSagas": "GET /api/sagas",
    "GetSaga": "GET /api/sagas/{booking_id}/{name}",
    "RetrySaga": "POST /api/sagas/{booking_id}/{name}/retry",
    "ResolveSaga": "POST /api/sagas/{booking_id}/{name}/resolve",
    "ExportUser": NO_ROUTE,
    "EraseUser": NO_ROUTE,
    "CreateEvent": "POST /api/inventory/events",
    "ListEvents": "GET /api/inventory/events",
    "ListSeats": "GET /api/inventory/events/{event_id}/seats",
    "ReserveSeats": "POST /api/inventory/reservations",
    "GetReservations": "GET /api/inventory/reservations",
    "ExtendReservations": "POST /api/inventory/reservations/extend",
    "ConfirmReservations": "PUT /api/inventory/reservations/confirm",
    "CancelReservations": "POST /api/inventory/reservations/cancel",
}
READS = ("Get", "List", "Watch", "Stream", "Export")


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
    assert route(method) == PROMISED[method.name]
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
