"""Steps of a demo, shown as they are taken, with the time that each took."""

import time
from collections.abc import Callable, Iterable, Iterator

from rich.text import Text

from cli import calls
from cli.failure import Failure
from cli.screen import out, say

INDENT = "     "
# Does a step when it is called, and gives what it sees while it sees it.
Step = Callable[[], Iterator[str | Text]]


def at_once(steps: Iterable[tuple[str, Callable[[], str]]]) -> None:
    """Take steps that each see one thing: a tick, what the step does, and what it saw.

    Raises:
        Failure, Refused: a step did not give what it should; no other is taken.
    """
    began = time.monotonic()
    for number, (what, step) in enumerate(steps, start=1):
        step_began = time.monotonic()
        try:
            with out.status(what):
                seen = step()
        except (Failure, calls.Refused):
            say(Text(f"✗ {number}. {what}", "red"))
            raise
        say(Text("✓", "green"), f" {number}. {what} ", _took(step_began))
        say(INDENT, seen)
    out.print(f"All as it should be, in {time.monotonic() - began:.1f} s.")


def live(steps: Iterable[tuple[str, Step]]) -> None:
    """Take steps that take their time: each thing is shown when it is seen, then a tick.

    Raises:
        Failure, Refused: a step did not give what it should; no other is taken.
    """
    began = time.monotonic()
    for number, (what, step) in enumerate(steps, start=1):
        say(Text(f"{number}. {what}", "bold"))
        step_began = time.monotonic()
        try:
            with out.status("waiting"):
                for line in step():
                    say(INDENT, line)
        except (Failure, calls.Refused):
            say(Text(f"   ✗ {number}. {what}", "red"))
            raise
        say(Text("   ✓ ", "green"), _took(step_began))
    out.print(f"All as it should be, in {time.monotonic() - began:.1f} s.")


def title(step: object) -> str:
    """What a step does, by its docstring."""
    return (step.__doc__ or "").rstrip(".")


def _took(began: float) -> Text:
    return Text(f"({(time.monotonic() - began) * 1000:.0f} ms)", "dim")
