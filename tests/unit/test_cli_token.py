"""`holdfast token`: a token for whom it is asked for, or a sentence."""

import sys

import pytest
from support.tokens import SECRET, verifier

from chassis.context import Caller
from cli import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command as a shell would; its exit code."""
    monkeypatch.setenv("AUTH_JWT_SECRET", SECRET)
    monkeypatch.setattr(sys, "argv", ["holdfast", "token", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.app()
    return ended.value.code or 0


@pytest.mark.parametrize(
    ("user", "scope"), [("ann", "bookings"), ("a" * 128, "admin inventory"), ("座", "payments")]
)
def test_a_token_is_printed_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: str, scope: str
) -> None:
    """The only output is a token that the services trust, for this user and these scopes."""
    assert run(monkeypatch, "--user", user, "--scope", scope) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert verifier().verify(line) == Caller(user, frozenset(scope.split()))


@pytest.mark.parametrize(
    ("user", "scope", "said"),
    [
        ("", "bookings", "--user must be 1 to 128 characters"),
        ("a" * 129, "bookings", "--user must be 1 to 128 characters"),
        ("ann ", "bookings", "no space at an end"),
        ("ann", "bookings money", "no such scope: money. There are: admin bookings"),
        ("ann", "Admin", "no such scope: Admin"),
    ],
    ids=["no user", "long user", "space", "another scope", "capital"],
)
def test_a_token_that_would_not_work_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    user: str,
    scope: str,
    said: str,
) -> None:
    """A user or a scope that no service knows is refused with one sentence and exit code 1."""
    assert run(monkeypatch, "--user", user, "--scope", scope) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert said in written.err
    assert len(written.err.splitlines()) == 1
