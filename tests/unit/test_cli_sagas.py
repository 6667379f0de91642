"""`holdfast sagas`: what is shown, which saga is meant, and what is asked before a resolve."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import Parse
from holdfast.booking.v1 import saga_pb2 as pb
from support.tokens import SECRET

from chassis.status import ErrorInfo
from cli import main, sagas
from cli.calls import Refused

REFERENCE = "BK-2026-BCDFGHJKLM"
REFUSED = "PAYMENT_NOT_REFUNDABLE: the provider [says] no"
Run = Callable[..., Any]


def saga(name: str = "cancel_booking", state: str = "NEEDS_ATTENTION", **changes: Any) -> pb.Saga:
    record = pb.Saga.StepRecord(
        step="refund", action="give_back_payment", attempt=3, outcome="REFUSED", detail=REFUSED
    )
    record.began_at.FromJsonString("2026-11-16T10:30:00Z")
    record.took.FromMilliseconds(42)
    given = {"step": "refund", "direction": "FORWARD", "tries": 5, "refusals": 5}
    facts = {"last_error": REFUSED, "timeline": [record], **given, **changes}
    return pb.Saga(booking_id=5001, booking_reference=REFERENCE, name=name, state=state, **facts)


class FakeDesk:
    """A booking service that has some sagas. Notes what it was asked to do about them."""

    def __init__(self, *there: pb.Saga) -> None:
        self.channel = grpc.insecure_channel("127.0.0.1:1")
        self.there = there
        self.done: list[Any] = []

    def ask(self, _method: Any, request: Any) -> Any:
        if isinstance(request, pb.ListSagasRequest):
            return self._page(request)
        found = [one for one in self.there if one.name == request.name]
        if not found or request.booking_id != found[0].booking_id:
            raise Refused(ErrorInfo(grpc.StatusCode.NOT_FOUND, "SAGA_NOT_FOUND", {}, "no"), 0.0)
        if not isinstance(request, pb.GetSagaRequest):
            self.done.append(request)
        return found[0]

    def _page(self, request: pb.ListSagasRequest) -> pb.ListSagasResponse:
        begin = int(request.page_token or 0)
        fits = [
            one
            for one in self.there
            if request.state in (0, one.state)
            and request.booking_reference in ("", one.booking_reference)
        ]
        end = begin + min(request.page_size or 50, 1000)
        return pb.ListSagasResponse(
            sagas=fits[begin:end], next_page_token=str(end) if fits[end:] else ""
        )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `holdfast sagas …` as a shell would, where these sagas are; gives the exit code."""
    desks: list[FakeDesk] = []

    def run(*arguments: str, there: tuple[pb.Saga, ...] = ()) -> tuple[int, FakeDesk]:
        desk = FakeDesk(*there)
        desks.append(desk)

        @contextmanager
        def opened() -> Iterator[FakeDesk]:
            yield desk

        monkeypatch.setattr(sagas, "_opened", opened)
        monkeypatch.setattr(sys, "argv", ["holdfast", "sagas", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.app()
        return ended.value.code or 0, desk

    yield run
    for desk in desks:
        desk.channel.close()


def test_the_states_are_those_of_the_contract() -> None:
    """`--state` takes every state of the contract, and `all`."""
    assert {*sagas.Which} == {*pb.Saga.State.keys()[1:], "all"}


def test_nothing_to_do(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no saga is parked, the list says that in a sentence; others are listed on request."""
    there = (saga("confirm_booking", "SUCCEEDED"),)
    assert run("list", there=there)[0] == 0
    assert capsys.readouterr().out == "No saga needs attention.\n"
    run("list", "--state", "running", there=there)
    assert capsys.readouterr().out == "No saga is RUNNING.\n"
    run("list", "--state", "ALL", there=there)
    assert "SUCCEEDED" in capsys.readouterr().out


def test_a_list(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A parked saga is one line through a pipe: booking, saga, state, step, tries, last error."""
    run("list", there=(saga(), saga("confirm_booking", "RUNNING", direction="BACKWARD")))
    _, line = capsys.readouterr().out.splitlines()
    assert line.split()[:5] == [REFERENCE, "cancel_booking", "NEEDS_ATTENTION", "refund", "5"]
    assert line.rstrip().endswith(REFUSED)


def test_a_long_list(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A list is as long as it was asked for, over several pages, and says if there is more."""
    there = tuple(saga() for _ in range(1500))
    run("list", "--limit", "1200", there=there)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 1200 + 1
    assert lines[-1] == "There are more than 1200: --limit N shows more of them."
    run("list", "--limit", "1500", there=there)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 1500


@pytest.mark.parametrize("named", [REFERENCE, "5001"])
def test_a_saga_with_its_timeline(run: Run, capsys: pytest.CaptureFixture[str], named: str) -> None:
    """Both sagas of a booking are shown with each action, and for a parked one what to do."""
    there = (saga("confirm_booking", "SUPERSEDED", timeline=[]), saga())
    assert run("show", named, there=there)[0] == 0
    shown = capsys.readouterr().out
    assert shown.index(f"confirm_booking of {REFERENCE} (booking 5001): SUPERSEDED") < shown.index(
        f"cancel_booking of {REFERENCE} (booking 5001): NEEDS_ATTENTION"
    )
    assert "next step  refund (give_back_payment)" in shown
    (line,) = [one for one in shown.splitlines() if one.startswith("3 ")]
    assert line.split() == [
        "3", "refund", "give_back_payment", "REFUSED", "2026-11-16", "10:30:00", "0.042", "s",
        *REFUSED.split(),
    ]  # fmt: skip
    assert shown.count("holdfast sagas retry") == 1


@pytest.mark.parametrize("command", [["list"], ["show", REFERENCE]], ids=["list", "show"])
def test_sagas_as_json(run: Run, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """With `--json` the output is the contract's message in JSON, and nothing else."""
    run(*command, "--json", there=(saga(),))
    shown = Parse(capsys.readouterr().out, pb.ListSagasResponse())
    assert list(shown.sagas) == [saga()]


def test_the_only_parked_saga_is_meant(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--name` a retry is of the one saga of the booking that is parked."""
    code, desk = run("retry", REFERENCE, there=(saga("confirm_booking", "SUPERSEDED"), saga()))
    assert code == 0
    assert desk.done == [pb.RetrySagaRequest(booking_id=5001, name="cancel_booking")]
    assert f"cancel_booking of {REFERENCE} is now" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "there", "said"),
    [
        ((REFERENCE,), (saga(state="RUNNING"),), "no parked saga: cancel_booking is RUNNING"),
        (
            (REFERENCE, "--name", "confirm_booking"),
            (saga("confirm_booking", "SUPERSEDED"), saga()),
            "no parked saga confirm_booking: confirm_booking is SUPERSEDED",
        ),
        ((REFERENCE,), (saga("confirm_booking"), saga()), "choose one: --name confirm_booking or"),
        ((REFERENCE,), (), f"there is no booking {REFERENCE}"),
        (("4711",), (saga(),), "there is no booking 4711"),
        (("A1",), (saga(),), "'A1' is no booking"),
    ],
    ids=["running", "another", "two", "no reference", "no number", "no booking"],
)
@pytest.mark.parametrize("command", ["retry", "resolve"])
def test_no_saga_is_meant(  # noqa: PLR0913 - fixtures and parameters
    run: Run,
    capsys: pytest.CaptureFixture[str],
    *,
    command: str,
    arguments: tuple[str, ...],
    there: tuple[pb.Saga, ...],
    said: str,
) -> None:
    """Where no single saga is meant, or it is not parked, that is said, and nothing is done."""
    more = ("--note", "done", "--yes") if command == "resolve" else ()
    code, desk = run(command, *arguments, *more, there=there)
    assert (code, desk.done) == (1, [])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_a_resolve_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    code: int,
) -> None:
    """A resolve says what it means and asks; only a yes makes it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{answer}\n"))
    ended, desk = run("resolve", REFERENCE, "--note", "by hand", there=(saga(),))
    assert ended == code
    assert [one.note for one in desk.done] == ["by hand"] * (code == 0)
    shown = capsys.readouterr().out
    assert f"is parked at 'refund' (give_back_payment).\nLast error: {REFUSED}\n" in shown
    assert "without trying it again" in shown


def test_a_resolve_without_a_question(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--yes` a resolve is made at once; an empty note is refused even then."""
    _, desk = run("resolve", REFERENCE, "--note", "by hand", "--yes", there=(saga(),))
    assert len(desk.done) == 1
    code, desk = run("resolve", REFERENCE, "--note", " ", "--yes", there=(saga(),))
    assert (code, desk.done) == (1, [])
    assert "--note must say" in capsys.readouterr().err


def test_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no stack runs, a command says how to start one."""
    monkeypatch.setenv("AUTH_JWT_SECRET", SECRET)
    monkeypatch.setenv("BOOKING_LISTEN", "127.0.0.1:1")
    for command in (["sagas", "list"], ["watch", "5001"], ["watch", REFERENCE]):
        monkeypatch.setattr(sys, "argv", ["holdfast", *command])
        with pytest.raises(SystemExit) as ended:
            main.app()
        assert ended.value.code == 1
        assert "'holdfast up' starts everything" in capsys.readouterr().err
