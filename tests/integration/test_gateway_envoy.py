"""The gateway side by side with Envoy's `grpc_json_transcoder`, in front of one server.

The request that the server sees and the answer must agree, but for what is decided:

- Error bodies are our own (design, section 7): of refusals only the status is compared.
- 64-bit integers and decimals are numbers in our JSON; both are switched off here, and
  `test_numbers_are_the_two_differences_of_the_answers` shows them.
- `OTHER` are requests that go otherwise, by hand, each group with the reason.
- `STRICTER` is what the gateway says when it alone refuses a generated request.
"""

import json
import re
import struct
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from support import envoy
from support.echo import Outcome, Pair, Request, pair
from support.gateway_requests import bodies, paths, queries

GENERATED = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SEARCH = "/v1/search?"
TYPES = "type.googleapis.com"


def get(path: str) -> Request:
    return Request("GET", path)


def search(query: str) -> Request:
    return get(SEARCH + query)


def create(body: str | bytes) -> Request:
    return Request("POST", "/v1/things", body.encode() if isinstance(body, str) else body)


PATHS = [
    *map(
        get,
        [
            *("/", "/v1", "/v1/things/", "/v1/nothing", "/v1/things/a/parts", "//", "/v1/"),
            *("/v1/things/a", "/v1/things/first", "/v1/things/firsts", "/v1/things/a:other"),
            *("/v1/things/a%2Fb", "/v1/things/a%2fb", "/v1/things/a%20b", "/v1/things/a+b"),
            *("/v1/things/%E2%82%AC", "/v1/things/a%3Ab", "/v1/things/a%25b", "/v1/things/."),
            *("/v1/things/a/parts/b", "/v1/things/first/parts/b", "/v1/things/parts/parts/parts"),
            *("/v1/shelves/1/books/2", "/v1/shelves/1%2F3/books/2%20x", "/v1/shelves/1/books/"),
            *("/v1/shelves/1/books", "/v1/shelves/1/books/2/3"),
            *("/v1/files", "/v1/files/a", "/v1/files/a/b/c", "/v1/files/a//b"),
            *("/v1/files/a%2Fb/c%20d", "/v1/files/a%2fb", "/v1/files/%252F"),
            *("/v1/projects/p/files", "/v1/projects/p/files/x", "/v1/projects/p/files/x%2Fy/z"),
            *("/v1/starred/x/y/z", "/v1/starred/x/y", "/v1/anything", "/v1/anything/x/y:z"),
            *("/v1/typed/1/2/true/RED/1.5", "/v1/typed/%31/2/true/RED/1"),
            *("/v1/typed/-1/9007199254740993/false/2/-1e3", "/v1/typed/1/2/true/RED/NaN"),
            *("/v1/typed/x/2/true/RED/1", "/v1/typed/1/2/true/red/1"),
        ],
    ),
    Request("PROPFIND", "/v1/things/a"),
    Request("DELETE", "/v1/things/a?small=1"),
    Request("POST", "/v1/things/a:cancel", b'{"small": 1}'),
    Request("POST", "/v1/things/a:cancel"),
    Request("POST", "/v1/things/a:b:cancel", b"{}"),
    Request("POST", "/v1/files/a/b:move", b'{"size": 1}'),
    Request("POST", "/v1/files:move", b'{"size": 1}'),
    Request("POST", "/v1/nothing", b"{}"),
    Request("PUT", "/v1/things/a?small=3", b'{"size": 3}'),
    Request("PATCH", "/v1/things/a", b'{"small": 3}'),
    Request("PATCH", "/v1/things/a", b'{"name": "a"}'),
    Request("PATCH", "/v1/things/a", b'{"name": "b"}'),
    Request("POST", "/v1/inners", b'[{"name": "a"}, {"size": 2}]'),
    Request("POST", "/v1/inner/n?small=2", b'{"name": "x"}'),
    Request("POST", "/v1/inner/n", b'{"name": 1}'),
]
QUERIES = [
    *("", "&&name=a&", "name=a=b", "name=", "name", "name=a+b", "name=a%2Bb", "name=a%20b"),
    *("name=%E2%82%AC", "name=%26%3D", "name=a;small=1", "name=a/b?c", "Name=1", ".name=1"),
    *("small=1", "small=", "small=-0", "small=%31", "small=x", "small=0x10", "small=2147483648"),
    *("big=9223372036854775807", "big=9223372036854775808", "big=1.5", "huge=-1"),
    *("huge=18446744073709551615", "ratio=1.5", "ratio=NaN", "ratio=Infinity", "ratio=inf"),
    *("ratio=1e400", "ratio=5e-324", "ratio=", "ratio32=1e39", "flag=true", "flag=false", "flag="),
    *("data=AAE=", "data=AAE", "data=_-8=", "data=*", "data=", "color=RED", "color=1"),
    *("color=red", "color=NOPE", "color=", "colors=RED&colors=2", "names=a&names=b", "names=a,b"),
    *("smallNumbers=1&smallNumbers=2", "small_numbers=1", "inner.name=x", "inner.unknown=1"),
    *("inner.inner.name=y&inner.size=3", "inner.tags=a&inner.tags=b", "inner=x", "inner.=1"),
    *("inner..name=1", "name.x=1", "unknown=1", "labels=x", "labels.a=x", "labels[a]=x"),
    *("seenAt=2026-11-16T10:30:00Z", "seen_at=2026-11-16T10:30:00.5%2B01:00", "seenAt=x"),
    *("seenAt=", "lasting=1.5s", "lasting=1.5", "mask=name,smallNumbers", "text=x", "text="),
    *("count=5", "count=x", "truth=true", "structure=x", "any=x", "word=a", "number=1"),
    *("word=a&number=1", "nested.name=x", "nested.name=x&word=a", "maybe=", "maybe_number=0"),
    *("maybeNumber=0", "price.value=1.50"),
]
BODIES = [
    *("", "{}", "[]", "1", '"x"', "{", "x", '{"name": "a"} x', '{"name": "a"', ' {"name" : "a"} '),
    '{"name": "a", "small": 1, "big": "2", "huge": 3, "ratio": 1.5, "flag": true}',
    '{"data": "AAE=", "color": "RED", "names": ["a", "b"], "smallNumbers": [1, "2"]}',
    *('{"small": "1"}', '{"small": 1.0}', '{"small": 1e2}', '{"small": 1.5}', '{"small": null}'),
    *('{"small": true}', '{"small": "x"}', '{"small": 01}', '{"small": +1}', '{"small": -0}'),
    *('{"small": 2147483648}', '{"small": ""}', '{"small": " 1"}', '{"small": 1e999999}'),
    *('{"big": 9223372036854775807}', '{"big": "9223372036854775808"}', '{"huge": -1}'),
    *('{"big": 9007199254740993}', '{"ratio": NaN}', '{"ratio": "NaN"}', '{"ratio": "1.5"}'),
    *('{"ratio": "Infinity"}', '{"ratio": 1e400}', '{"ratio32": 1e39}', '{"ratio": "x"}'),
    *('{"ratio": -0.0}', '{"name": 1}', '{"name": null}', '{"flag": 1}', '{"color": 1}'),
    *('{"color": "red"}', '{"color": 9}', '{"colors": ["RED", 2]}', '{"colors": ["NOPE"]}'),
    *('{"data": "AAE"}', '{"data": "_-8"}', '{"data": "*"}', '{"names": []}', '{"names": null}'),
    *('{"labels": {"a": "b"}}', '{"labels": {"a": "b", "a": "c"}}', '{"labels": []}'),
    *('{"numbered": {"1": {"name": "a"}}}', '{"numbered": {"x": {}}}'),
    *('{"seenAt": "2026-11-16T10:30:00Z"}', '{"seenAt": "2026-11-16"}', '{"seenAt": null}'),
    '{"seen_at": "2026-11-16T10:30:00.123456789+01:00"}',
    *('{"lasting": "1.5s"}', '{"lasting": "-1.5s"}', '{"lasting": "1"}'),
    *('{"mask": "a,smallNumbers"}', '{"text": "x"}', '{"text": null}', '{"truth": false}'),
    *('{"count": 5}', '{"count": "5"}', '{"structure": {"a": [1, null, "x", {"b": true}]}}'),
    *('{"value": null}', '{"value": [1, 2]}', '{"any": {"@type": "a/nope.Nope"}}', '{"any": {}}'),
    '{"any": {"@type": "type.googleapis.com/holdfast.echo.v1.Inner", "name": "x"}}',
    *('{"word": "a", "number": 1}', '{"word": "a", "number": null}', '{"nested": {}}'),
    *('{"maybe": ""}', '{"maybe_number": 0}', '{"maybe": null}', '{"price": {"value": "1.50"}}'),
    *('{"inner": {"inner": {"name": "x"}}}', '{"inner": null}', '{"inner": []}', '{"inner": ""}'),
    *('{"inners": [{}]}', "// c\n{}", '{"name": "€"}', '{"name": "\\ud83d\\ude00"}'),
    *('{"name": "\\ud83d"}', '{"name": "\\u0000"}', '\ufeff{"name": "a"}', "null"),
]
SAME = [*PATHS, *map(search, QUERIES), *map(create, BODIES), create(b'{"name": "\xff"}')]

# By the reason: the requests, with the status of ours and that of Envoy.
OTHER: dict[str, list[tuple[Request, int, int]]] = {
    "a path is taken as it is written: a '/' at its end is an empty segment": [
        (get("/v1/things/a/"), 404, 200),
        (get("/v1/files/a/b/"), 200, 200),
        (get("/v1/projects/p/files/"), 200, 200),
        (Request("POST", "/v1/files/:move", b"{}"), 200, 200),
    ],
    "no '*' takes an empty segment: nothing has an empty name": [
        (get("/v1/things//parts/x"), 404, 200),
        (get("/v1/projects//files/x"), 404, 200),
    ],
    "where other methods are allowed, 405 says which": [
        (get("/v1/things"), 405, 404),
        (get("/v1/things/a:cancel"), 405, 404),
        (Request("PUT", "/v1/search"), 405, 404),
        (Request("POST", "/v1/things/a%3Acancel", b"{}"), 405, 404),
        (Request("POST", "/v1/things/:cancel", b"{}"), 405, 404),
    ],
    "a ':' is one of a verb where a route has that verb, and else a part of its segment": [
        (get("/v1/files/a:cancel"), 200, 404),
        (get("/v1/anything/a:move"), 200, 404),
    ],
    "HEAD is GET without the body (RFC 9110); OPTIONS says what is allowed": [
        (Request("HEAD", "/v1/search"), 200, 404),
        (Request("OPTIONS", "/v1/search"), 204, 404),
    ],
    "what is no encoding of a text is refused, not passed on": [
        (get("/v1/things/%zz"), 400, 200),
        (get("/v1/things/%"), 400, 200),
        (search("name=%zz"), 400, 200),
        (search("name=%"), 400, 200),
        (get("/v1/things/%FF"), 400, 500),
        (search("name=%FF"), 400, 500),
    ],
    "the names of parameters may be encoded too": [(search("inner%2Ename=x"), 200, 400)],
    "a parameter is never left out unnoticed": [
        (search("small"), 400, 200),
        (search("=x"), 400, 200),
    ],
    "a value is never overwritten unnoticed": [
        (search("small=1&small=2"), 400, 200),
        (search("name=a&name=b"), 400, 200),
        (get("/v1/things/a?name=b"), 400, 200),
        (get("/v1/things/a?name=a"), 400, 200),
        (create('{"name": "a", "name": "b"}'), 400, 200),
        (create('{"small_numbers": [1], "smallNumbers": [2]}'), 400, 200),
    ],
    "what is the body's to say is not the query's (google.api.http)": [
        (Request("PATCH", "/v1/things/a?small=3", b"{}"), 400, 200),
        (Request("POST", "/v1/inner/n?inner.size=3", b'{"name": "x"}'), 400, 200),
    ],
    "a method without a body takes none": [
        (Request("DELETE", "/v1/things/a", b"{}"), 400, 200),
    ],
    "a body that is absent leaves its field absent": [
        (Request("POST", "/v1/inner/n"), 200, 200),
    ],
    "comma lists for repeated integers": [(search("smallNumbers=1,2"), 200, 400)],
    "an enum that this gateway does not know may be known to the service": [
        (search("color=9"), 200, 400),
        (get("/v1/typed/1/2/true/7/1"), 200, 400),
    ],
    "integers have one notation in paths, queries and bodies: that of JSON": [
        (get("/v1/typed/1.0/2/true/RED/1"), 200, 400),
        (search("big=1e3"), 200, 400),
        (search("small=1.0"), 200, 400),
        (search("small=%2B1"), 400, 200),
        (search("small=01"), 400, 200),
        (get("/v1/typed/+1/2/true/RED/1"), 400, 200),
        (get("/v1/typed/01/2/true/RED/1"), 400, 200),
        (search("ratio=.5"), 400, 200),
        (search("ratio=1."), 400, 200),
    ],
    "true and false have one notation": [
        (search("flag=1"), 400, 200),
        (search("flag=True"), 400, 200),
        (get("/v1/typed/1/2/1/RED/1"), 400, 200),
        (create('{"flag": "true"}'), 400, 200),
    ],
    "a well-known type has its JSON form, and not its fields too": [
        (search("seenAt.seconds=5"), 400, 200),
        (search("lasting.seconds=3"), 400, 200),
        (search("mask.paths=a"), 400, 200),
        (search("text.value=x"), 400, 200),
        (search("count.value=5"), 400, 200),
        (create('{"seenAt": {"seconds": 1}}'), 400, 200),
        (create('{"text": {"value": "x"}}'), 400, 200),
    ],
    "the paths of a field mask are in lowerCamelCase": [
        (search("mask=small_numbers"), 400, 200),
        (create('{"mask": "a_b"}'), 400, 200),
    ],
    "each hump of it is a word, as in json_format": [
        (search("mask=ABC"), 200, 200),
    ],
    "a parameter is one value: no free one, and none of a list of messages": [
        (search("value=x"), 400, 200),
        (search("inners.name=x"), 400, 200),
    ],
    "unknown members are refused by name": [
        (create('{"unknown": 1}'), 400, 200),
        (create('{"inner": {"unknown": 1}}'), 400, 200),
    ],
    "the body is JSON as RFC 8259 has it": [
        (create('{name: "a"}'), 400, 200),
        (create("{'name': 'a'}"), 400, 200),
        (create('{"name": "a",}'), 400, 200),
        (create('{"name": "a\tb"}'), 400, 200),
    ],
    "lists are lists, and hold no null; a name or a number is no number in quotes": [
        (create('{"names": ["a", null]}'), 400, 200),
        (create('{"names": "a"}'), 400, 200),
        (create('{"inners": [null]}'), 400, 200),
        (create('{"inners": {}}'), 400, 200),
        (create('{"labels": {"a": null}}'), 400, 200),
        (create('{"color": "1"}'), 400, 200),
    ],
    "an integer is never a float in between": [
        (create('{"big": 9007199254740993.0}'), 200, 200),
    ],
    "within an Any, too, what is zero is not written": [
        (
            create(f'{{"any": {{"@type": "{TYPES}/google.protobuf.Duration", "value": "1s"}}}}'),
            200,
            200,
        ),
    ],
    "any address may stand before the name of a type": [
        (create('{"any": {"@type": "a/holdfast.echo.v1.Inner"}}'), 200, 400),
    ],
    "no request needs more than 64 levels": [
        (create('{"inner": ' * 70 + "{}" + "}" * 70), 400, 200),
    ],
}

# What ours says when it alone refuses, with the reason.
STRICTER = {
    "must be followed by two hexadecimal digits": "no encoding of a text",
    "must be UTF-8": "no encoding of a text",
    "must be an integer": "one notation of numbers",
    "must be a number": "one notation of numbers",
    "must be true or false": "one notation of them",
    "is given more than once": "nothing is overwritten unnoticed",
    "is given twice": "nothing is overwritten unnoticed",
    "is in the path already": "nothing is overwritten unnoticed",
    "must be in the body": "google.api.http",
    "is not known": "nothing is left out unnoticed; no fields of well-known types",
    "cannot be given here": "a parameter is one value",
    "must be names in lowerCamelCase": "proto3 JSON",
    "must be one of": "no number in quotes",
    "must be a string": "no null in lists and maps, no fields of wrappers",
    "must be a list": "a list is a list",
    "must be an object": "no null in lists",
    "must be a time such as": "RFC 3339, and no fields of a time",
    "must be a duration such as": "proto3 JSON, and no fields of a duration",
    "must be in base64": "a space is no letter of it",
    "is not valid JSON": "RFC 8259",
    "this method takes no body": "a method without a body takes none",
}

# What Envoy says when it alone refuses, with the reason.
LAXER = {
    r'"[^"]*[.eE,][^"]*" for type TYPE_U?INT(32|64)': "the notations of JSON, and comma lists",
    r'"[-+0-9.eE]+" for type .*Color': "the service may know it; and the notations of JSON",
    r"resolve .*:(cancel|move) to a method": "a verb only where there is one",
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    envoy.require()
    folder = tmp_path_factory.mktemp("echo")
    with pair(folder, int64_as_numbers=False, decimal_as_numbers=False) as both:
        yield both


@pytest.fixture(autouse=True)
def _echoing(both: Pair) -> None:
    both.tell(None)


def _is_same(ours: Outcome, theirs: Outcome) -> bool:
    if (ours.called, ours.status) != (theirs.called, theirs.status):
        return False
    return ours.request == theirs.request and (not ours.called or _data(ours) == _data(theirs))


def _data(outcome: Outcome) -> Any:
    """The answer as data. A float of 32 bits has many texts: it is taken as its bits."""
    data = outcome.data
    if isinstance(data, dict) and isinstance(data.get("ratio32"), float | int):
        data["ratio32"] = struct.pack("<f", data["ratio32"] + 0.0)
    return data


@pytest.mark.parametrize("request_", SAME, ids=lambda one: f"{one.method} {one.path} {one.body}")
def test_both_gateways_do_the_same(both: Pair, request_: Request) -> None:
    """The server sees the same request through both, and both give its answer the same."""
    ours, theirs = both.ours(request_), both.theirs(request_)
    assert _is_same(ours, theirs), f"{ours}\n{theirs}"


@pytest.mark.parametrize("reason", OTHER)
def test_decided_differences_are_differences(both: Pair, reason: str) -> None:
    """What is decided to be otherwise is so, and only as it is written."""
    for request, ours_status, theirs_status in OTHER[reason]:
        ours, theirs = both.ours(request), both.theirs(request)
        assert (ours.status, theirs.status) == (ours_status, theirs_status), f"{ours}\n{theirs}"
        assert not _is_same(ours, theirs), request


def _require_agreement(both: Pair, request: Request) -> None:
    ours, theirs = both.ours(request), both.theirs(request)
    said = json.loads(ours.body)["message"] if ours.status >= 400 else ""
    if not ours.called and not theirs.called:
        agree = ours.status == theirs.status or (ours.status, theirs.status) == (405, 404)
    elif not ours.called:
        agree = any(what in said for what in STRICTER)
    elif not theirs.called:
        agree = any(re.search(what, theirs.body.decode()) for what in LAXER)
    else:
        agree = _is_same(ours, theirs)
    assert agree, f"{request}\n{ours}\n{theirs}"


@given(paths())
@GENERATED
def test_generated_paths_lead_both_to_the_same(both: Pair, request_: Request) -> None:
    """Whatever the path, both call the same method with the same texts, or neither calls."""
    _require_agreement(both, request_)


@given(queries())
@GENERATED
def test_generated_queries_mean_the_same_to_both(both: Pair, request_: Request) -> None:
    """Whatever the query, both make the same request of it, or ours refuses it for a reason."""
    _require_agreement(both, request_)


@given(bodies())
@GENERATED
def test_generated_bodies_are_read_and_written_the_same(both: Pair, request_: Request) -> None:
    """Whatever the body, both make the same request of it, and of that the same answer."""
    _require_agreement(both, request_)


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/v1/raw", b"\x00\xff", "application/x-bytes"),
        Request("POST", "/v1/raw", b'{"a": 1}', "application/json"),
        Request("POST", "/v1/raw"),
        Request("PUT", "/v1/raw/n", b"bytes", "text/plain; charset=utf-8"),
        Request("PUT", "/v1/raw/n?part_number=3", b"bytes", "text/plain"),
        Request("GET", "/v1/raw/a%2Fb"),
    ],
    ids=lambda one: f"{one.method} {one.path} {one.body}",
)
def test_raw_bodies_pass_both_as_they_are(both: Pair, request_: Request) -> None:
    """An HttpBody is its bytes and its type, both ways."""
    if not request_.path.startswith("/v1/raw/") or request_.method == "GET":
        both.tell(both.types.new("google.api.HttpBody", content_type="x/y", data=b"\x00\xff{"))
    else:
        both.tell(both.types.new("Thing", name="kept"))
    ours, theirs = both.ours(request_), both.theirs(request_)
    assert (ours.called, ours.request) == (theirs.called, theirs.request)
    assert (ours.status, ours.content_type) == (theirs.status, theirs.content_type)
    if ours.content_type == "x/y":
        assert ours.body == theirs.body
    else:
        assert ours.data == theirs.data


# google.rpc says 400 and 499; where ours is another one, for the reason.
OTHER_CODES = {
    grpc.StatusCode.FAILED_PRECONDITION: (409, 400),  # the state is wrong, not the request
}


@pytest.mark.parametrize(
    "code", [one for one in grpc.StatusCode if one != grpc.StatusCode.OK], ids=lambda one: one.name
)
def test_both_tell_failures_by_the_same_status(both: Pair, code: grpc.StatusCode) -> None:
    """A code of gRPC is the same status of HTTP through both."""
    both.fail(code, "no")
    ours, theirs = both.ours(search("name=a")), both.theirs(search("name=a"))
    assert ours.called == theirs.called == "Search"
    if code in OTHER_CODES:
        assert (ours.status, theirs.status) == OTHER_CODES[code]
    else:
        assert ours.status == theirs.status


def test_numbers_are_the_two_differences_of_the_answers(
    both: Pair, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By default 64-bit integers and decimals are numbers, and nothing else differs."""
    body = '{"name": "a", "big": 5, "huge": 6, "count": "7", "price": {"value": "1.50"}}'
    theirs = both.theirs(create(body)).data
    with pair(tmp_path_factory.mktemp("numbers")) as usual:
        answer = usual.ours(create(body))
    assert theirs["price"] == {"value": "1.50"}
    ours = answer.data
    differing = {name: ours[name] for name in ours if ours[name] != theirs[name]}
    assert differing == {"big": 5, "huge": 6, "count": 7, "price": 1.5}
    assert b'"price":1.50' in answer.body
    assert [theirs[name] for name in ("big", "huge", "count")] == ["5", "6", "7"]
