"""The documentation of our own routes: complete, true to the contract, and as it is committed."""

import json
import re
from collections.abc import Iterator
from typing import Any

import protovalidate
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.methods import METHODS
from support.source import ROOT

from gateway import descriptors, openapi
from gateway.codec import Codec
from gateway.comments import Comments, comments_of
from gateway.config import GatewaySettings
from gateway.pages import Pages
from gateway.rules import Binding, bindings_of

CONTRACTS = ROOT / "gen/holdfast/descriptors.binpb"
FILES = FileDescriptorSet.FromString(CONTRACTS.read_bytes()).file
COMMITTED = ROOT / "docs/openapi.json"
DOCUMENT: dict[str, Any] = json.loads(COMMITTED.read_bytes())
SERVICES = [f"{file.package}.{one.name}" for file in FILES for one in file.service]
OPERATIONS = {one["operationId"]: one for at in DOCUMENT["paths"].values() for one in at.values()}
# What clients send, as the design has it.
WITH_EXAMPLE = {
    "BookingService_ConfirmBooking",
    "InventoryService_CancelReservations",
    "InventoryService_ConfirmReservations",
    "InventoryService_CreateEvent",
    "InventoryService_ExtendReservations",
    "InventoryService_ReserveSeats",
    "PaymentService_ProcessPayment",
    "PaymentService_RefundPayment",
}


def bindings() -> list[Binding]:
    services = descriptors.from_file(CONTRACTS, SERVICES).services.values()
    return [binding for one in services for binding in bindings_of(one)]


def comments() -> Comments:
    return comments_of(FILES)


def messages() -> Iterator[Descriptor]:
    """All messages that a request or an answer holds at its top, of methods without a route too."""
    for method in METHODS:
        yield from (method.input_type, method.output_type)


def examples() -> dict[str, tuple[Descriptor, Any]]:
    known = comments()
    found = {one.full_name: one for one in messages() if one.full_name in known}
    return {
        name: (one, known[name].example)
        for name, one in sorted(found.items())
        if known[name].example is not None
    }


EXAMPLES = examples()


def test_the_document_is_valid() -> None:
    """docs/openapi.json is valid OpenAPI 3.1, by a validator that is not ours."""
    assert [str(one) for one in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_the_document_is_what_is_served() -> None:
    """What the gateway serves at /openapi.json is docs/openapi.json, byte for byte."""
    pages = Pages(bindings(), {one.name: one for one in FILES})
    served = pages.page("/openapi.json")
    assert served is not None
    assert served.body == COMMITTED.read_bytes()


def test_every_route_is_documented() -> None:
    """Each way to reach a method has its operation, with a summary and a description of it all."""
    reached = {f"{one.method.containing_service.name}_{one.method.name}" for one in bindings()}
    assert OPERATIONS.keys() == reached
    assert [name for name, one in OPERATIONS.items() if not one.get("summary")] == []
    bare = [
        f"{name}.{field}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, one in {"": schema, **schema.get("properties", {})}.items()
        if not one.get("description")
    ]
    assert bare == []


def test_every_reason_of_a_comment_is_documented() -> None:
    """Each reason that the comment of a method names stands with one of its responses."""
    for binding in bindings():
        method = binding.method
        text = comments()[method.full_name].text
        errors = text.partition("Errors: ")[2]
        codes = {"INVALID_ARGUMENT", "NOT_FOUND", "ABORTED", "UNAVAILABLE"}
        codes |= {"FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED"}
        reasons = set(re.findall(r"`([A-Z_]+)`", errors)) - codes
        operation = OPERATIONS[f"{method.containing_service.name}_{method.name}"]
        said = json.dumps(operation["responses"])
        assert reasons, method.name
        assert {one for one in reasons if f"`{one}`" not in said} == set(), method.name


def test_only_webhooks_need_no_token() -> None:
    """All operations need a token but that of webhooks, which are signed."""
    open_ones = [name for name, one in OPERATIONS.items() if one.get("security") == []]
    assert open_ones == ["PaymentService_HandleWebhook"]


def test_what_is_sent_has_an_example() -> None:
    """Each operation that takes JSON with something in it shows what to send."""
    shown = {
        name
        for name, one in OPERATIONS.items()
        if "example" in one.get("requestBody", {}).get("content", {}).get("application/json", {})
    }
    assert shown >= WITH_EXAMPLE
    written = sum(path.read_text().count("// Example:") for path in ROOT.glob("protos/**/*.proto"))
    assert len(EXAMPLES) == written


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_true(name: str) -> None:
    """An example of the contract is read as its message, keeps its rules and fits its schema."""
    message_type, example = EXAMPLES[name]
    message = GetMessageClass(message_type)()
    Codec().decode(openapi.written(example), message)
    protovalidate.validate(message)
    short = name.rpartition(".")[2]
    schemas = DOCUMENT["components"]["schemas"]
    if short in schemas:
        schema = {"$ref": f"#/components/schemas/{short}", "components": {"schemas": schemas}}
        found = Draft202012Validator(schema).iter_errors(json.loads(openapi.written(example)))
        assert [one.message for one in found] == []


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_pages_are_where_nothing_else_is(path: str) -> None:
    """No route of the contract is where the pages are, which are served by default."""
    assert GatewaySettings().docs
    assert path not in DOCUMENT["paths"]
