"""Requests to the contract of `echo.proto`, generated: right ones, and wrong ones near to them."""

import json
from urllib.parse import quote

from hypothesis import strategies as st

from support.echo import Request

# The words of the templates: a path of them is likely to be one.
WORDS = [
    *("things", "first", "parts", "shelves", "books", "files", "projects", "starred", "anything"),
    *("typed", "search", "inner", "inners", "raw", "v1"),
]
# Of paths with variables; none: the words find their own.
BEGINNINGS = [
    *([], ["things"], ["files"], ["projects", "p", "files"], ["shelves"], ["starred", "x"]),
]
SIGNS = "aZ09-._~!$&'()*+,;=:@%/ \"<>[]{}|\\^`?#€\U0001f600"
TRICKY = st.lists(st.sampled_from(["/", " ", "+", "%", "%2F", ":", "a", "€"]), max_size=3)
TEXTS = TRICKY.map("".join) | st.text(st.sampled_from(SIGNS), max_size=6)
# What of a text is percent-encoded: what must be, or everything.
ALL = "all"
HOW = st.sampled_from(["some", ALL])
NUMBERS = st.sampled_from(
    ["0", "1", "-1", "7", "2147483647", "2147483648", "-2147483648", "9223372036854775807", "1.5"]
)


def _encoded(text: str, how: str) -> str:
    if how == ALL:
        return "".join(f"%{byte:02X}" for byte in text.encode())
    return quote(text, safe="-._~!$&'()*+,;=:@")


SEGMENTS = st.builds(_encoded, TEXTS, HOW).filter(bool)


@st.composite
def paths(draw: st.DrawFn) -> Request:
    """A request by its path."""
    begun = draw(st.sampled_from(BEGINNINGS))
    rest = st.lists(SEGMENTS | st.sampled_from(WORDS) | NUMBERS, min_size=1, max_size=4)
    segments = [*begun, *draw(rest)]
    verb = draw(st.sampled_from(["", "", "", ":cancel", ":move", ":"]))
    method = draw(st.sampled_from(["GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE"]))
    body = b"{}" if method in ("POST", "PUT", "PATCH") else b""
    return Request(method, f"/v1/{'/'.join(segments)}{verb}", body)


TEXT_NAMES = ["name", "names", "inner.name", "inner.tags", "text", "word", "maybe"]
NAMES = [
    *("name", "small", "big", "huge", "ratio", "flag", "data", "color", "names", "smallNumbers"),
    *("small_numbers", "colors", "inner.name", "inner.inner.size", "inner.tags", "inner", "labels"),
    *("seenAt", "seen_at", "lasting", "text", "count", "truth", "word", "number"),
    *("nested.size", "maybe", "maybeNumber", "price.value", "unknown"),
]
MASKS = ["", "name", "inner.name,smallNumbers"]
VALUES = NUMBERS | st.sampled_from(
    [
        *("true", "false", "RED", "GREEN", "", "AAE=", "_-8", "a,b", "1.5s", "-0.001s", "1e3"),
        *("2026-11-16T10:30:00Z", "1969-12-31T23:59:59.999+05:30", "NaN"),
    ]
)


@st.composite
def queries(draw: st.DrawFn) -> Request:
    """A search by its query."""
    one = (
        st.tuples(st.sampled_from(TEXT_NAMES), TEXTS, HOW)
        | st.tuples(st.sampled_from(NAMES), VALUES | TEXTS, HOW)
        | st.tuples(st.just("mask"), st.sampled_from(MASKS), HOW)
    )
    pairs = draw(st.lists(one, min_size=1, max_size=4))
    query = "&".join(f"{name}={_value(value, how)}" for name, value, how in pairs)
    return Request("GET", f"/v1/search?{query}")


def _value(text: str, how: str) -> str:
    return _encoded(text, how).replace("+", "%2B").replace("&", "%26").replace("%20", "+")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ODD = st.sampled_from([None, True, 1, "1", "x", [], {}, [None], 1.5, "true", {"name": "a"}])
INTEGERS_32 = st.integers(-(2**31), 2**31 - 1)
INTEGERS_64 = st.integers(-(2**63), 2**63 - 1)


def _either(integers: st.SearchStrategy[int]) -> st.SearchStrategy[object]:
    """Numbers as they are, or in quotes."""
    return integers | integers.map(str)


INNER = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "name": TEXT,
            "size": _either(INTEGERS_32),
            "tags": st.lists(TEXT, max_size=2),
        },
    ),
    lambda inner: st.fixed_dictionaries({}, optional={"inner": inner, "name": TEXT}),
    max_leaves=3,
)
FREE = st.recursive(
    st.none() | st.booleans() | TEXT | INTEGERS_32,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
TIMES = st.datetimes().map(lambda time: f"{time.isoformat(timespec='microseconds')}Z")
FIELDS = {
    "name": TEXT,
    "small": _either(INTEGERS_32),
    "big": _either(INTEGERS_64),
    "huge": _either(st.integers(0, 2**64 - 1)),
    "ratio": st.floats(allow_nan=False, allow_infinity=False),
    "ratio32": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "flag": st.booleans(),
    "data": st.sampled_from(["", "AAE=", "_-8=", "AAE"]),
    "color": st.sampled_from(["RED", "GREEN", 0, 2, 9, "NOPE"]),
    "names": st.lists(TEXT, max_size=3),
    "smallNumbers": st.lists(_either(INTEGERS_32), max_size=3),
    "colors": st.lists(st.sampled_from(["RED", 2]), max_size=3),
    "inner": INNER,
    "inners": st.lists(INNER, max_size=2),
    "labels": st.dictionaries(TEXT, TEXT, max_size=2),
    "numbered": st.dictionaries(INTEGERS_32.map(str), INNER, max_size=2),
    "seenAt": TIMES,
    "lasting": st.sampled_from(["0s", "1.5s", "-0.000000001s", "315576000000s"]),
    "mask": st.sampled_from(MASKS),
    "text": TEXT,
    "count": _either(INTEGERS_64),
    "truth": st.booleans(),
    "structure": st.dictionaries(TEXT, FREE, max_size=2),
    "value": FREE,
    "maybe": TEXT,
    "maybeNumber": _either(INTEGERS_32),
    "price": st.fixed_dictionaries({"value": st.sampled_from(["1.50", "-0", "1e3"])}),
}


@st.composite
def bodies(draw: st.DrawFn) -> Request:
    """A thing to create, with a member now and then that does not fit."""
    names = draw(st.lists(st.sampled_from(list(FIELDS)), max_size=4, unique=True))
    body = {name: draw(FIELDS[name]) for name in names}
    if draw(st.integers(0, 4)) == 0:
        body[draw(st.sampled_from(list(FIELDS)))] = draw(ODD)
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    return Request("POST", "/v1/things", text.encode())
