"""Which route a request takes, and what its path says.

The templates make a tree of segments. At each segment a literal is tried before `*`, and `*` before
`**`; what leads nowhere for the method is left again. So the order in which routes are added has no
part in it, and neither has their number.

A path is taken as it is written. Nothing is normalised: a literal matches its own spelling only,
"." and ".." are names, and an empty segment (from "//", or a "/" at the end) is a segment, which
no `*` takes, for nothing has an empty name; only `**` does.

What follows the last ":" is a verb if there is a route with that verb at this path; then the path
belongs to the routes with the verb, for every method. Else the ":" is a part of its segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import Invalid, NoRoute, WrongMethod
from gateway.percent import EncodingError, decode
from gateway.template import ANY, ONE, Template, Variable

Target = TypeVar("Target")

# The kind of a custom rule that leaves the method open, and what can be meant by that.
EVERY_METHOD = "*"
METHODS = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})


class RouteConflict(ValueError):
    """Two routes take the same requests; the text names their templates."""


@dataclass(frozen=True)
class Found(Generic[Target]):
    """Where a request goes, and the texts of the fields that its path names."""

    target: Target
    variables: tuple[tuple[tuple[str, ...], str], ...]


@dataclass(frozen=True)
class _Route(Generic[Target]):
    template: Template
    target: Target


class _Node(Generic[Target]):
    """What may follow a beginning of a path."""

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node[Target]] = {}
        self.one: _Node[Target] | None = None
        self.any: _Node[Target] | None = None
        # Routes whose template ends here: by verb, then by method.
        self.ends: dict[bytes, dict[str, _Route[Target]]] = {}

    def child(self, segment: str) -> "_Node[Target]":
        if segment == ONE:
            self.one = self.one or _Node()
            return self.one
        if segment == ANY:
            self.any = self.any or _Node()
            return self.any
        return self.literals.setdefault(segment.encode(), _Node())


class Router(Generic[Target]):
    """Routes, and the way to them."""

    def __init__(self) -> None:
        """Start without any."""
        self._root: _Node[Target] = _Node()
        self._verbs: set[bytes] = set()
        # No template tells more segments apart.
        self._depth = 0

    def add(self, method: str, template: Template, target: Target) -> None:
        """Send requests with this method and a path that fits to a target.

        Raises:
            RouteConflict: another route takes just these requests.
        """
        node = self._root
        for segment in template.segments:
            node = node.child(segment)
        routes = node.ends.setdefault(template.verb.encode(), {})
        if method in routes:
            other = routes[method].template.text
            message = f"{method} {template.text!r} takes the same requests as {other!r}"
            raise RouteConflict(message)
        routes[method] = _Route(template, target)
        self._depth = max(self._depth, len(template.segments))
        if template.verb:
            self._verbs.add(template.verb.encode())

    def match(self, method: str, raw_path: bytes) -> Found[Target]:
        """Find the route of a request, by its path as it came, without the query.

        Raises:
            NoRoute: no template fits the path.
            WrongMethod: one does, for other methods.
            Invalid: a variable is not the encoding of a text.
        """
        for segments, verb in self._readings(raw_path):
            others: set[str] = set()
            for routes in self._ends(segments, verb):
                route = _of_method(routes, method)
                if route is not None:
                    variables = route.template.variables
                    return Found(route.target, tuple(_value(one, segments) for one in variables))
                others.update(routes)
            if others:
                raise WrongMethod(_named(others))
        raise NoRoute

    def methods(self, raw_path: bytes) -> frozenset[str]:
        """The methods with which there is a route for a path; none if nothing is there."""
        for segments, verb in self._readings(raw_path):
            found = {method for routes in self._ends(segments, verb) for method in routes}
            if found:
                return _named(found)
        return frozenset()

    def _readings(self, raw_path: bytes) -> Iterator[tuple[list[bytes], bytes]]:
        """The segments and the verb: with a verb, if it may be one, and without."""
        if not raw_path.startswith(b"/"):
            return
        path, _, verb = raw_path.rpartition(b":")
        if verb in self._verbs:
            yield self._split(path), verb
        yield self._split(raw_path), b""

    def _split(self, path: bytes) -> list[bytes]:
        """The segments. What is deeper than every template stays one piece, for a `**`."""
        return path[1:].split(b"/", self._depth) if len(path) > 1 else []

    def _ends(self, segments: list[bytes], verb: bytes) -> Iterator[dict[str, _Route[Target]]]:
        """The ends of all templates that fit, the most particular first."""
        pending = [(self._root, 0)]
        while pending:
            node, at = pending.pop()
            # What is to be tried first is put on top.
            if node.any is not None:
                pending.append((node.any, len(segments)))
            if at == len(segments):
                if verb in node.ends:
                    yield node.ends[verb]
                continue
            if node.one is not None and segments[at]:
                pending.append((node.one, at + 1))
            literal = node.literals.get(segments[at])
            if literal is not None:
                pending.append((literal, at + 1))


def _of_method(routes: dict[str, _Route[Target]], method: str) -> _Route[Target] | None:
    """The route of a method: its own, for HEAD that of GET, or that of every method."""
    if method in routes:
        return routes[method]
    if method == "HEAD" and "GET" in routes:
        return routes["GET"]
    return routes.get(EVERY_METHOD)


def _named(methods: set[str]) -> frozenset[str]:
    if EVERY_METHOD in methods:
        return frozenset(methods - {EVERY_METHOD}) | METHODS
    return frozenset(methods | {"HEAD"} if "GET" in methods else methods)


def _value(variable: Variable, segments: list[bytes]) -> tuple[tuple[str, ...], str]:
    end = None if variable.count is None else variable.first + variable.count
    raw = b"/".join(segments[variable.first : end])
    try:
        return variable.field_path, decode(raw, keep_slash=variable.is_multi)
    except EncodingError as error:
        raise Invalid((_json_path(variable.field_path), str(error))) from None


def _json_path(field_path: tuple[str, ...]) -> str:
    """The path of a field with its names as they are in JSON, as long as no option renames it."""
    words = (name.split("_") for name in field_path)
    return ".".join(
        first + "".join(word[:1].upper() + word[1:] for word in rest) for first, *rest in words
    )
