"""Where the command line writes: to people on terminals, and to programs through pipes."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from chassis.terminals import harmless

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

GAP = 2
STYLES = {
    "CONFIRMED": "green",
    "SUCCEEDED": "green",
    "DONE": "green",
    "RESOLVED": "green",
    "SUCCESS": "green",
    "REFUNDED": "green",
    "FAILED": "red",
    "DECLINED": "red",
    "NEEDS_ATTENTION": "bold red",
    "REFUSED": "red",
    "GIVEN_UP": "red",
    "PENDING": "yellow",
    "CANCELLING": "yellow",
    "RUNNING": "yellow",
    "UNKNOWN": "yellow",
    "PARTIALLY_REFUNDED": "yellow",
}


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under their columns, a line each."""
    for line in table(columns, rows):
        say(line)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Iterator[Text]:
    """Rows under their columns, a line each.

    No cell is cut and no line broken to fit a terminal: each is to be copied, and to be found by
    `grep`. What may be long belongs into the last column.
    """
    cells = [[Text(column, "bold") for column in columns]]
    cells += [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) + GAP for column in zip(*cells, strict=True)]
    for row in cells:
        for cell, width in zip(row[:-1], widths, strict=False):
            cell.pad_right(width - cell.cell_len)
        yield Text.assemble(*row)


def say(*parts: str | Text) -> None:
    """Print a line as it is: no line break is added, and no bracket taken for markup."""
    line = Text.assemble(*parts)
    line.plain = harmless(line.plain)
    line.rstrip()
    out.print(line, soft_wrap=True)


def tell(text: str) -> None:
    """Print a line beside the output: for the person who watches, and not for a pipe."""
    err.print(Text(harmless(text), "dim"), soft_wrap=True)


def name_of(enum: Any, number: int) -> str:
    """The name of a value; of one that only a newer contract knows, its number."""
    return str(enum.Name(number)) if number in enum.values() else str(number)


def coloured(word: str) -> Text:
    """A state or an outcome, in its colour."""
    return Text(word, STYLES.get(word, ""))


def moment(timestamp: Any) -> str:
    """A `Timestamp` in UTC, to the second; empty if there is none."""
    if not timestamp.seconds:
        return ""
    when: datetime = timestamp.ToDatetime()
    return f"{when:%Y-%m-%d %H:%M:%S}"


def instant(timestamp: Any) -> str:
    """The same to the millisecond: for what happens in quick succession."""
    second = moment(timestamp)
    return f"{second}.{timestamp.nanos // 1_000_000:03}" if second else ""
