"""Path templates: the grammar that `google.api.http` gives them.

Template = "/" | "/" Segments [ Verb ] ;     the grammar has no "/" alone; here it is the root
Segments = Segment { "/" Segment } ;
Segment  = "*" | "**" | LITERAL | Variable ;
Variable = "{" FieldPath [ "=" Segments ] "}" ;
FieldPath = IDENT { "." IDENT } ;
Verb     = ":" LITERAL ;

`**` is the last segment, and no variable stands in a variable. A literal is written as it is in a
URL: what may not stand there must be percent-encoded already. It matches that text and no other.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

ONE = "*"
ANY = "**"

# What a segment of a URL may hold (RFC 3986, `pchar`), without the two that are grammar here.
LITERAL = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,;=@]|%[0-9A-Fa-f]{2})+")
IDENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class TemplateError(ValueError):
    """A template breaks the grammar; the text names it, the column and what is wrong there."""

    def __init__(self, template: str, column: int, what: str) -> None:
        """Point at a column, counted from 1."""
        super().__init__(f"{template!r}, column {column}: {what}")
        self.template = template
        self.column = column


@dataclass(frozen=True)
class Variable:
    """A part of the path that is the text of a field."""

    field_path: tuple[str, ...]
    # Which segments of the path: from the first, and how many; None: all that are left, even none.
    first: int
    count: int | None
    # It may hold "/", or is a `**`: then an encoded "/" in it stays encoded.
    is_multi: bool


@dataclass(frozen=True)
class Template:
    """A template, its variables dissolved into the segments that they cover."""

    text: str
    # Literals as they are in a URL, ONE, or ANY (the last only).
    segments: tuple[str, ...]
    # Without its ":"; "" if there is none.
    verb: str
    variables: tuple[Variable, ...]


def parse(text: str) -> Template:
    """Read a template.

    Raises:
        TemplateError: it breaks the grammar.
    """
    return _Parser(text).template()


class _Parser:
    """Reads from left to right, and never back."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._segments: list[str] = []
        self._variables: list[Variable] = []
        self._verb = ""

    def template(self) -> Template:
        if not self._take("/"):
            self._fail("a template starts with '/'")
        if self._at < len(self._text):
            self._read_segments(in_variable=False)
            if self._take(":"):
                self._verb = self._literal("a verb")
            self._require_end()
        return Template(self._text, tuple(self._segments), self._verb, tuple(self._variables))

    def _read_segments(self, *, in_variable: bool) -> None:
        self._read_segment(in_variable=in_variable)
        while self._next() == "/":
            if self._segments[-1] == ANY:
                self._fail("'**' is the last segment, nothing follows it")
            self._at += 1
            self._read_segment(in_variable=in_variable)

    def _read_segment(self, *, in_variable: bool) -> None:
        if self._next() == "{":
            if in_variable:
                self._fail("a variable stands in another one")
            self._read_variable()
        elif self._take(ANY):
            self._segments.append(ANY)
        elif self._take(ONE):
            self._segments.append(ONE)
        else:
            self._segments.append(self._literal("a segment"))

    def _read_variable(self) -> None:
        start = self._at
        self._at += 1
        field_path = self._field_path()
        first = len(self._segments)
        if self._take("="):
            self._read_segments(in_variable=True)
        else:
            self._segments.append(ONE)
        if not self._take("}"):
            self._fail("the variable is not closed: expected '}'")
        if any(one.field_path == field_path for one in self._variables):
            self._fail(f"{'.'.join(field_path)} is bound twice", start)
        self._variables.append(self._variable(field_path, first))

    def _variable(self, field_path: tuple[str, ...], first: int) -> Variable:
        to_the_end = self._segments[-1] == ANY
        count = len(self._segments) - first
        return Variable(field_path, first, None if to_the_end else count, to_the_end or count > 1)

    def _field_path(self) -> tuple[str, ...]:
        names = [self._match(IDENT, "the name of a field")]
        while self._take("."):
            names.append(self._match(IDENT, "the name of a field"))
        return tuple(names)

    def _literal(self, what: str) -> str:
        literal = self._match(LITERAL, what)
        if self._next() not in ("", "/", ":", "}"):
            self._fail(f"{self._next()!r} cannot stand in {what}")
        return literal

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            self._fail(f"expected {what}{self._instead()}")
        self._at = found.end()
        return found.group()

    def _require_end(self) -> None:
        if self._at < len(self._text):
            self._fail(f"expected '/', ':' or the end{self._instead()}")

    def _instead(self) -> str:
        found = self._next()
        return f", not {found!r}" if found else ""

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        raise TemplateError(self._text, (self._at if at is None else at) + 1, what)
