"""Who may call what, from the options of a contract: for servers, and for the documentation."""

import json
from typing import Any

import pytest
from holdfast.auth.v1 import access_pb2
from support.contracts import Contract, compiled

from chassis.access import Access, access_of
from gateway import openapi
from gateway.comments import comments_of

SHOP = """
service Shop {
  // Sells. To anyone who may.
  rpc Sell(Nothing) returns (Nothing) {
    option (holdfast.auth.v1.scopes) = "staff";
    option (holdfast.auth.v1.scopes) = "owner";
    option (google.api.http) = {get: "/sell"};
  }
  rpc Audit(Nothing) returns (Nothing) {
    option (holdfast.auth.v1.scopes) = "admin";
    option (google.api.http) = {get: "/audit"};
  }
  rpc Look(Nothing) returns (Nothing) {
    option (holdfast.auth.v1.open) = true;
    option (google.api.http) = {get: "/look"};
  }
  rpc Both(Nothing) returns (Nothing) {
    option (holdfast.auth.v1.open) = true;
    option (holdfast.auth.v1.scopes) = "staff";
    option (google.api.http) = {get: "/both"};
  }
  rpc Shut(Nothing) returns (Nothing) {
    option (holdfast.auth.v1.open) = false;
    option (google.api.http) = {get: "/shut"};
  }
  rpc Old(Nothing) returns (Nothing) {
    option (google.api.http) = {get: "/old"};
  }
  rpc Signed(google.api.HttpBody) returns (Nothing) {
    option (google.api.http) = {post: "/signed" body: "*"};
  }
  rpc Upload(google.api.HttpBody) returns (Nothing) {
    option (holdfast.auth.v1.scopes) = "staff";
    option (google.api.http) = {post: "/upload" body: "*"};
  }
}
message Nothing {}
"""
STAFF, ADMIN = {"bearer": ["staff"]}, {"bearer": ["admin"]}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return compiled(tmp_path_factory.mktemp("shop"), SHOP)


@pytest.fixture(scope="module")
def operations(shop: Contract) -> dict[str, Any]:
    made = openapi.document(shop.bindings, comments_of(shop.files.values()))
    paths = json.loads(openapi.written(made))["paths"]
    return {path: one for path, at in paths.items() for one in at.values()}


@pytest.fixture(scope="module")
def access(shop: Contract) -> Access:
    service = shop.bindings[0].method.containing_service
    return access_of([service], access_pb2.scopes, access_pb2.open)


def test_a_method_is_opened_by_what_it_names(access: Access) -> None:
    """The scopes of a method are those that its options name, each on its own."""
    assert access.scopes_of("/shop.v1.Shop/Sell") == {"staff", "owner"}
    assert access.scopes_of("/shop.v1.Shop/Upload") == {"staff"}


@pytest.mark.parametrize("method", ["Audit", "Shut", "Old", "Signed", "Unheard"])
def test_what_says_nothing_is_for_admins(access: Access, method: str) -> None:
    """A method without options, or that nobody knows, is for admins, as one that says so is."""
    assert access.scopes_of(f"/shop.v1.Shop/{method}") == {"admin"}
    assert f"/shop.v1.Shop/{method}" not in access.open_methods


def test_only_what_says_so_is_open(access: Access) -> None:
    """A method is open if it says so and names no scope: a contradiction is closed."""
    assert access.open_methods == {"/shop.v1.Shop/Look"}
    assert access.scopes_of("/shop.v1.Shop/Both") == {"staff"}


def test_the_documentation_says_the_same(operations: dict[str, Any]) -> None:
    """An operation names its scopes, each as another way in, and says them in words."""
    assert operations["/sell"]["security"] == [STAFF, {"bearer": ["owner"]}, ADMIN]
    assert operations["/sell"]["description"] == (
        "To anyone who may.\n\nNeeds a token with the scope `staff` or `owner` or `admin`."
    )
    assert operations["/audit"]["security"] == [ADMIN]
    assert operations["/audit"]["description"] == "Needs a token with the scope `admin`."
    assert operations["/look"]["security"] == []
    assert not {"401", "403"} & operations["/look"]["responses"].keys()
    for closed in ("/both", "/upload"):
        assert operations[closed]["security"] == [STAFF, ADMIN]
        assert {"401", "403"} <= operations[closed]["responses"].keys()


def test_a_contract_that_says_nothing_is_described_as_before(operations: dict[str, Any]) -> None:
    """Without options an operation needs a token, no scope is named, and raw bytes are signed."""
    for bare in ("/old", "/shut"):
        assert not {"security", "description"} & operations[bare].keys()
        assert {"401", "403"} <= operations[bare]["responses"].keys()
    assert operations["/signed"]["security"] == []
