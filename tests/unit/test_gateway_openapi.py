"""OpenAPI from descriptors and comments: every kind of route, field, rule and comment."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.contracts import compiled

from gateway import openapi
from gateway.comments import NONE, comments_of
from gateway.openapi_schemas import Numbers

SHOP = """
// Sells things.
//
// Needs a token.
service Shop {
  // Buys a thing. Twice, if it is called twice.
  //
  // Set `item_count` to more than one, with the metadata `idempotency-key: k`.
  //
  // Errors: `NOT_FOUND` (`THING_NOT_FOUND`: it is not
  // sold; `SHOP_NOT_FOUND`), `INVALID_ARGUMENT` (`INVALID_FIELD`),
  // `FAILED_PRECONDITION` (`PAYMENT_FAILED`: declined).
  //
  // Last words.
  rpc Buy(BuyRequest) returns (Thing) {
    option (google.api.http) = {
      post: "/v1/{name=shops/*/things/*}:buy"
      body: "*"
      additional_bindings {put: "/v1/buy/{order.id}" body: "order"}
      additional_bindings {custom {kind: "BUY" path: "/v1/things"} body: "*"}
    };
    option (holdfast.http.v1.answers) = {
      rules: [
        {code: 202 field: "state" value: "OPEN"},
        {code: 200 replayed: true},
        {code: 400 field: "state" value: "SHUT"},
        {code: 201 location: "/v1/{id}"}
      ]
    };
  }
  rpc Find(FindRequest) returns (Found) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/v1/{path=files/**}" response_body: "things"};
  }
  rpc Read(FindRequest) returns (Thing) {
    option deprecated = true;
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {
      get: "/v1/shelves/{path}"
      additional_bindings {patch: "/v1/shelves/{flavour}" body: "*"}
      additional_bindings {delete: "/v1/*/{path}"}
    };
  }
  rpc Watch(WatchRequest) returns (stream Thing) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/v1/watch"};
  }
  rpc Hook(HookRequest) returns (google.protobuf.Empty) {
    option idempotency_level = IDEMPOTENT;
    option (google.api.http) = {post: "/v1/hooks/{source}" body: "body"};
  }
  rpc Picture(FindRequest) returns (google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/picture"};
  }
}

// What to buy.
//
// Example:
//
//     {"name": "shops/1/things/2", "itemCount": 3, "price": 1.50}
message BuyRequest {
  option (buf.validate.message).cel = {
    id: "x"
    message: "item_count goes with price"
    expression: "true"
  };
  string name = 1;
  // How many; 1 to 9.
  int32 item_count = 2 [(buf.validate.field).int32 = {gte: 1 lte: 9}];
  google.type.Decimal price = 3 [(buf.validate.field).required = true];
  Order order = 4;
}
message Order {
  int64 id = 1 [(buf.validate.field).int64.gt = 0];
  Order parent = 2;
}
// A thing.
//
// Example:
//
//     message Thing {}
message Thing {
  // Whether it can be had.
  enum State {
    STATE_UNSPECIFIED = 0;
    // It can.
    OPEN = 1;
    SHUT = 2;
  }
  uint64 id = 1;
  State state = 2;
  google.protobuf.Timestamp made_at = 3;
  map<string, int64> counts = 4;
  optional double weight = 5;
  bytes data = 6;
  oneof kind {
    string short_name = 7;
    google.protobuf.Int64Value number = 8;
  }
  google.protobuf.Struct more = 9;
  google.protobuf.NullValue nothing = 10;
  repeated Thing parts = 11;
}
message Found {
  repeated Thing things = 1;
}
message FindRequest {
  enum Flavour {
    PLAIN = 0;
    SWEET = 1;
  }
  message Where {
    string near = 1 [(buf.validate.field).string = {min_len: 2 max_len: 5 pattern: "^[a-z]+$"}];
    google.protobuf.Duration within = 2;
    map<string, string> labels = 3;
    Where other = 4;
  }
  string path = 1;
  Where where = 2;
  repeated int64 ids = 3 [(buf.validate.field).repeated = {
    min_items: 1 max_items: 3 unique: true items: {int64: {gt: 0}}
  }];
  Flavour flavour = 4;
  repeated Where wheres = 5;
  string code = 6 [(buf.validate.field).string.pattern = "^[A-Z]{3}$"];
  string nick = 7 [
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE,
    (buf.validate.field).string.min_len = 3
  ];
}
message WatchRequest {
  string cursor = 1;
}
message HookRequest {
  string source = 1;
  google.api.HttpBody body = 2;
}
enum Reason {
  REASON_UNSPECIFIED = 0;
  // `NOT_FOUND`: no shop is open. Or none is there.
  SHOP_NOT_FOUND = 1;
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    """As a client reads it."""
    shop = compiled(folder, SHOP)
    made = openapi.document(shop.bindings, comments_of(shop.files.values()))
    return dict(json.loads(openapi.written(made)))


@pytest.fixture
def schemas(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["components"]["schemas"])


def named(operation: dict[str, Any], place: str) -> dict[str, Any]:
    return {one["name"]: one for one in operation["parameters"] if one.get("in") == place}


def references(operation: dict[str, Any]) -> list[str]:
    found = [one["$ref"] for one in operation["parameters"] if "$ref" in one]
    return [one.rpartition("/")[2] for one in found]


def test_any_contract_makes_a_valid_document(document: dict[str, Any]) -> None:
    """The document of a contract with everything in it is valid OpenAPI 3.1, by a peer."""
    assert [str(one) for one in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["info"].items() >= {"title": "Shop", "version": "v1"}.items()


def test_without_comments_there_is_a_document_all_the_same(folder: Path) -> None:
    """What a server reflects has no comments: the document is valid, and says less."""
    document = openapi.document(compiled(folder, SHOP).bindings, NONE)
    assert [str(one) for one in OpenAPIV31SpecValidator(document).iter_errors()] == []
    buy = document["paths"]["/v1/shops/{name.1}/things/{name.2}:buy"]["post"]
    assert not {"summary", "description"} & buy.keys()
    assert "404" not in buy["responses"]
    assert "default" in buy["responses"]


def test_each_way_to_a_method_is_an_operation(document: dict[str, Any]) -> None:
    """Additional bindings, verbs, wildcards and methods of one's own each have their place."""
    ids = {
        (path, verb): one["operationId"]
        for path, at in document["paths"].items()
        for verb, one in {**at, **at.get("x-operations", {})}.items()
        if verb != "x-operations"
    }
    assert ids == {
        ("/v1/shops/{name.1}/things/{name.2}:buy", "post"): "Shop_Buy",
        ("/v1/buy/{order.id}", "put"): "Shop_Buy_2",
        ("/v1/things", "buy"): "Shop_Buy_3",
        ("/v1/files/{path}", "get"): "Shop_Find",
        ("/v1/shelves/{path}", "get"): "Shop_Read",
        # Paths of one shape have one name for what varies.
        ("/v1/shelves/{path}", "patch"): "Shop_Read_2",
        ("/v1/{segment.1}/{path}", "delete"): "Shop_Read_3",
        ("/v1/watch", "get"): "Shop_Watch",
        ("/v1/hooks/{source}", "post"): "Shop_Hook",
        ("/v1/picture", "get"): "Shop_Picture",
    }
    rest = document["paths"]["/v1/files/{path}"]["get"]["parameters"][0]
    assert "slashes" in rest["description"]


def test_a_comment_is_told_in_the_words_of_http(document: dict[str, Any]) -> None:
    """A comment is a summary and a description: names as in JSON, headers, and no errors in it."""
    buy = document["paths"]["/v1/shops/{name.1}/things/{name.2}:buy"]["post"]
    assert buy["summary"] == "Buys a thing"
    assert buy["description"] == (
        "Twice, if it is called twice.\n\n"
        "Set `itemCount` to more than one, with the header `idempotency-key: k`.\n\nLast words."
    )
    assert document["tags"] == [{"name": "Shop", "description": "Sells things.\n\nNeeds a token."}]


def test_an_example_may_be_of_anything(schemas: dict[str, Any]) -> None:
    """An example in a comment that is no JSON stays in the text, as code."""
    assert schemas["Thing"]["description"].startswith(
        "A thing.\n\nExample:\n\n    message Thing {}"
    )


def test_errors_stand_with_their_status(document: dict[str, Any]) -> None:
    """The reasons that a comment names stand at their HTTP status, with what they mean here."""
    buy = document["paths"]["/v1/shops/{name.1}/things/{name.2}:buy"]["post"]["responses"]
    assert buy["404"]["description"] == (
        "- `THING_NOT_FOUND`: it is not sold\n- `SHOP_NOT_FOUND`: no shop is open"
    )
    assert buy["402"]["description"] == "- `PAYMENT_FAILED`: declined"
    assert buy["429"] == {"$ref": "#/components/responses/TooManyRequests"}
    common = document["components"]["responses"]
    assert "Retry-After" in common["TooManyRequests"]["headers"]
    assert "WWW-Authenticate" in common["Unauthorized"]["headers"]


def test_successes_have_the_statuses_of_their_contract(document: dict[str, Any]) -> None:
    """Each status of the option `answers` is there, says when it comes, and 200 only if it can."""
    buy = document["paths"]["/v1/shops/{name.1}/things/{name.2}:buy"]["post"]["responses"]
    assert [one for one in buy if one < "400"] == ["200", "201", "202"]
    assert buy["202"]["description"] == "When `state` is `OPEN`."
    assert "stored answer" in buy["200"]["description"]
    assert {"Location", "Idempotent-Replayed", "X-Request-Id"} == buy["201"]["headers"].keys()
    assert buy["400"]["content"]["application/json"]["schema"] == {
        "anyOf": [{"$ref": "#/components/schemas/Thing"}, {"$ref": "#/components/schemas/Error"}]
    }
    hook = document["paths"]["/v1/hooks/{source}"]["post"]["responses"]
    assert [one for one in hook if one < "400"] == ["200"]


def test_the_body_is_what_the_path_leaves(document: dict[str, Any]) -> None:
    """A body is the request without what is in the path, or one field; its example, too."""
    paths = document["paths"]
    body = paths["/v1/shops/{name.1}/things/{name.2}:buy"]["post"]["requestBody"]
    content = body["content"]["application/json"]
    assert content["schema"]["properties"].keys() == {"itemCount", "price", "order"}
    assert content["schema"]["required"] == ["itemCount", "price"]
    assert content["example"] == {"itemCount": 3, "price": 1.5}
    assert body["required"] is True
    field = paths["/v1/buy/{order.id}"]["put"]["requestBody"]["content"]["application/json"]
    assert field["schema"]["$ref"] == "#/components/schemas/Order"


def test_a_query_has_what_is_nowhere_else(document: dict[str, Any]) -> None:
    """Query parameters are the other fields, nested ones by dots; no maps, no lists of objects."""
    find = named(document["paths"]["/v1/files/{path}"]["get"], "query")
    shallow = {name for name in find if "other" not in name}
    assert shallow == {"where.near", "where.within", "ids", "flavour", "code", "nick"}
    assert max(name.count(".") for name in find) == 3
    assert find["ids"]["schema"]["items"]["type"] == "integer"
    assert {name for name, one in find.items() if one.get("required")} == {"ids", "code"}
    put = named(document["paths"]["/v1/buy/{order.id}"]["put"], "query")
    assert put.keys() == {"name", "itemCount", "price"}
    assert put["name"]["example"] == "shops/1/things/2"


def test_headers_stand_where_they_mean_something(document: dict[str, Any]) -> None:
    """A key goes with what has effects, an event id with a cursor, signatures with raw bytes."""
    paths = document["paths"]
    always = ["X-Request-Id", "X-Request-Timeout", "traceparent"]
    assert references(paths["/v1/watch"]["get"]) == [*always, "Last-Event-ID"]
    assert references(paths["/v1/files/{path}"]["get"]) == always
    assert references(paths["/v1/buy/{order.id}"]["put"]) == ["Idempotency-Key", *always]
    hook = paths["/v1/hooks/{source}"]["post"]
    assert references(hook) == always
    assert "webhook-signature" in named(hook, "header")


def test_raw_bytes_need_no_token_and_have_no_schema(document: dict[str, Any]) -> None:
    """A method that takes raw bytes takes any type, and no token; all others need one."""
    hook = document["paths"]["/v1/hooks/{source}"]["post"]
    assert hook["security"] == []
    assert hook["requestBody"]["content"].keys() == {"application/json", "*/*"}
    assert not {"401", "403"} & hook["responses"].keys()
    assert "security" not in document["paths"]["/v1/watch"]["get"]
    assert document["security"] == [{"bearer": []}]
    picture = document["paths"]["/v1/picture"]["get"]["responses"]["200"]
    assert picture["content"] == {"*/*": {}}


def test_a_stream_has_two_forms(document: dict[str, Any]) -> None:
    """A stream is documented as lines of JSON and as Server-Sent Events, with what is in them."""
    content = document["paths"]["/v1/watch"]["get"]["responses"]["200"]["content"]
    assert content.keys() == {"application/x-ndjson", "text/event-stream"}
    for one in content.values():
        assert one["x-itemSchema"] == {"$ref": "#/components/schemas/Thing"}


def test_each_kind_of_field_has_its_schema(schemas: dict[str, Any]) -> None:
    """Each kind of field is described as the gateway writes it in JSON."""
    thing = schemas["Thing"]["properties"]
    assert thing["id"]["type"] == ["integer", "string"]
    assert thing["id"]["maximum"] == 2**64 - 1
    assert thing["state"] == {"$ref": "#/components/schemas/Thing.State"}
    assert thing["madeAt"] == {"type": "string", "format": "date-time"}
    assert thing["counts"]["additionalProperties"]["format"] == "int64"
    assert thing["weight"]["type"] == ["number", "string"]
    assert thing["data"] == {"type": "string", "contentEncoding": "base64"}
    assert thing["number"]["format"] == "int64"
    assert thing["more"] == {"type": "object"}
    assert thing["nothing"] == {"type": "null"}
    assert thing["parts"]["items"] == {"$ref": "#/components/schemas/Thing"}
    assert schemas["Thing.State"]["enum"] == ["STATE_UNSPECIFIED", "OPEN", "SHUT"]
    assert "`OPEN`: It can." in schemas["Thing.State"]["description"]
    assert "At most one of `shortName`, `number`." in schemas["Thing"]["description"]


def test_what_is_always_written_is_required(schemas: dict[str, Any]) -> None:
    """In an answer all is required that is written even when it is empty; a request is closed."""
    assert set(schemas["Thing"]["required"]) == {
        "id", "state", "counts", "data", "nothing", "parts",
    }  # fmt: skip
    assert "additionalProperties" not in schemas["Thing"]
    assert schemas["Order"]["additionalProperties"] is False


def test_rules_become_limits(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Rules of protovalidate are limits of JSON Schema; those that are not are told in words."""
    assert schemas["Order"]["properties"]["id"]["exclusiveMinimum"] == 0
    # The value that stands for an absent field breaks the rule.
    assert schemas["Order"]["required"] == ["id"]
    buy = schemas["BuyRequest"]
    assert buy["properties"]["itemCount"].items() >= {"minimum": 1, "maximum": 9}.items()
    assert "Rule: itemCount goes with price." in buy["description"]
    find = named(document["paths"]["/v1/files/{path}"]["get"], "query")
    limits = {"minItems": 1, "maxItems": 3, "uniqueItems": True}
    assert find["ids"]["schema"].items() >= limits.items()
    assert find["ids"]["schema"]["items"]["exclusiveMinimum"] == 0
    near = {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"}
    assert find["where.near"]["schema"] == near
    assert find["nick"]["schema"]["minLength"] == 3


def test_numbers_are_described_as_they_are_written(folder: Path) -> None:
    """Where the gateway is told to write exact numbers as texts, the document says so."""
    bindings = compiled(folder, SHOP).bindings
    texts = openapi.document(
        bindings, NONE, Numbers(int64_as_numbers=False, decimal_as_numbers=False)
    )["components"]["schemas"]
    assert texts["BuyRequest"]["properties"]["price"] == {"type": "string"}
    assert texts["Thing"]["properties"]["id"]["type"] == "string"
    numbers = openapi.document(bindings, NONE)["components"]["schemas"]
    assert numbers["BuyRequest"]["properties"]["price"] == {"type": "number"}


def test_the_digits_of_an_example_stay(folder: Path) -> None:
    """An amount in an example has the digits in the file that it has in the comment."""
    shop = compiled(folder, SHOP)
    comments = comments_of(shop.files.values())
    assert b'"price": 1.50' in openapi.written(openapi.document(shop.bindings, comments))


def test_names_that_clash_are_told_apart(folder: Path) -> None:
    """A message that is called as what refusals are called keeps its package's name."""
    contract = """
      service Shop {
        rpc Go(Error) returns (Error) {
          option (google.api.http) = {post: "/v1/go" body: "*"};
        }
      }
      message Error { string text = 1; }
    """
    document = openapi.document(compiled(folder, contract).bindings, NONE)
    assert {"Error", "shop.v1.Error"} <= document["components"]["schemas"].keys()
