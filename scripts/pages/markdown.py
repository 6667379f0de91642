"""Markdown as it is read on a code host, and in an editor: tables, links, and lines that end."""

import re
import textwrap
from collections.abc import Iterable, Iterator

LINE_LENGTH = 100
CODE_INDENT = "    "
LIST_ITEM = re.compile(r"(?:[-*]|\d+\.) ")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a table."""
    names = list(head)
    yield _row(names)
    yield _row(["---"] * len(names))
    for cells in rows:
        yield _row(cells)
    yield ""


def wrapped(text: str) -> Iterator[str]:
    """Paragraphs, in lines that can be read; code as it is."""
    for block in text.split("\n\n"):
        if block.startswith(CODE_INDENT):
            yield block
        else:
            for line in block.split("\n"):
                yield from _lines(line)
        yield ""


def code(language: str, text: str) -> Iterator[str]:
    """A block of code."""
    yield f"```{language}"
    yield text
    yield "```"
    yield ""


def in_a_cell(text: str) -> str:
    """A text without what would end a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|").strip()


def link(text: str, heading: str) -> str:
    """A link to a heading of the same page."""
    return f"[{text}](#{anchor(heading)})"


def anchor(heading: str) -> str:
    """What code hosts make of a heading: small letters, hyphens for spaces, no other signs."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(in_a_cell(one) for one in cells)} |"


def _lines(line: str) -> list[str]:
    item = LIST_ITEM.match(line)
    return textwrap.wrap(
        line,
        LINE_LENGTH,
        subsequent_indent=" " * len(item[0]) if item else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
