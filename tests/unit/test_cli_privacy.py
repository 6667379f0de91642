"""The commands that give out and erase a person, where the services are not there."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from holdfast.privacy.v1 import privacy_pb2 as pb

from chassis.status import ErrorInfo
from cli import calls, main, privacy
from cli.failure import Unreachable

SERVICES = ("inventory_svc", "booking_svc", "payment_svc")
NAME = "erased-00112233445566778899aabbcc"


class Services:
    """Three services that have rows of one user, and note what they are asked."""

    def __init__(self, rows: int = 2) -> None:
        self.rows = dict.fromkeys(SERVICES, rows)
        self.asked: list[tuple[str, pb.EraseUserRequest]] = []
        self.records: list[pb.UserRecord] = []
        # Called before each question, by service and whether it is only a question.
        self.when: Callable[[str, bool], None] = lambda *_: None

    def ask(self, service: str, request: pb.EraseUserRequest) -> pb.EraseUserResponse:
        self.when(service, request.validate_only)
        self.asked.append((service, request))
        rows = self.rows[service]
        if not request.validate_only:
            self.rows[service] = 0
        counts = [pb.EraseUserResponse.Count(kind="rows", rows=rows)] if rows else []
        return pb.EraseUserResponse(counts=counts)

    def order(self) -> list[tuple[str, bool]]:
        return [(service, request.validate_only) for service, request in self.asked]


class FakeDesk:
    def __init__(self, services: Services, name: str) -> None:
        self.channel = grpc.insecure_channel("127.0.0.1:1")
        self._services, self._name = services, name

    def ask(self, _method: Any, request: pb.EraseUserRequest) -> pb.EraseUserResponse:
        return self._services.ask(self._name, request)

    def listen(self, _method: Any, _request: pb.ExportUserRequest) -> list[pb.UserRecord]:
        return self._services.records


Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `holdfast …` as a shell would, with these services; gives the exit code."""
    monkeypatch.setattr(privacy.time, "sleep", lambda _: None)

    def run(services: Services, *arguments: str) -> int:
        @contextmanager
        def desks() -> Iterator[dict[str, Any]]:
            made = {name: FakeDesk(services, name) for name in SERVICES}
            yield made
            for one in made.values():
                one.channel.close()

        monkeypatch.setattr(privacy, "_desks", desks)
        monkeypatch.setattr(sys, "argv", ["holdfast", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.app()
        return int(ended.value.code or 0)

    return run


CHECKED = [(name, True) for name in SERVICES]
DONE = [("booking_svc", False), ("payment_svc", False), ("inventory_svc", False)]


def test_the_order(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """What is open is asked for in the order of dependence, before anything is erased and after."""
    services = Services()
    began = datetime.now(UTC)
    assert run(services, "erase", "--user", "zoe", "--yes") == 0
    assert services.order() == [*CHECKED, *DONE, *CHECKED]
    names = {request.replacement for _, request in services.asked}
    (name,) = names
    assert privacy.REPLACEMENT.fullmatch(name)
    assert name in capsys.readouterr().out
    # What is erased is older than the first question, by all clocks.
    moments = {request.before.ToDatetime(UTC) for _, request in services.asked[3:6]}
    (before,) = moments
    assert before <= began


def test_who_goes_on_meanwhile(run: Run) -> None:
    """What was made during a round is erased in the next, after another look at what is open."""
    services = Services()

    def comes(service: str, only: bool) -> None:  # noqa: FBT001
        if len(services.asked) == 7 and only:
            services.rows[service] = 1

    services.when = comes
    assert run(services, "erase", "--user", "zoe", "--yes") == 0
    assert services.order() == [*CHECKED, *DONE, *CHECKED, *CHECKED, *DONE, *CHECKED]
    befores = [request.before.ToDatetime(UTC) for _, request in services.asked]
    assert befores[12] > befores[3]


def test_who_never_stops(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose rows come back after every round is left, with the name by which to go on."""
    services = Services()

    def comes(service: str, only: bool) -> None:  # noqa: FBT001
        if only:
            services.rows[service] = 1

    services.when = comes
    assert run(services, "erase", "--user", "zoe", "--yes", "--as", NAME) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert f"holdfast erase --user zoe --as {NAME}" in told
    assert "goes on making bookings" in told


def test_an_interruption_says_how_to_go_on(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a service goes away in the middle, the command names what finishes it, quoted."""
    services = Services()

    def leaves(service: str, only: bool) -> None:  # noqa: FBT001
        if service == "payment_svc" and not only:
            message = "payment_svc does not answer"
            raise Unreachable(message)

    services.when = leaves
    assert run(services, "erase", "--user", "zoe x", "--yes", "--as", NAME) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert f"holdfast erase --user 'zoe x' --as {NAME}" in told


def test_what_is_open_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A user of whom something is open is refused before anything is erased, with what it is."""
    services = Services()

    def refuses(service: str, _only: bool) -> None:  # noqa: FBT001
        if service == "booking_svc":
            code = grpc.StatusCode.FAILED_PRECONDITION
            text = "these bookings of the user are not over: BK-1"
            raise calls.Refused(ErrorInfo(code, privacy.OPEN, {"bookings": "BK-1"}, text), 0.0)

    services.when = refuses
    assert run(services, "erase", "--user", "zoe", "--yes") == 1
    assert services.order() == CHECKED[:1]
    assert "BK-1" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_person_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """On a terminal the command asks, and erases only where the answer is yes."""
    services = Services()
    monkeypatch.setattr(privacy.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(privacy.typer, "confirm", lambda _: answer == "y")
    assert run(services, "erase", "--user", "zoe") == (answer == "n")
    assert (services.rows["booking_svc"] == 0) is (answer == "y")


@pytest.mark.parametrize(
    "arguments",
    [
        ("erase", "--user", "zoe", "--as", "bob", "--yes"),
        ("erase", "--user", "", "--yes"),
        ("erase", "--user", " zoe", "--yes"),
        ("erase", "--user", "zoe\x1b[2J", "--yes"),
        ("erase", "--user", "zoe"),
        ("export", "--user", "x" * 129),
    ],
)
def test_what_is_not_understood(run: Run, arguments: tuple[str, ...]) -> None:
    """Another form of a name, no user, or nobody to ask: exit code 1, and nothing is erased."""
    services = Services()
    assert run(services, *arguments) == 1
    assert all(request.validate_only for _, request in services.asked)


def test_what_a_terminal_would_obey(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters that somebody wrote are exported as JSON escapes; letters stay."""
    services = Services()
    reason = "Zoë\x1b[2J\x9b2J\u202e\U000e0001\n"
    record = pb.UserRecord(kind="refunds")
    record.fields.update({"reason": reason})
    services.records = [record]
    assert run(services, "export", "--user", "zoe") == 0
    shown = capsys.readouterr().out
    assert all(one.isprintable() for one in shown.replace("\n", ""))
    assert "Zoë" in shown
    (told,) = json.loads(shown)["services"]["booking_svc"]
    assert told["fields"]["reason"] == reason


def test_what_is_no_file_of_ours(run: Run, tmp_path: Path) -> None:
    """An export into a pipe, or a device, leaves it to those who could use it before."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o644)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run(Services(), "export", "--user", "zoe", "--out", str(pipe)) == 0
        assert json.loads(os.read(reader, 1 << 16))["user"] == "zoe"
    finally:
        os.close(reader)
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o644
