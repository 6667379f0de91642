"""A line of the log is one line, and says what we say, whatever callers have sent."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from support.hostile import TEXTS

from chassis import logs
from chassis.terminals import harmless

log = structlog.get_logger("tests.logs")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[io.StringIO, Terminal], ids=["pipe", "terminal"])
def written(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[io.StringIO]:
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level, stream = root.handlers[:], root.level, request.param()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("a_program", "debug")
    structlog.configure(cache_logger_on_first_use=False)
    yield stream
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def plain(line: str) -> str:
    """A line without the colours that are ours."""
    while (at := line.find("\x1b[")) >= 0:
        line = line[:at] + line[line.index("m", at) + 1 :]
    return line


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_line_stays_a_line(written: io.StringIO, text: str) -> None:
    """What is not printable in a value is escaped or replaced, in JSON and on a terminal."""
    log.info("request", path=text, more={"of": [text]})
    logging.getLogger("a.library").warning("%s", text)
    lines = written.getvalue().removesuffix("\n").split("\n")
    assert len(lines) == 2
    assert all(plain(line).isprintable() for line in lines)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_exception_is_harmless(written: io.StringIO, text: str) -> None:
    """The text of an exception moves no cursor, and is one value of JSON."""
    log.error("failed", exc_info=ValueError(text))
    for line in written.getvalue().removesuffix("\n").split("\n"):
        assert plain(line).isprintable()


def test_json_says_what_was_given(written: io.StringIO) -> None:
    """In JSON each value is exactly what was given, and no text makes a field of its own."""
    if isinstance(written, Terminal):
        pytest.skip("a terminal is for people")
    for text in TEXTS.values():
        log.info("request", path=text)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["path"] for line in lines] == list(TEXTS.values())
    assert {frozenset(line) for line in lines} == {
        frozenset({"event", "path", "program", "level", "timestamp"})
    }


def test_what_is_harmless_is_left_as_it_is() -> None:
    """Of a text only what a terminal obeys is replaced; lines only where they are asked for."""
    assert harmless("Zoë 漢字 '; --") == "Zoë 漢字 '; --"
    assert harmless("a\x1b[2Jb\nc", kept="\n") == "a\ufffd[2Jb\nc"
    assert harmless("a\nb\u202ec") == "a\ufffdb\ufffdc"
