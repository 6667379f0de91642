"""The router: the most particular route that fits, whatever the order and the number of routes."""

import itertools
import re
import tracemalloc
import urllib.parse
from collections.abc import Callable, Iterable
from functools import partial

import pytest
import support.steps
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Invalid, NoRoute, WrongMethod
from gateway.router import METHODS, RouteConflict, Router
from gateway.template import Template, parse

# More segments than any header of a request has room for.
SEGMENTS_MANY = 100_000


def router(*routes: str) -> Router[str]:
    """A router whose targets are the routes themselves, as 'GET /v1/{id}'."""
    made: Router[str] = Router()
    for route in routes:
        method, template = route.split()
        made.add(method, parse(template), route)
    return made


def taken(of: Router[str], method: str, path: str) -> tuple[str, dict[str, str]] | str:
    """The route and its variables, or why there is none."""
    try:
        found = of.match(method, path.encode())
    except NoRoute:
        return "NoRoute"
    except WrongMethod as refused:
        return refused.headers["allow"]
    return found.target, {".".join(path): text for path, text in found.variables}


ROUTES = [
    "GET /v1/bookings",
    "POST /v1/bookings",
    "GET /v1/bookings/{id}",
    "DELETE /v1/bookings/{id}",
    "GET /v1/bookings/me",
    "POST /v1/bookings/{id}:cancel",
    "GET /v1/bookings/{id}/seats/{seat.number}",
    "GET /v1/{name=files/**}",
    "GET /v1/{name=files/**}:download",
    "GET /v1/{parent=shelves/*}/books",
    "PURGE /v1/cache",
    "* /v1/pages/**",
    "POST /v1/pages/new",
    "GET /v2/*/x/{b}",
    "POST /v2/a/x/{b}",
    "GET /v2/{rest=**}",
    "GET /",
]
TAKEN = {
    "GET /v1/bookings": ("GET /v1/bookings", {}),
    "HEAD /v1/bookings": ("GET /v1/bookings", {}),
    "PUT /v1/bookings": "GET, HEAD, POST",
    "GET /v1/bookings/7": ("GET /v1/bookings/{id}", {"id": "7"}),
    "GET /v1/bookings/me": ("GET /v1/bookings/me", {}),
    "DELETE /v1/bookings/me": ("DELETE /v1/bookings/{id}", {"id": "me"}),
    "GET /v1/bookings/m%65": ("GET /v1/bookings/{id}", {"id": "me"}),
    "PATCH /v1/bookings/me": "DELETE, GET, HEAD",
    "POST /v1/bookings/7:cancel": ("POST /v1/bookings/{id}:cancel", {"id": "7"}),
    "POST /v1/bookings/a:b:cancel": ("POST /v1/bookings/{id}:cancel", {"id": "a:b"}),
    "GET /v1/bookings/7:cancel": "POST",
    "GET /v1/bookings/7%3Acancel": ("GET /v1/bookings/{id}", {"id": "7:cancel"}),
    "GET /v1/bookings/7:close": ("GET /v1/bookings/{id}", {"id": "7:close"}),
    "GET /v1/bookings/7:download": ("GET /v1/bookings/{id}", {"id": "7:download"}),
    "GET /v1/bookings/7:": ("GET /v1/bookings/{id}", {"id": "7:"}),
    "GET /v1/bookings:cancel": "NoRoute",
    "GET /v1/bookings/:cancel": ("GET /v1/bookings/{id}", {"id": ":cancel"}),
    "GET /v1/bookings/7/seats/A%2F1": (
        "GET /v1/bookings/{id}/seats/{seat.number}",
        {"id": "7", "seat.number": "A/1"},
    ),
    # Nothing is normalised, and no name is empty.
    "GET /v1/bookings/": "NoRoute",
    "GET /v1/bookings//": "NoRoute",
    "GET /v1//bookings": "NoRoute",
    "GET //v1/bookings": "NoRoute",
    "GET /v1/./bookings": "NoRoute",
    "GET /v1/x/../bookings": "NoRoute",
    "GET /v1/bookings/..": ("GET /v1/bookings/{id}", {"id": ".."}),
    "GET /v1/bookings//seats/1": "NoRoute",
    "GET /v1/bookings/7/seats/": "NoRoute",
    "GET /V1/bookings": "NoRoute",
    "GET /v1/%62ookings": "NoRoute",
    "get /v1/bookings": "GET, HEAD, POST",
    "GET /v1": "NoRoute",
    "GET v1/bookings": "NoRoute",
    "GET http://x/v1/bookings": "NoRoute",
    "GET *": "NoRoute",
    "GET :download": "NoRoute",
    "GET /v1/files": ("GET /v1/{name=files/**}", {"name": "files"}),
    "GET /v1/files/": ("GET /v1/{name=files/**}", {"name": "files/"}),
    "GET /v1/files/a//b/": ("GET /v1/{name=files/**}", {"name": "files/a//b/"}),
    "GET /v1/files/../x": ("GET /v1/{name=files/**}", {"name": "files/../x"}),
    "GET /v1/files/a:b": ("GET /v1/{name=files/**}", {"name": "files/a:b"}),
    "GET /v1/files/a:download/b": ("GET /v1/{name=files/**}", {"name": "files/a:download/b"}),
    "GET /v1/files/a/b:download": (
        "GET /v1/{name=files/**}:download",
        {"name": "files/a/b"},
    ),
    "GET /v1/files:download": ("GET /v1/{name=files/**}:download", {"name": "files"}),
    "GET /v1/files/a%2Fb%2fc%20d": ("GET /v1/{name=files/**}", {"name": "files/a%2Fb%2fc d"}),
    "GET /v1/shelves/%C3%A4%2F/books": (
        "GET /v1/{parent=shelves/*}/books",
        {"parent": "shelves/ä%2F"},
    ),
    "PURGE /v1/cache": ("PURGE /v1/cache", {}),
    "GET /v1/cache": "PURGE",
    "POST /v1/pages/new": ("POST /v1/pages/new", {}),
    "GET /v1/pages/new": ("* /v1/pages/**", {}),
    "BREW /v1/pages": ("* /v1/pages/**", {}),
    # The literal way has no GET at its end: back to the other one.
    "GET /v2/a/x/1": ("GET /v2/*/x/{b}", {"b": "1"}),
    "POST /v2/a/x/1": ("POST /v2/a/x/{b}", {"b": "1"}),
    "GET /v2/a/y/1": ("GET /v2/{rest=**}", {"rest": "a/y/1"}),
    "GET /v2/a/x": ("GET /v2/{rest=**}", {"rest": "a/x"}),
    "GET /v2/a/x/1/2": ("GET /v2/{rest=**}", {"rest": "a/x/1/2"}),
    "GET /v2": ("GET /v2/{rest=**}", {"rest": ""}),
    "POST /v2/b/x/1": "GET, HEAD",
    "GET /": ("GET /", {}),
    "GET //": "NoRoute",
}


@pytest.mark.parametrize("request_line", TAKEN)
def test_a_request_takes_its_route(request_line: str) -> None:
    """Each request takes the route that the rules name, with these variables, or is refused."""
    assert taken(router(*ROUTES), *request_line.split(" ")) == TAKEN[request_line]


@given(st.permutations(ROUTES))
def test_the_order_of_routes_has_no_part_in_it(routes: list[str]) -> None:
    """In whatever order routes are added, every request takes the same one."""
    shuffled = router(*routes)
    for line, expected in TAKEN.items():
        assert taken(shuffled, *line.split(" ")) == expected, line


def test_the_methods_of_a_path() -> None:
    """The methods of a path are those that match it, GET with HEAD; all for an open rule."""
    of = router(*ROUTES)
    assert of.methods(b"/v1/bookings") == {"GET", "HEAD", "POST"}
    assert of.methods(b"/v1/bookings/me") == {"GET", "HEAD", "DELETE"}
    assert of.methods(b"/v1/bookings/7:cancel") == {"POST"}
    assert of.methods(b"/v1/pages/a/b") == METHODS
    assert of.methods(b"/v1/cache") == {"PURGE"}
    assert of.methods(b"/v1/nothing") == of.methods(b"*") == of.methods(b"") == set()


@pytest.mark.parametrize("line", [line for line in TAKEN if line.startswith("GET /")])
def test_the_methods_named_are_those_that_match(line: str) -> None:
    """A method matches a path if, and only if, it is among the methods of the path."""
    of, path = router(*ROUTES), line.split(" ")[1]
    for method in METHODS:
        matches = isinstance(taken(of, method, path), tuple)
        assert matches == (method in of.methods(path.encode())), method


def test_head_has_a_route_of_its_own_if_there_is_one() -> None:
    """HEAD takes its own route before that of GET, and that of GET before the one of all."""
    of = router("GET /a", "HEAD /a", "* /a", "GET /b", "* /b", "* /c")
    assert taken(of, "HEAD", "/a") == ("HEAD /a", {})
    assert taken(of, "HEAD", "/b") == ("GET /b", {})
    assert taken(of, "HEAD", "/c") == ("* /c", {})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/v1/a", "/v1/a"),
        ("/v1/*", "/v1/{a}"),
        ("/v1/{a}", "/v1/{b.c}"),
        ("/v1/{a=x/*}", "/v1/x/{b}"),
        ("/{a=**}", "/**"),
        ("/{a}:go", "/{b=*}:go"),
    ],
)
def test_routes_that_take_the_same_requests_are_refused(first: str, second: str) -> None:
    """A route of the same method and shape is refused, both templates named; others are not."""
    of = router(f"GET {first}", f"POST {second}", "GET /v1/{a}/x", "GET /*:stop")
    with pytest.raises(RouteConflict) as raised:
        of.add("GET", parse(second), "second")
    assert repr(first) in str(raised.value)
    assert repr(second) in str(raised.value)
    assert "GET" in str(raised.value)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (b"/a/%", "two hexadecimal digits"),
        (b"/a/x%4", "two hexadecimal digits"),
        (b"/a/%zz", "two hexadecimal digits"),
        (b"/a/%+1", "two hexadecimal digits"),
        (b"/a/%%41", "two hexadecimal digits"),
        (b"/a/%ff", "UTF-8"),
        (b"/a/\xff", "UTF-8"),
        (b"/a/%C3", "UTF-8"),
        (b"/a/%C0%AF", "UTF-8"),
        (b"/a/%ED%A0%80", "UTF-8"),
        (b"/b/x/%zz", "two hexadecimal digits"),
        (b"/b/x/%C3%2F%A4", "UTF-8"),
    ],
)
def test_what_encodes_no_text_is_refused(path: bytes, what: str) -> None:
    """A malformed escape, or bytes that are not UTF-8, are refused, the field named as in JSON."""
    of = router("GET /a/{seat.seat_number}", "GET /b/{seat.seat_number=**}")
    with pytest.raises(Invalid, match=what) as raised:
        of.match("GET", path)
    assert [name for name, _ in raised.value.violations] == ["seat.seatNumber"]


def test_a_malformed_escape_matters_only_where_it_is_read() -> None:
    """Where no variable reads it, a malformed escape is text like any other: it fits or not."""
    of = router("GET /a/*", "GET /b")
    assert taken(of, "GET", "/a/%zz") == ("GET /a/*", {})
    assert taken(of, "GET", "/%zz") == "NoRoute"


@given(st.text(min_size=1))
def test_a_single_segment_comes_back_as_it_was(text: str) -> None:
    """Any text that a client encodes into one segment arrives as it was, slashes too."""
    path = "/a/" + urllib.parse.quote(text, safe="")
    assert taken(router("GET /a/{x}", "POST /a/{x}:v"), "GET", path)[1] == {"x": text}


@given(st.text())
def test_many_segments_come_back_as_they_were(text: str) -> None:
    """Any text that a client encodes into many segments arrives as it was, its slashes plain."""
    path = "/a/" + urllib.parse.quote(text, safe="/")
    assert taken(router("GET /a/{x=**}"), "GET", path)[1] == {"x": text}


alphabet = st.sampled_from(["a", "b", "*"])
shapes = st.tuples(
    st.sampled_from(["GET", "POST", "*"]),
    st.lists(alphabet, max_size=4),
    st.sampled_from([[], ["**"]]),
    st.sampled_from(["", "", "v", "w"]),
)
paths = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=5)


def template_of(segments: Iterable[str], verb: str) -> Template:
    """A template whose every wildcard is a variable, numbered from the left."""
    texts = [
        f"{{v{at}={text}}}" if text.startswith("*") else text for at, text in enumerate(segments)
    ]
    return parse("/" + "/".join(texts) + (f":{verb}" if verb and texts else ""))


def as_pattern(template: Template) -> re.Pattern[str]:
    """The template as a regular expression over a path without its verb."""
    pattern = ""
    for at, segment in enumerate(template.segments):
        name = f"(?P<v{at}>"
        if segment == "**":
            # None, or a "/" and whatever follows.
            pattern += f"(/{name}.*))?" if at else f"/{name}.*)"
        else:
            pattern += f"/{name}[^/]+)" if segment == "*" else f"/{segment}"
    return re.compile(pattern or "/")


def naive(routes: dict[tuple[str, Template], str], method: str, path: str) -> object:
    """What the rules say, one template after another: the reading, then the most particular."""
    whole, colon, last = path.rpartition(":")
    for text, verb in ([(whole, last)] if colon else []) + [(path, "")]:
        fits: list[tuple[list[int], int, object]] = []
        there = set()
        for (kind, template), target in routes.items():
            pattern = as_pattern(template)
            found = pattern.fullmatch(text) or (text == "/" and pattern.fullmatch(""))
            if template.verb != verb or not found:
                continue
            there.add(kind)
            if kind in (method, "*"):
                ranks = [{"*": 1, "**": 2}.get(one, 0) for one in template.segments]
                texts = {name: value or "" for name, value in found.groupdict().items()}
                fits.append((ranks, kind == "*", (target, texts)))
        if fits:
            return min(fits, key=lambda fit: fit[:2])[2]
        if there:
            return ", ".join(sorted(there | {"HEAD"} if "GET" in there else there))
    return "NoRoute"


@given(st.lists(shapes, max_size=8), st.lists(st.tuples(paths, st.sampled_from(["", ":v", ":x"]))))
def test_the_router_agrees_with_a_naive_one(
    many: list[tuple[str, list[str], list[str], str]], asked: list[tuple[list[str], str]]
) -> None:
    """For any routes and paths, the answer is that of trying every template and ranking them."""
    routes: dict[tuple[str, Template], str] = {}
    of: Router[str] = Router()
    for method, segments, rest, verb in many:
        template = template_of([*segments, *rest], verb)
        target = f"{method} {template.text}"
        if (method, template) not in routes:
            routes[method, template] = target
            of.add(method, template, target)
    for segments, ending in asked:
        path = "/" + "/".join(segments) + ending
        assert taken(of, "GET", path) == naive(routes, "GET", path), path


def steps(call: Callable[[], object]) -> int:
    return support.steps.steps(call, "gateway")


def test_time_does_not_grow_with_the_number_of_routes() -> None:
    """Among 8,000 routes a request is matched in just as many steps as among 8."""
    few, many = (
        router(
            *(f"GET /v1/kind{one}/{{id}}/{end}" for one in range(count) for end in ("x", "{b}")),
            *(f"POST /v1/kind{one}/{{id}}:do{one}" for one in range(count)),
            *(f"GET /v1/kind{one}/**" for one in range(count)),
        )
        for count in (2, 2_000)
    )
    for method, path in [
        ("GET", b"/v1/kind1/7/x"),
        ("GET", b"/v1/kind1/7/y"),
        ("GET", b"/v1/kind1/7/y/z"),
        ("POST", b"/v1/kind1/7:do1"),
    ]:
        wanted = steps(partial(few.match, method, path))
        assert wanted > 10
        found = steps(partial(many.match, method, path))
        assert found == wanted, path
    assert steps(lambda: many.methods(b"/v1/other/7")) == steps(lambda: few.methods(b"/v1/other/7"))


@pytest.mark.parametrize("piece", ["a", "", "x", "%2F", ":v", "%"])
def test_a_very_long_path_costs_no_steps(piece: str) -> None:
    """However many segments a path has, no more steps are taken than the templates are deep."""
    of = router("GET /a/a/a", "GET /*/*/*", "GET /a/*/a:v", "GET /f/**", "POST /x/x/x/{last}")
    short, long = (f"/a{f'/{piece}' * many}" for many in (10, SEGMENTS_MANY))
    assert taken(of, "GET", long) == "NoRoute"
    wanted = steps(lambda: taken(of, "GET", short))
    assert steps(lambda: taken(of, "GET", long)) == wanted


def test_a_very_long_path_can_be_a_variable() -> None:
    """A variable that takes all the rest takes a very long one whole, not piece by piece."""
    of = router("GET /f/{name=**}", "GET /f/{a}/{b}")
    rest = "a/" * SEGMENTS_MANY + "b"
    tracemalloc.start()
    try:
        assert taken(of, "GET", f"/f/{rest}") == ("GET /f/{name=**}", {"name": rest})
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 * len(rest)


def test_ways_that_lead_nowhere_are_bounded_by_the_depth() -> None:
    """With a route for every choice of literals and wildcards, no way is tried twice."""
    depth = 8
    choices = itertools.product("a*", repeat=depth)
    of = router(*(f"GET /{'/'.join(choice)}/end" for choice in choices))
    path = "/a" * depth + "/other"
    assert taken(of, "GET", path) == "NoRoute"
    ways = 2 ** (depth + 1)
    assert steps(lambda: taken(of, "GET", path)) < 20 * ways
