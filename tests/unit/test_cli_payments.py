"""`holdfast payments`: what is shown of payments, and how their stream is followed."""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import Parse
from google.type.decimal_pb2 import Decimal
from holdfast.payment.v1 import payment_pb2 as pb
from rich.console import Console
from support.tokens import SECRET

from chassis.status import ErrorInfo
from cli import calls, main, payment_feed, payment_views, payments, screen
from cli.calls import Refused

ID, REFERENCE = "pay_01HZX2V7Q8J5M3N4P6R7S8T9VW", "BK-2026-BCDFGHJKLM"
ANOTHER = "pay_01HZX2V7Q8J5M3N4P6R7S8T9VX"
REFUND = "ref_01HZX2V7Q8J5M3N4P6R7S8T9VY"
STOPPED = Refused(ErrorInfo(grpc.StatusCode.UNAVAILABLE, "", {}, "gone"), 0.0)
AT = "2026-11-16 10:30:00.042"
WHY = "CARD_DECLINED"
NOTHING = Decimal(value="0.00")
Run = Callable[..., Any]
Script = Sequence[pb.PaymentEvent | BaseException]


def entry(action: str, outcome: str, status: str, **more: Any) -> pb.PaymentLogEntry:
    made = pb.PaymentLogEntry(
        actor="provider/mock", action=action, outcome=outcome, status=status, **more
    )
    made.happened_at.FromJsonString("2026-11-16T10:30:00.042Z")
    return made


def payment(status: str = "PARTIALLY_REFUNDED", **changes: Any) -> pb.Payment:
    given = {
        "payment_id": ID,
        "booking_reference": REFERENCE,
        "amount": Decimal(value="150.00"),
        "currency": "USD",
        "refunded_amount": Decimal(value="50.00"),
        "user_id": "ann",
        "payment_method": pb.PaymentMethodSummary(brand="visa", last_four="4242"),
    }
    made = pb.Payment(status=status, **{**given, **changes})
    made.created_at.FromJsonString("2026-11-16T10:29:59Z")
    return made


def full() -> pb.Payment:
    refund = pb.Refund(
        refund_id=REFUND,
        status="REFUNDED",
        refunded_amount=Decimal(value="50.00"),
        currency="USD",
        payment_id=ID,
        reason="one [bad] seat",
    )
    log = [
        entry("CHARGE", "UNKNOWN", "PENDING", detail="the answer is lost"),
        entry("WEBHOOK", "SUCCEEDED", "SUCCESS", detail="msg_1"),
        entry("REFUND", "SUCCEEDED", "PARTIALLY_REFUNDED", detail="txn_2", refund_id=REFUND),
    ]
    return payment(refunds=[refund], log=log)


def event(number: int, **changes: Any) -> pb.PaymentEvent:
    made = pb.PaymentEvent(cursor=f"c{number}", payment=payment(**changes))
    made.occurred_at.FromJsonString("2026-11-16T10:30:00.042Z")
    return made


class FakeDesk:
    """A payment adapter that has some payments, and whose stream follows a script."""

    def __init__(self, there: Sequence[pb.Payment], scripts: Sequence[Script]) -> None:
        self.channel = grpc.insecure_channel("127.0.0.1:1")
        self.target = "127.0.0.1:1"
        self.there = there
        self.scripts = list(scripts)
        self.cursors: list[str] = []

    def ask(self, _method: Any, request: Any) -> Any:
        if isinstance(request, pb.ListPaymentsRequest):
            return self._page(request)
        assert request.view == pb.GetPaymentRequest.FULL
        for one in self.there:
            if one.payment_id == request.payment_id:
                return one
        raise Refused(ErrorInfo(grpc.StatusCode.NOT_FOUND, "PAYMENT_NOT_FOUND", {}, "no"), 0.0)

    def listen(self, _method: Any, request: pb.StreamPaymentEventsRequest) -> Iterator[Any]:
        self.cursors.append(request.cursor)
        for one in self.scripts.pop(0):
            if isinstance(one, BaseException):
                raise one
            yield one

    def _page(self, request: pb.ListPaymentsRequest) -> pb.ListPaymentsResponse:
        begin = int(request.page_token or 0)
        wanted = request.booking_reference
        fits = [one for one in self.there if wanted in ("", one.booking_reference)]
        end = begin + min(request.page_size or 50, 1000)
        return pb.ListPaymentsResponse(
            payments=fits[begin:end], next_page_token=str(end) if fits[end:] else ""
        )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `holdfast payments …` as a shell would, where these are; gives the exit code."""
    desks: list[FakeDesk] = []

    def run(
        *arguments: str, there: Sequence[pb.Payment] = (), scripts: Sequence[Script] = ()
    ) -> tuple[Any, FakeDesk]:
        desk = FakeDesk(there, scripts)
        desks.append(desk)

        @contextmanager
        def opened() -> Iterator[FakeDesk]:
            yield desk

        monkeypatch.setattr(payments, "_opened", opened)
        monkeypatch.setattr(sys, "argv", ["holdfast", "payments", *arguments])
        monkeypatch.setattr(calls, "is_serving", lambda _: True)
        monkeypatch.setattr(time, "sleep", lambda _: None)
        with pytest.raises(SystemExit) as ended:
            main.app()
        return ended.value.code or 0, desk

    yield run
    for desk in desks:
        desk.channel.close()


def test_a_list(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A payment is one line: id, booking, status, amount, refunded, when, user, means, decline."""
    declined = {"error_code": "CARD_DECLINED", "error_message": "The card was [declined]."}
    there = (payment(), payment("FAILED", payment_id=ANOTHER, **declined))
    assert run("list", there=there)[0] == 0
    _, one, other = (line.split() for line in capsys.readouterr().out.splitlines())
    assert one == [
        ID, REFERENCE, "PARTIALLY_REFUNDED", "150.00", "USD", "50.00", "2026-11-16", "10:29:59",
        "ann", "visa", "4242",
    ]  # fmt: skip
    assert other[-5:] == ["CARD_DECLINED:", "The", "card", "was", "[declined]."]


def test_a_list_of_one_booking(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--booking` only its payments are listed; where there is none, that is said."""
    there = (payment(), payment(payment_id=ANOTHER, booking_reference="BK-2026-ANOTHER"))
    run("list", "--booking", "bk-2026-another", there=there)
    shown = capsys.readouterr().out
    assert ANOTHER in shown
    assert ID not in shown
    run("list", "--booking", "BK-2026-NOBODY", there=there)
    assert capsys.readouterr().out == "There is no payment of BK-2026-NOBODY.\n"
    run("list")
    assert capsys.readouterr().out == "There is no payment.\n"


def test_a_long_list(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of payments is as long as asked for, over pages, and says if there is more."""
    there = [payment() for _ in range(1500)]
    run("list", "--limit", "1200", there=there)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 1200 + 1
    assert lines[-1] == "There are more than 1200: --limit N shows more of them."
    run("list", "--limit", "1500", there=there)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 1500


def test_a_payment_with_its_log(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A payment is shown with its refunds and a line for each entry of its log, in order."""
    assert run("show", ID, there=(full(),))[0] == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{ID} of {REFERENCE}: PARTIALLY_REFUNDED\n")
    assert "method      visa 4242" in shown
    assert "answered    not yet" in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    (refund,) = [line for line in lines if line.startswith("ref_")]
    assert refund == f"{REFUND} REFUNDED 50.00 USD one [bad] seat"
    at = f"{AT} provider/mock"
    assert [line for line in lines if "provider/mock" in line] == [
        f"{at} CHARGE UNKNOWN PENDING the answer is lost",
        f"{at} WEBHOOK SUCCEEDED SUCCESS msg_1",
        f"{at} REFUND SUCCEEDED PARTIALLY_REFUNDED txn_2 · {REFUND}",
    ]


def test_the_payments_of_a_booking(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for by a booking, each of its payments is shown, the oldest first."""
    newest_first = (payment(payment_id=ANOTHER), full())
    assert run("show", REFERENCE.lower(), there=newest_first)[0] == 0
    shown = capsys.readouterr().out
    assert 0 <= shown.index(f"{ID} of") < shown.index(f"{ANOTHER} of")


def test_payments_as_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` the output is the contract's message in JSON: one payment, or a list."""
    run("show", ID, "--json", there=(full(),))
    assert Parse(capsys.readouterr().out, pb.Payment()) == full()
    for command in (["show", REFERENCE], ["list"]):
        run(*command, "--json", there=(full(),))
        assert list(Parse(capsys.readouterr().out, pb.ListPaymentsResponse()).payments) == [full()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", ID), f"there is no payment {ID}; 'holdfast payments list' shows which are"),
        (("show", REFERENCE), f"there is no payment of {REFERENCE}; 'holdfast payments list'"),
        (("show", "pay_1"), "'pay_1' is no payment: give its id, pay_ and 26 letters and digits"),
        (("show", "5001"), "'5001' is no payment"),
        (("list", "--booking", "5001"), "--booking '5001' is no booking: give its reference"),
        (("watch", "--booking", ID), f"--booking '{ID}' is no booking: give its reference"),
    ],
)
def test_what_names_no_payment(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    """What is not there, or is no name of a payment, is one sentence that says what to do."""
    assert run(*arguments)[0] == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert len(told.err.splitlines()) == 1


def test_a_very_long_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the contract cuts a log off, that is said."""
    entries = [entry("LOOKUP", "PENDING", "PENDING")] * payment_views.LOG_LENGTH_MAX
    payment_views.show_one(payment(log=entries))
    assert "These are the last 1,000 entries.\n" in capsys.readouterr().out
    payment_views.show_one(payment(log=entries[1:]))
    assert "These are the last" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (
            event(1),
            f"{AT}  PARTIALLY_REFUNDED  {ID} · {REFERENCE} · 150.00 USD · refunded 50.00",
        ),
        (
            event(1, status="FAILED", refunded_amount=NOTHING, error_code=2),
            f"{AT}  FAILED              {ID} · {REFERENCE} · 150.00 USD · refunded 0.00 · {WHY}",
        ),
    ],
    ids=["refunded", "declined"],
)
def test_an_event_in_a_line(shown: pb.PaymentEvent, line: str) -> None:
    """A line says when it was, where the payment stood, which it is, and what it comes to."""
    assert "".join(map(str, payment_views.event_line(shown))) == line


def test_watching_until_ctrl_c(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a watch well, and tells beside the output how to go on after the last event."""
    another = event(2, booking_reference="BK-2026-ANOTHER")
    script = [event(1), another, KeyboardInterrupt()]
    code, desk = run("watch", "--cursor", "c0", "--booking", REFERENCE, scripts=[script])
    assert (code, desk.cursors) == (0, ["c0"])
    told = capsys.readouterr()
    assert [REFERENCE in line for line in told.out.splitlines()] == [True]
    assert told.err == (
        f"to go on from here: holdfast payments watch --cursor c2 --booking {REFERENCE}\n"
    )


def test_watching_where_nothing_happens(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Who leaves before the first event is told that there was none."""
    assert run("watch", scripts=[[KeyboardInterrupt()]])[0] == 0
    assert capsys.readouterr() == ("", "nothing has happened so far\n")


def test_watching_for_a_program(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` each line is an event, and a stop of the server is told beside them."""
    scripts = [[event(1), STOPPED], [event(2), KeyboardInterrupt()]]
    code, desk = run("watch", "--json", scripts=scripts)
    told = capsys.readouterr()
    assert (code, desk.cursors) == (0, ["", "c1"])
    assert [Parse(line, pb.PaymentEvent()) for line in told.out.splitlines()] == [
        event(1),
        event(2),
    ]
    assert json.loads(told.out.splitlines()[0])["cursor"] == "c1"
    assert told.err.splitlines()[:2] == [payment_feed.GONE, payment_feed.BACK]


def test_a_cursor_of_another_stream(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A cursor that is refused is one sentence."""
    bad = Refused(ErrorInfo(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {}, "no"), 0.0)
    assert run("watch", "--cursor", "x", scripts=[[bad]])[0] == 1
    assert "--cursor 'x' is none of this stream" in capsys.readouterr().err


class Terminal:
    """Follows a stream by a script, and notes what is told, in its order, and the naps."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.told: list[object] = []
        self.naps: list[float] = []
        # How often a look at the server finds it away, after each stop.
        self.away = 0

    def follow(self, cursor: str = "") -> list[object]:
        events = payment_feed.follow(
            self._subscribe, cursor, self._is_back, self.told.append, self.naps.append
        )
        with pytest.raises((KeyboardInterrupt, Refused)):
            self.told.extend(f"{one.cursor}" for one in events)
        return self.told

    def _subscribe(self, cursor: str) -> Iterator[pb.PaymentEvent]:
        self.told.append(f"after {cursor}")
        for one in self.scripts.pop(0) if self.scripts else [KeyboardInterrupt()]:
            if isinstance(one, BaseException):
                raise one
            yield one

    def _is_back(self) -> bool:
        self.away -= 1
        return self.away < 0


def test_a_stream_goes_on_where_it_was() -> None:
    """After a stop the stream goes on after its last event, and what comes twice is told once."""
    terminal = Terminal([event(1), event(2), STOPPED], [event(2), event(3)], [STOPPED])
    gone, back = payment_feed.GONE, payment_feed.BACK
    assert terminal.follow("c0") == [
        "after c0", "c1", "c2", gone, back, "after c2", "c3", gone, back, "after c3", gone, back,
        "after c3",
    ]  # fmt: skip


def test_a_server_that_stays_away() -> None:
    """The pauses grow to a bound while the server is away, and are short again after an event."""
    terminal = Terminal([event(1), STOPPED], [STOPPED], [event(2), STOPPED])
    terminal.away = 6
    terminal.follow()
    assert terminal.naps == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 0.5]
    assert terminal.told.count(payment_feed.GONE) == 3


def test_a_refused_stream() -> None:
    """What is no stop of the server ends the stream with that error."""
    overloaded = Refused(ErrorInfo(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", {}, ""), 0.0)
    terminal = Terminal([event(1), overloaded])
    assert terminal.follow() == ["after ", "c1"]
    assert terminal.naps == []


@pytest.mark.parametrize(
    "command",
    [["payments", "list"], ["payments", "show", ID], ["payments", "watch"], ["cards"]],
    ids=["list", "show", "watch", "cards"],
)
def test_no_stack_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """Where no payment adapter answers, each command says how to start one."""
    monkeypatch.setenv("AUTH_JWT_SECRET", SECRET)
    monkeypatch.setenv("PAYMENT_LISTEN", "127.0.0.1:1")
    monkeypatch.setattr(sys, "argv", ["holdfast", *command])
    with pytest.raises(SystemExit) as ended:
        main.app()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "payment_svc does not answer at 127.0.0.1:1" in said
    assert "PAYMENT_LISTEN=HOST:PORT" in said


@pytest.mark.parametrize(
    ("refused", "hint"),
    [
        ((grpc.StatusCode.UNIMPLEMENTED, ""), "of another version than this command"),
        ((grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"), "restart it"),
        ((grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"), "set AUTH_JWT_SECRET"),
    ],
    ids=["method", "scope", "secret"],
)
def test_what_to_do_about_a_refusal(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refused: tuple[grpc.StatusCode, str],
    hint: str,
) -> None:
    """A refusal that the command itself is the reason of comes with what to do."""

    def refuse(*_: object) -> None:
        raise Refused(ErrorInfo(*refused, {}, "no"), 0.0)

    monkeypatch.setattr(FakeDesk, "ask", refuse)
    assert run("list")[0] == 1
    assert hint in capsys.readouterr().err


def test_notes_are_not_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told beside the output is printed as it is, without markup."""
    told = io.StringIO()
    monkeypatch.setattr(screen, "err", Console(file=told))
    screen.tell("a [note]")
    assert told.getvalue() == "a [note]\n"
