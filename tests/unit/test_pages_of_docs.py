"""What pages of docs/ are made with: rules in words, and Markdown."""

import pytest
from support.contracts import compiled

from scripts.pages.api_rules import rules_in_words
from scripts.pages.markdown import anchor, table, wrapped

SHOP = """
service Shop {
  rpc Sell(Order) returns (Order) {
    option (google.api.http) = {get: "/sell"};
  }
}
message Order {
  string free = 1;
  string name = 2 [(buf.validate.field).string = {min_len: 1 max_len: 20000}];
  string code = 3 [(buf.validate.field).string.pattern = "^(a|b)?$"];
  int64 id = 4 [(buf.validate.field).int64.gt = 0];
  int32 year = 5 [
    (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE,
    (buf.validate.field).int32 = {gte: 2000 lte: 2100}
  ];
  repeated int64 ids = 6 [(buf.validate.field).repeated = {
    max_items: 5 unique: true items: {int64: {gt: 0 lt: 99}}
  }];
  google.protobuf.Duration ttl = 7 [
    (buf.validate.field).duration.gte = {seconds: 1 nanos: 500000000}
  ];
  google.type.Decimal price = 8 [(buf.validate.field).required = true];
  Kind kind = 9 [(buf.validate.field).enum.defined_only = true];
  string odd = 10 [(buf.validate.field).cel = {
    id: "odd" message: "must be odd" expression: "true"
  }];
  enum Kind {
    KIND_UNSPECIFIED = 0;
  }
}
"""
RULES = {
    "free": "",
    "name": "required; 1 to 20,000 characters",
    "code": "matches `^(a|b)?$`",
    "id": "required; more than 0",
    "year": "if it is set; 2000 to 2100",
    "ids": "at most 5 items; no two alike; each more than 0; each less than 99",
    "ttl": "at least 1.5 s",
    "price": "required",
    "kind": "one of its values",
    "odd": "Rule: must be odd.",
}


def test_rules_are_told_in_words(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each kind of rule is a few words, and a field without rules has none."""
    contract = compiled(tmp_path_factory.mktemp("shop"), SHOP)
    fields = contract.bindings[0].method.input_type.fields
    assert {one.name: rules_in_words(one) for one in fields} == RULES


def test_a_cell_cannot_end_its_row() -> None:
    """What would end a cell or a row is escaped, or a space."""
    assert list(table(["a", "b"], [["x|y", "one\n\ntwo"]])) == [
        "| a | b |",
        "| --- | --- |",
        r"| x\|y | one two |",
        "",
    ]


def test_text_has_lines_and_code_has_its_own() -> None:
    """Paragraphs are wrapped, items of lists stay items, and code is left as it is."""
    long = "word " * 40
    code = "    " + "x" * 120
    lines = list(wrapped(f"{long}\n\n- {long}\n- b\n\n{code}"))
    assert [line for line in lines if len(line) > 100] == [code]
    assert [line[:6] for line in lines if line.startswith(("-", " "))] == [
        "- word", "  word", "  word", "- b", "    xx",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("heading", "address"),
    [("Booking.Status", "bookingstatus"), ("Common types", "common-types"), ("a_b-C", "a_b-c")],
)
def test_a_heading_has_its_address(heading: str, address: str) -> None:
    """The address of a heading is the one that code hosts give it."""
    assert anchor(heading) == address
