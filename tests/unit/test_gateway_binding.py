"""Requests from paths, queries and bodies: each field from its place, and nothing unnoticed."""

import base64
import contextlib
import urllib.parse
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from support import gateway_descriptors as contract
from support.steps import steps

from gateway.binding import NAME_LENGTH_MAX, NESTING_MAX, Binder
from gateway.codec import Codec, Style
from gateway.errors import Invalid
from gateway.router import Router
from gateway.rules import Binding, RuleError
from gateway.template import parse

Kinds: Any = contract.kinds()
Small: Any = contract.small()
CODEC = Codec()
EPOCH = "1970-01-01T00:00:00Z"

INT64_MAX = 2**63 - 1


def binder(template: str = "/x", body: str = "", *, method: str = "Echo") -> Binder:
    made = Binding(contract.method(method), "POST", parse(template), body, "")
    return Binder(made, CODEC)


def request(
    query: str = "",
    *,
    path: str = "/x",
    template: str = "/x",
    body_field: str = "",
    body: str = "",
) -> Any:
    """The message that a request is made to, by the template's own router."""
    router: Router[None] = Router()
    router.add("POST", parse(template), None)
    found = router.match("POST", path.encode())
    made = binder(template, body_field).request(found.variables, query.encode(), body.encode())
    assert type(made) is Kinds
    return made


def refused(query: str = "", **more: str) -> tuple[tuple[str, str], ...]:
    """What is wrong with a request, by name."""
    with pytest.raises(Invalid) as raised:
        request(query, **more)
    return raised.value.violations


def timestamp(seconds: int, nanos: int = 0) -> dict[str, int]:
    return {"seconds": seconds, "nanos": nanos}


QUERIES: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("of_int32=-5", {"of_int32": -5}),
    ("ofInt32=-5", {"of_int32": -5}),
    (f"of_int64={INT64_MAX}", {"of_int64": INT64_MAX}),
    (f"of_uint64={2**64 - 1}", {"of_uint64": 2**64 - 1}),
    ("of_sint32=-1&of_sint64=-2&of_fixed32=3", {"of_sint32": -1, "of_sint64": -2, "of_fixed32": 3}),
    ("of_double=1.5e3&of_float=-0.5", {"of_double": 1500.0, "of_float": -0.5}),
    ("of_bool=true&maybe_bool=false", {"of_bool": True, "maybe_bool": False}),
    ("of_bytes=%2B%2F8%3D&maybe_bytes=-_8", {"of_bytes": b"\xfb\xff", "maybe_bytes": b"\xfb\xff"}),
    ("of_color=GREEN&maybe_color=-7", {"of_color": 2, "maybe_color": -7}),
    ("of_color=99", {"of_color": 99}),
    ("many_color=RED&many_color=2&manyColor=ALSO_GREEN", {"many_color": [1, 2, 2]}),
    # "+" and "%20" are spaces, "%2B" is a plus; "&", "=" and "," are text where they are encoded.
    ("of_string=a+b%20c%2Bd%26e%3Df=g", {"of_string": "a b c+d&e=f=g"}),
    ("of_string=%C3%A4%E2%82%AC", {"of_string": "ä€"}),
    ("of%5Fstring=x", {"of_string": "x"}),
    ("of_string=", {}),
    ("maybe_string=", {"maybe_string": ""}),
    ("maybe_string", {"maybe_string": ""}),
    ("maybe_int32=0", {"maybe_int32": 0}),
    ("&&of_int32=1&", {"of_int32": 1}),
    ("%40other=x", {"renamed": "x"}),
    ("renamed=x&snakeCase2Name=y", {"renamed": "x", "snake_case_2_name": "y"}),
    ("many_string=a,b&many_string=c&many_string=", {"many_string": ["a,b", "c", ""]}),
    ("many_int32=1,2,3", {"many_int32": [1, 2, 3]}),
    ("many_int32=1&manyInt32=2,-3", {"many_int32": [1, 2, -3]}),
    ("many_uint64=1,18446744073709551615", {"many_uint64": [1, 2**64 - 1]}),
    ("many_bool=true&many_bool=false", {"many_bool": [True, False]}),
    ("of_small.name=n&ofSmall.size=3", {"of_small": {"name": "n", "size": 3}}),
    ("of_small.tags=a&of_small.tags=b", {"of_small": {"tags": ["a", "b"]}}),
    ("of_small.name=", {"of_small": {}}),
    (
        "of_kinds.of_kinds.of_int32=1&of_kinds.many_int32=2,3",
        {"of_kinds": {"of_kinds": {"of_int32": 1}, "many_int32": [2, 3]}},
    ),
    ("choice_int32=0", {"choice_int32": 0}),
    (
        "choice_kinds.of_int32=1&choice_kinds.choice_string=x",
        {"choice_kinds": {"of_int32": 1, "choice_string": "x"}},
    ),
    (
        "of_timestamp=1970-01-01T02:00:01.5%2B02:00",
        {"of_timestamp": timestamp(1, 500_000_000)},
    ),
    (
        "many_timestamp=1970-01-01T00:00:01Z&many_timestamp=1970-01-01T00:00:02Z",
        {"many_timestamp": [timestamp(1), timestamp(2)]},
    ),
    ("of_duration=-1.5s", {"of_duration": timestamp(-1, -500_000_000)}),
    ("of_field_mask=a.bC,d", {"of_field_mask": {"paths": ["a.b_c", "d"]}}),
    ("of_int64_value=0&of_string_value=", {"of_int64_value": {}, "of_string_value": {}}),
    ("of_bool_value=true", {"of_bool_value": {"value": True}}),
    ("of_bytes_value=AQ", {"of_bytes_value": {"value": b"\x01"}}),
    ("of_decimal=150.00", {"of_decimal": {"value": "150.00"}}),
    ("of_decimal.value=150.00", {"of_decimal": {"value": "150.00"}}),
    ("of_http_body.contentType=a/b", {"of_http_body": {"content_type": "a/b"}}),
]


@pytest.mark.parametrize(("query", "fields"), QUERIES)
def test_a_query_sets_fields(query: str, fields: dict[str, Any]) -> None:
    """Every form of a parameter sets the field that it names to what it says, and no other."""
    assert request(query) == Kinds(**fields)


KNOWN = "is not known"
TWICE = "is given more than once"
EXCLUDED = "is given with another field that it excludes"
HERE = "cannot be given here"
IN_BODY = "must be in the body, not in the query"
REFUSED = [
    ("no_such=1", "no_such", KNOWN),
    ("=1", "''", KNOWN),
    (".of_int32=1", ".of_int32", KNOWN),
    ("of_int32.=1", "of_int32.", KNOWN),
    ("of_int32.x=1", "of_int32.x", KNOWN),
    ("OfInt32=1", "OfInt32", KNOWN),
    ("of_small.no=1", "of_small.no", KNOWN),
    ("of_small[name]=1", "of_small[name]", KNOWN),
    ("many_small.name=1", "many_small.name", KNOWN),
    ("of_timestamp.seconds=1", "of_timestamp.seconds", KNOWN),
    ("of_int64_value.value=1", "of_int64_value.value", KNOWN),
    ("of_struct.fields=1", "of_struct.fields", KNOWN),
    ("map_string.key=1", "map_string.key", KNOWN),
    ("map_string=1", "map_string", HERE),
    ("of_small=1", "of_small", HERE),
    ("many_small=1", "many_small", HERE),
    ("of_struct=1", "of_struct", HERE),
    ("of_value=1", "of_value", HERE),
    ("of_any=1", "of_any", HERE),
    ("of_int32=1&of_int32=1", "of_int32", TWICE),
    ("of_int32=0&ofInt32=0", "ofInt32", TWICE),
    ("of_decimal=1&of_decimal=1", "of_decimal", TWICE),
    ("of_decimal=&of_decimal.value=1", "of_decimal.value", TWICE),
    ("of_decimal.value=&of_decimal=1", "of_decimal", TWICE),
    ("of_int64_value=0&of_int64_value=0", "of_int64_value", TWICE),
    ("choice_int32=0&choice_string=", "choice_string", EXCLUDED),
    ("choice_string=&choice_kinds.of_int32=0", "choice_kinds.of_int32", EXCLUDED),
    ("of_int32=1,2", "of_int32", "must be an integer"),
    ("of_int32=", "of_int32", "must be an integer"),
    ("of_int32", "of_int32", "must be an integer"),
    ("of_int32=%D9%A1", "of_int32", "must be an integer"),
    ("of_int32=2147483648", "of_int32", "must be between -2147483648 and 2147483647"),
    ("many_int32=1,,2", "many_int32", "must be an integer"),
    ("many_int32=", "many_int32", "must be an integer"),
    ("of_bool=1", "of_bool", "must be true or false"),
    ("many_bool=true,false", "many_bool", "must be true or false"),
    ("many_double=1,2", "many_double", "must be a number"),
    ("of_small.size=x", "of_small.size", "must be an integer"),
    ("of_timestamp=today", "of_timestamp", "must be a time such as 2026-11-16T10:30:00Z"),
    ("of_string=%ff", "of_string", "must be UTF-8"),
    ("of_string=%", "of_string", "'%' must be followed by two hexadecimal digits"),
    ("a%zz=1", "a%zz", "'%' must be followed by two hexadecimal digits"),
    ("%ff=1", "%ff", "must be UTF-8"),
]


@pytest.mark.parametrize(("query", "name", "what"), REFUSED)
def test_a_parameter_that_is_wrong_is_named(query: str, name: str, what: str) -> None:
    """A parameter that is unknown, given twice, misplaced or malformed is refused by its name."""
    assert refused(query) == ((name, what),)


def test_all_that_is_wrong_is_named_at_once() -> None:
    """The path and every parameter that is wrong are named in one refusal."""
    violations = refused(
        "no=1&of_bool=x&of_string=fine&no=2", path="/x/y", template="/x/{of_small.size}"
    )
    assert [name for name, _ in violations] == ["ofSmall.size", "no", "of_bool", "no"]


def test_a_long_name_is_not_sent_back() -> None:
    """What is refused by name repeats only the beginning of a long one."""
    assert refused("x" * 10_000 + "=1") == (("x" * NAME_LENGTH_MAX, KNOWN),)


def test_nesting_is_bounded() -> None:
    """A parameter may name a field in so many messages that a service can read, and no deeper."""
    deep = "of_kinds." * NESTING_MAX + "of_int32=1"
    made = request(deep)
    assert Kinds.FromString(made.SerializeToString()) == made
    assert refused("of_kinds." + deep) == ((("of_kinds." + deep)[:NAME_LENGTH_MAX], KNOWN),)
    refused("of_kinds." * 10_000 + "of_int32=1")


PATHS = [
    ("/x/{of_string}", "/x/a%2Fb%20c+d", {"of_string": "a/b c+d"}),
    ("/x/{of_string=**}", "/x/a%2Fb/%20c", {"of_string": "a%2Fb/ c"}),
    ("/x/{of_string=**}", "/x", {}),
    ("/x/{maybe_string=**}", "/x", {"maybe_string": ""}),
    ("/x/{maybe_int32}", "/x/0", {"maybe_int32": 0}),
    ("/x/{of_color}/{of_bool}", "/x/RED/true", {"of_color": 1, "of_bool": True}),
    ("/{of_small.name=x/*}:go", "/x/a:b:go", {"of_small": {"name": "x/a:b"}}),
    (
        "/x/{of_timestamp}",
        "/x/1970-01-01T00:00:01Z",
        {"of_timestamp": timestamp(1)},
    ),
    ("/x/{of_decimal}", "/x/1.50", {"of_decimal": {"value": "1.50"}}),
    ("/x/{of_int64_value}", "/x/7", {"of_int64_value": {"value": 7}}),
    ("/x/{choice_int32}", "/x/7", {"choice_int32": 7}),
]


@pytest.mark.parametrize(("template", "path", "fields"), PATHS)
def test_a_path_sets_fields(template: str, path: str, fields: dict[str, Any]) -> None:
    """The variables of a path set the fields that they name."""
    assert request(template=template, path=path) == Kinds(**fields)


def test_a_path_that_is_wrong_is_named() -> None:
    """A variable that its field cannot hold is refused by the field's name in JSON."""
    assert refused(template="/x/{of_small.size}", path="/x/y") == (
        ("ofSmall.size", "must be an integer"),
    )
    assert refused(template="/x/{choice_int32}/{choice_string}", path="/x/1/y") == (
        ("choiceString", EXCLUDED),
    )


@pytest.mark.parametrize(
    "field_path",
    [
        "many_string",
        "many_small.name",
        "of_small",
        "of_struct",
        "map_string",
        "of_timestamp.seconds",
        "of_int32.x",
        "no_such",
        "of_small.no",
    ],
)
def test_a_path_that_no_field_can_hold_is_refused_at_start(field_path: str) -> None:
    """A repeated field, a message or a map cannot stand in a path: the rule is refused by name."""
    with pytest.raises(RuleError) as raised:
        binder(f"/x/{{{field_path}}}")
    assert str(raised.value) == (
        f"holdfast.kinds.v1.KindsService.Echo: '/x/{{{field_path}}}':"
        f" {field_path} cannot stand in a path"
    )


@pytest.mark.parametrize(
    ("template", "query", "name"),
    [
        ("/{of_int32=x}", "of_int32=1", "of_int32"),
        ("/{of_int32=x}", "ofInt32=1", "ofInt32"),
        ("/{of_small.name=x}", "ofSmall.name=x", "ofSmall.name"),
        ("/{of_decimal=x}", "of_decimal.value=1", "of_decimal.value"),
    ],
)
def test_what_the_path_says_is_not_a_parameter(template: str, query: str, name: str) -> None:
    """A field that is in the path is refused in the query, by each of its names."""
    assert (name, "is in the path already") in refused(query, template=template)


def test_the_other_fields_of_a_message_are_parameters() -> None:
    """Where the path names one field of a message, the others may be in the query."""
    made = request("of_small.size=2&of_int32=3", template="/{of_small.name=x}")
    assert made == Kinds(of_small={"name": "x", "size": 2}, of_int32=3)


def test_a_whole_body() -> None:
    """With `body: "*"`, all fields come from the body and the path, and none from the query."""
    more = {"body_field": "*", "template": "/x/{of_string}", "path": "/x/a"}
    made = request(body='{"ofInt32": 1, "ofSmall": {"name": "n"}}', **more)
    assert made == Kinds(of_int32=1, of_small={"name": "n"}, of_string="a")
    assert request(**more) == Kinds(of_string="a")
    assert refused("of_int64=1&no=2", **more) == (("of_int64", IN_BODY), ("no", KNOWN))
    assert refused("of_string=a", **more) == (("of_string", "is in the path already"),)
    assert refused(body='{"no": 1}', **more) == (("no", KNOWN),)


def test_a_field_as_the_body() -> None:
    """With a field as the body, that one comes from the body, and the others from the query."""
    more = {
        "body_field": "of_small",
        "template": "/x/{of_small.name}/{of_string}",
        "path": "/x/a/b",
    }
    made = request("of_int32=1&of_kinds.of_bool=true", body='{"size": 2}', **more)
    assert made == Kinds(
        of_small={"name": "a", "size": 2}, of_string="b", of_int32=1, of_kinds={"of_bool": True}
    )
    assert request(**more) == Kinds(of_small={"name": "a"}, of_string="b")
    assert refused("of_small.size=1", **more) == (("of_small.size", IN_BODY),)
    assert refused(body='{"size": "x"}', **more) == (("ofSmall.size", "must be an integer"),)


@pytest.mark.parametrize(
    ("field", "body", "fields"),
    [
        (
            "many_small",
            '[{"name": "a"}, {"size": 1}]',
            {"many_small": [{"name": "a"}, {"size": 1}]},
        ),
        ("many_int32", "[1, 2]", {"many_int32": [1, 2]}),
        ("map_string", '{"a": "b"}', {"map_string": {"a": "b"}}),
        ("of_string", '"a"', {"of_string": "a"}),
        ("of_timestamp", '"1970-01-01T00:00:01Z"', {"of_timestamp": timestamp(1)}),
    ],
)
def test_any_field_can_be_the_body(field: str, body: str, fields: dict[str, Any]) -> None:
    """A list, a map, a text or any other field can be the whole body."""
    assert request("of_bool=true", body_field=field, body=body) == Kinds(of_bool=True, **fields)
    assert refused(f"{field}=1", body_field=field, body=body) == ((field, IN_BODY),)


@pytest.mark.parametrize(
    ("field", "path", "same", "other"),
    [
        ("of_string", "a%20b", '"a b"', '"a"'),
        ("maybe_string", "a", '"a"', '""'),
        ("of_int64", "7", "7", "8"),
        ("of_color", "2", '"GREEN"', '"RED"'),
        ("of_decimal", "1.50", "1.50", "1.5"),
        ("of_timestamp", "1970-01-01T01:00:00%2B01:00", f'"{EPOCH}"', f'"{EPOCH[:-2]}1Z"'),
        ("of_int64_value", "0", "0", "1"),
    ],
)
def test_the_body_may_repeat_what_the_path_says(
    field: str, path: str, same: str, other: str
) -> None:
    """A field of the path may be in the body too, if it is the same; another one is refused."""
    json_name = Kinds.DESCRIPTOR.fields_by_name[field].json_name
    more = {"body_field": "*", "template": f"/x/{{{field}}}", "path": f"/x/{path}"}
    assert request(body=f'{{"{json_name}": {same}}}', **more) == request(**more)
    assert refused(body=f'{{"{json_name}": {other}}}', **more) == (
        (json_name, "is another one in the body than in the path"),
    )


def test_the_path_excludes_what_the_body_may_not_have_with_it() -> None:
    """Of fields that exclude each other, the path's does not throw out the body's unnoticed."""
    assert refused(
        body='{"choiceString": "a"}', body_field="*", template="/x/{choice_int32}", path="/x/1"
    ) == (("choiceInt32", EXCLUDED),)


def test_what_the_query_may_not_have_with_the_body() -> None:
    """Of fields that exclude each other, the query's does not throw out the body's unnoticed."""
    assert refused("choice_int32=1", body='"a"', body_field="choice_string") == (
        ("choice_int32", EXCLUDED),
    )


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\x00"])
def test_a_raw_body_is_taken_as_it_is(body: bytes) -> None:
    """An `HttpBody` as the request or one of its fields takes any bytes, with their type."""
    http_body: Any = contract.message_class("google.api.HttpBody")
    raw = http_body(data=body, content_type="text/x; y=z")
    whole = binder("/x", "*", method="EchoHttpBody")
    assert whole.request((), b"", body, content_type="text/x; y=z") == raw
    field = binder("/x/{of_string}", "of_http_body")
    made: Any = field.request(
        (((("of_string",), "s")),), b"of_int32=1", body, content_type="text/x; y=z"
    )
    assert made == Kinds(of_string="s", of_int32=1, of_http_body=raw)
    empty: Any = field.request((), b"", b"")
    assert empty.HasField("of_http_body")
    with pytest.raises(Invalid, match="must be in the body"):
        whole.request((), b"data=AA", body)


def test_decimals_as_messages() -> None:
    """Where decimals are no numbers, a parameter names the field in them."""
    binding = Binding(contract.method("Echo"), "GET", parse("/x"), "", "")
    of = Binder(binding, Codec(Style(decimal_as_numbers=False)))
    assert of.request((), b"of_decimal.value=1.50", b"") == Kinds(of_decimal={"value": "1.50"})
    with pytest.raises(Invalid, match=HERE):
        of.request((), b"of_decimal=1.50", b"")


TEXTS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "of_string": ("many_string", st.text()),
    "of_bytes": ("many_bytes", st.binary()),
    "of_int64": ("many_int64", st.integers(-(2**63), 2**63 - 1)),
    "of_uint32": ("many_uint32", st.integers(0, 2**32 - 1)),
    "of_double": ("many_double", st.floats(allow_nan=False, allow_infinity=False)),
    "of_bool": ("many_bool", st.booleans()),
    "of_color": ("many_color", st.integers(-(2**31), 2**31 - 1)),
}


def as_text(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(st.data())
def test_what_a_client_encodes_arrives(data: st.DataObject) -> None:
    """Any values that a client's library writes into a query are set as they were."""
    one, many, inner, pairs = {}, {}, {}, []
    for name, (repeated, values) in TEXTS.items():
        one[name] = data.draw(values)
        many[repeated] = data.draw(st.lists(values, max_size=3))
        inner[name] = data.draw(values)
        pairs += [(name, one[name]), *((repeated, value) for value in many[repeated])]
        pairs.append((f"of_kinds.{name}", inner[name]))
    query = urllib.parse.urlencode([(name, as_text(value)) for name, value in pairs])
    assert request(query) == Kinds(**one, **many, of_kinds=inner)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*Kinds.DESCRIPTOR.fields_by_name, "of_kinds.of_small.size", "x", ""]),
            st.sampled_from(["1", "-1", "true", "", "RED", "a,b", "1.5s", "%", "%ff", "1,2"])
            | st.text(max_size=5).map(urllib.parse.quote),
        ),
        max_size=8,
    ),
    st.binary(max_size=10),
)
def test_any_query_is_set_or_refused(pairs: list[tuple[str, str]], noise: bytes) -> None:
    """Whatever bytes a query is of, the message is made, or the request is refused as invalid."""
    query = "&".join(f"{name}={text}" for name, text in pairs).encode()
    for one in (query, noise, query + b"&" + noise):
        try:
            made = binder().request((), one, b"")
        except Invalid as invalid:
            what = invalid.violations
        else:
            what = ((made.DESCRIPTOR.name, "made"),)
        assert what
        assert all(name and text for name, text in what)


@pytest.mark.parametrize(
    ("start", "one"),
    [
        ("", "many_int32=1&"),
        ("", "many_string=a&of_small.tags=b&"),
        ("", "no_such=1&"),
        ("", "of_int32=1&"),
        ("many_int32=1", ",1"),
        ("of_string=", "%41"),
        ("of_string=", "%"),
        ("", "of_kinds."),
        ("", "&"),
    ],
)
def test_a_query_costs_no_more_than_it_is_long(start: str, one: str) -> None:
    """What is ten times as long takes ten times the steps at most, right or wrong."""
    of = binder()

    def ask(times: int) -> None:
        with contextlib.suppress(Invalid):
            of.request((), (start + one * times).encode(), b"")

    ask(1)
    few, many = (steps(partial(ask, times), "gateway") for times in (100, 1_000))
    assert few <= many <= 11 * few


def test_what_proto2_requires() -> None:
    """A field that the contract requires is named when it is missing."""
    option: Any = descriptor_pb2.UninterpretedOption.DESCRIPTOR
    method: Any = SimpleNamespace(input_type=option, full_name="x")
    made = Binder(Binding(method, "POST", parse("/x"), "*", ""), CODEC)
    with pytest.raises(Invalid) as raised:
        made.request((), b"", b'{"name": [{"namePart": "a"}]}')
    assert raised.value.violations == (("name[0].is_extension", "is required"),)
