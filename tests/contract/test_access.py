"""Who may call what: it stands in the contract, and the servers have it from there."""

import importlib
import re
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from holdfast.auth.v1 import access_pb2
from support.methods import COMMENTS, CONTRACTS, METHODS, path_of
from support.source import SERVICES

from cli import main as cli

BUYERS, SERVICE, MONEY, ADMIN = ["bookings"], ["inventory"], ["payments"], ["admin"]
BOTH = ["bookings", "inventory"]
# Needs no token.
OPEN: list[str] = []
# Whom a method is for. A change of it is a change here, for all to see.
GRANTED = {
    "ProcessPayment": MONEY,
    "GetPayment": MONEY,
    "ListPayments": MONEY,
    "RefundPayment": MONEY,
    "CancelPayment": MONEY,
    "HandleWebhook": OPEN,
    "ListTestCards": MONEY,
    "StreamPaymentEvents": MONEY,
    "ConfirmBooking": BUYERS,
    "ListMyBookings": BUYERS,
    "ListBookings": ADMIN,
    "GetBooking": BUYERS,
    "CancelBooking": BUYERS,
    "WatchBooking": BUYERS,
    "StreamBookingEvents": ADMIN,
    "ListSagas": ADMIN,
    "GetSaga": ADMIN,
    "RetrySaga": ADMIN,
    "ResolveSaga": ADMIN,
    "ExportUser": ADMIN,
    "EraseUser": ADMIN,
    "CreateEvent": ADMIN,
    "ListEvents": BUYERS,
    "ListSeats": BOTH,
    "ReserveSeats": BOTH,
    "GetReservations": BOTH,
    "ExtendReservations": BOTH,
    "ConfirmReservations": SERVICE,
    "CancelReservations": SERVICE,
}
SCOPES = {"admin", "bookings", "inventory", "payments"}
CONTRACTED = list(
    {one.full_name: one for services in CONTRACTS.values() for one in services}.values()
)


def said(method: MethodDescriptor) -> tuple[list[str], bool]:
    """The two options of a method: its scopes, and whether it is open."""
    options: Any = method.GetOptions()
    return list(options.Extensions[access_pb2.scopes]), options.Extensions[access_pb2.open]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_method_is_for_whom_it_is_for(method: MethodDescriptor) -> None:
    """Each method names its scopes in the contract, or says that it is open, and never both."""
    assert said(method) == (GRANTED[method.name], GRANTED[method.name] == OPEN)


def test_nothing_else_is_granted() -> None:
    """Every method of the table is in a contract, there are four scopes, and one method is open."""
    assert GRANTED.keys() == {method.name for method in METHODS}
    assert {scope for method in METHODS for scope in said(method)[0]} == SCOPES
    assert [method.name for method in METHODS if said(method)[1]] == ["HandleWebhook"]


def test_tokens_are_made_with_these_scopes() -> None:
    """The command that makes tokens knows the scopes of the contracts, and no others."""
    assert cli.SCOPES == SCOPES


@pytest.mark.parametrize("service", SERVICES)
def test_a_server_asks_for_what_the_contract_says(service: str) -> None:
    """What a program enforces is what the options of all its methods say."""
    access = importlib.import_module(f"{service}.servicer").ACCESS
    methods = [method for one in CONTRACTS[service] for method in one.methods]
    assert access.scopes == {
        path_of(one): frozenset(GRANTED[one.name]) for one in methods if GRANTED[one.name] != OPEN
    }
    assert access.open_methods == {path_of(one) for one in methods if GRANTED[one.name] == OPEN}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_comment_of_a_method_names_no_other_scope(method: MethodDescriptor) -> None:
    """A scope that the comment of a method names is one that opens it."""
    text = COMMENTS[method.full_name].text
    named = set(re.findall(r"\bscope `(\w+)`|\bScope: `(\w+)`.*?, `(\w+)`", text))
    assert {scope for one in named for scope in one if scope} <= {*said(method)[0], "admin"}
    assert ("needs no token" in text.lower()) is said(method)[1]


@pytest.mark.parametrize("service", CONTRACTED, ids=lambda service: service.name)
def test_the_comment_of_a_service_is_true(service: ServiceDescriptor) -> None:
    """Where a service says what every method needs, it is so but for those that it excepts."""
    text = COMMENTS[service.full_name].text
    exceptions = r"(?:, except `(\w+)`(?: and\s`(\w+)`)?)?"
    every = re.search(rf"Every method needs a token with the scope `(\w+)`{exceptions}", text)
    if every is None:
        assert "one of the scopes named at each method" in text
        return
    others = [method.name for method in service.methods if said(method)[0] != [every[1]]]
    assert others == [name for name in every.groups()[1:] if name]
