"""The methods of the services: their routes are a promise, and each has its scopes."""

import importlib

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from holdfast.booking.v1 import booking_pb2
from holdfast.inventory.v1 import inventory_pb2
from holdfast.payment.v1 import payment_pb2
from support.source import SERVICES

CONTRACTS = {
    "booking_svc": booking_pb2.DESCRIPTOR.services_by_name["BookingService"],
    "inventory_svc": inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"],
    "payment_svc": payment_pb2.DESCRIPTOR.services_by_name["PaymentService"],
}
BUYERS, SERVICE, MONEY, ADMIN = ["bookings"], ["inventory"], ["payments"], ["admin"]
BOTH = ["bookings", "inventory"]
# Clients exist already: a row may be added, none may be changed.
PROMISED = {
    "ProcessPayment": ("POST /api/payment/process", MONEY),
    "GetPayment": ("GET /api/payment/{payment_id}", MONEY),
    "ListPayments": ("GET /api/payment", MONEY),
    "RefundPayment": ("POST /api/payment/{payment_id}/refund", MONEY),
    "ConfirmBooking": ("POST /api/bookings/confirm", BUYERS),
    "ListMyBookings": ("GET /api/bookings/me", BUYERS),
    "GetBooking": ("GET /api/bookings/{booking_id}", BUYERS),
    "CancelBooking": ("POST /api/bookings/{booking_id}/cancel", BUYERS),
    "CreateEvent": ("POST /api/inventory/events", ADMIN),
    "ListSeats": ("GET /api/inventory/events/{event_id}/seats", BOTH),
    "ReserveSeats": ("POST /api/inventory/reservations", BOTH),
    "GetReservations": ("GET /api/inventory/reservations", BOTH),
    "ExtendReservations": ("POST /api/inventory/reservations/extend", BOTH),
    "ConfirmReservations": ("PUT /api/inventory/reservations/confirm", SERVICE),
    "CancelReservations": ("POST /api/inventory/reservations/cancel", SERVICE),
}
METHODS = [method for service in CONTRACTS.values() for method in service.methods]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return request.param


def route(method: MethodDescriptor) -> str:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return f"{verb.upper()} {getattr(rule, verb)}"


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_route_is_a_promise(method: MethodDescriptor) -> None:
    """Each method has the REST route that clients use; all but GET take the whole body."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    assert route(method) == PROMISED[method.name][0]
    assert rule.body == ("" if rule.get else "*")


def test_no_promise_is_dropped() -> None:
    """Every promised method is in a contract, and no two have one route."""
    assert {method.name for method in METHODS} == PROMISED.keys()
    assert len({route(method) for method in METHODS}) == len(METHODS)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_what_is_read_has_no_side_effects(method: MethodDescriptor) -> None:
    """The methods with GET, and only they, say in the contract that they have no side effects."""
    level = method.GetOptions().idempotency_level
    assert (level == MethodOptions.NO_SIDE_EFFECTS) is route(method).startswith("GET ")


def test_every_method_has_its_scopes(service: str) -> None:
    """A servicer names the scopes of each method of its contract, and of nothing else."""
    contract: ServiceDescriptor = CONTRACTS[service]
    scopes = importlib.import_module(f"{service}.servicer").SCOPES
    assert {method: sorted(names) for method, names in scopes.items()} == {
        f"/{contract.full_name}/{method.name}": PROMISED[method.name][1]
        for method in contract.methods
    }


def test_every_method_works(service: str) -> None:
    """Only methods that work are in a contract: each servicer has them all."""
    contract: ServiceDescriptor = CONTRACTS[service]
    module = importlib.import_module(f"{service}.servicer")
    servicer = vars(vars(module)[contract.name.replace("Service", "Servicer")])
    assert [method.name for method in contract.methods if method.name not in servicer] == []
