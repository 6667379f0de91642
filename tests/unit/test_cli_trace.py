"""`holdfast trace`: how a story is shown, and what is asked of whom."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from holdfast.booking.v1 import booking_pb2, saga_pb2
from holdfast.inventory.v1 import inventory_pb2
from holdfast.payment.v1 import payment_pb2
from rich.console import Console
from support.stories import (
    BEGAN,
    PAYMENT_ID,
    REFERENCE,
    REFUND_ID,
    TRACE_ID,
    action,
    at,
    booking,
    cancelled,
    payment,
    reservations,
    saga,
    said,
)
from support.tokens import SECRET

from chassis.status import ErrorInfo
from cli import main, screen, trace, trace_views
from cli.calls import Refused
from cli.failure import Unreachable
from cli.programs import BOOKING, INVENTORY, PAYMENT, Program
from cli.story import Facts

# As wide as it has to be readable.
WIDTH = 100
NOW = BEGAN + timedelta(seconds=30)
ESCAPE = "\x1b"
Run = Callable[..., int]

LONG = "A" + " the provider did not say anything at all" * 4


STORY = f"""\
{REFERENCE} (booking 5001): CANCELLED
  user     ann
  seats    A1, A2 of event 987: CANCELLED
  price    150.00 USD
  payment  {PAYMENT_ID}: REFUNDED · 150.00 USD · visa 4242
  refund   {REFUND_ID}: REFUNDED · 150.00 USD · BOOKING_CANCELLED
  asked    2026-11-16 10:30:02.000 UTC

     time     took  service        what
2026-11-16 10:30:00.000 UTC
 +0.000 s           inventory_svc  seats A1, A2 RESERVED
        …  nothing for 2.000 s
 +2.000 s           booking_svc    ConfirmBooking · by ann · begins confirm_booking · request req-1
                                   trace {TRACE_ID}
 +2.010 s  0.200 s  booking_svc    take_payment DONE · attempt 1
 +2.020 s  0.170 s  payment_svc    CHARGE ASKED · by booking_svc · 150.00 USD · payment PENDING
 +2.190 s           payment_svc    CHARGE SUCCEEDED · by provider/mock · txn_1 · payment SUCCESS
 +2.250 s  0.040 s  booking_svc    confirm_seats DONE · attempt 1
 +2.260 s           inventory_svc  seats A1, A2 CONFIRMED
 +2.300 s           booking_svc    booking CONFIRMED
        …  nothing for 9.700 s
+12.000 s           booking_svc    CancelBooking · by ann · begins cancel_booking · request req-2
+12.010 s  0.010 s  booking_svc    release_seats DONE · attempt 1
+12.015 s           inventory_svc  seats A1, A2 CANCELLED · free for others
+12.020 s  0.170 s  booking_svc    give_back_payment DONE · attempt 1
+12.030 s           payment_svc    CANCEL ASKED · by booking_svc · BOOKING_CANCELLED
+12.040 s  0.140 s  payment_svc    REFUND ASKED · by booking_svc · {REFUND_ID}
+12.180 s           payment_svc    WEBHOOK SUCCEEDED · by provider/mock · msg_1
                                   {REFUND_ID} · payment REFUNDED
+12.200 s           booking_svc    booking CANCELLED

Settled: CANCELLED, 0.200 s after CancelBooking.
"""


def shown(facts: Facts, *missing: str) -> list[str]:
    """What is shown of a story, line by line."""
    with screen.out.capture() as captured:
        trace_views.show(facts, missing, NOW)
    return captured.get().splitlines()


def long_story() -> Facts:
    """One with long words, many seats, and an answer of more than a line."""
    facts = cancelled()
    confirming, *rest = facts.sagas
    seats = [
        booking_pb2.Booking.BookedSeat(seat_number=f"Balcony-{n}", reservation_id=n)
        for n in range(1, 51)
    ]
    present = booking(seats=seats, failure_message=LONG, failure_reason="SEATS_LOST")
    confirming.booking.CopyFrom(present)
    record = action(2.4, "take_payment", "UNKNOWN", detail=LONG)
    confirming.timeline.append(record)
    for one in rest:
        one.booking.CopyFrom(present)
    held = []
    for number in range(50):
        (one, _) = reservations(confirmed_at=3)
        one.seat.seat_number = f"Balcony-{number}"
        held.append(one)
    return replace(facts, reservations=held)


def test_the_whole_story() -> None:
    """A header says what the booking is; the timeline, what happened; the end, how it stands."""
    assert "\n".join(shown(cancelled())) == STORY


def test_a_hundred_columns() -> None:
    """No line is wider than a hundred columns, whatever there is to say."""
    lines = shown(long_story())
    assert max(map(len, lines)) <= WIDTH
    text = " ".join(" ".join(lines).split())
    assert LONG in text
    assert "Balcony-48, Balcony-49 CONFIRMED" in text


def test_a_wider_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that is wider than that is used."""
    monkeypatch.setattr(screen.out, "_width", 200)
    widest = max(map(len, shown(long_story())))
    assert WIDTH < widest <= screen.out.width


def test_a_word_that_is_too_long() -> None:
    """A word that fits no line stands in one of its own, whole, to be copied."""
    request = "r" * 128
    lines = shown(Facts([saga(request_id=request)]))
    assert [line.strip() for line in lines if request in line] == [request]


def test_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a pipe and with NO_COLOR there is no colour; each state is a word with or without."""
    plain = shown(cancelled())
    assert ESCAPE not in "".join(plain)
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Console(highlight=False, force_terminal=True, width=WIDTH)
    monkeypatch.setattr(screen, "out", terminal)
    monkeypatch.setattr(trace_views, "out", terminal)
    written = shown(cancelled())
    # Bold and dim are no colours.
    assert set(re.findall(r"\x1b\[([0-9;]*)m", "\n".join(written))) <= {"", "0", "1", "2"}
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in written] == plain


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0004, "+0.000 s"),
        (59.9994, "+59.999 s"),
        (59.9996, "+1:00.000"),
        (3599.5, "+59:59.500"),
        (3723.045, "+1:02:03.045"),
        (176523.045, "+2 d 01:02:03.045"),
    ],
)
def test_how_times_are_written(seconds: float, told: str) -> None:
    """Times are to the millisecond, in seconds up to a minute and like a clock beyond."""
    first = said(0, "CHARGE", "ASKED", "PENDING")
    last = said(seconds, "LOOKUP", "PENDING", "PENDING")
    lines = shown(Facts(payments=[payment(log=[first, last])]))
    assert [line.split("  payment_svc")[0].strip() for line in lines if "LOOKUP" in line] == [told]


def test_a_long_silence() -> None:
    """After a silence of a minute or more the time of day is told again."""
    first = said(0, "CHARGE", "ASKED", "PENDING")
    last = said(7200, "LOOKUP", "PENDING", "PENDING")
    lines = shown(Facts(payments=[payment(log=[first, last])]))
    (silence,) = [line for line in lines if "…" in line]
    assert silence.strip() == "…  nothing for 2:00:00.000, until 2026-11-16 12:30:00.000 UTC"


def test_a_parked_booking() -> None:
    """The footer of a parked booking says where it stands, why, and which command to type."""
    parked = saga(
        "cancel_booking",
        "NEEDS_ATTENTION",
        step="refund",
        tries=5,
        last_error="PAYMENT_NOT_REFUNDABLE: the provider [says] no",
        booking=booking("CANCELLING"),
        timeline=[action(3, "give_back_payment", "REFUSED", step="refund")],
    )
    footer = shown(Facts([saga(), parked]))[-5:-1]
    assert footer == [
        "Parked: cancel_booking NEEDS_ATTENTION at refund (give_back_payment); a person is needed.",
        "Last error: PAYMENT_NOT_REFUNDABLE: the provider [says] no",
        f"Try again:     holdfast sagas retry {REFERENCE}",
        f'Done by hand:  holdfast sagas resolve {REFERENCE} --note "what you did"',
    ]


@pytest.mark.parametrize(
    ("owner", "until_s", "told"),
    [
        ("", 34.2, "RUNNING; next is charge (take_payment) in 4.200 s, at 2026-11-16 10:30:34.200"),
        ("", 28, "RUNNING; next is charge (take_payment), due since 2.000 s."),
        ("rep_1", 40, "RUNNING in rep_1; next is charge (take_payment)."),
        (
            "rep_1",
            25,
            "RUNNING in rep_1; next is charge (take_payment); its lease is over since 5.000 s: an",
        ),
    ],
    ids=["rests", "due", "runs", "gone"],
)
def test_a_booking_that_goes_on(owner: str, until_s: float, told: str) -> None:
    """The footer of a booking that is not settled says what is next, when, and where."""
    running = saga(
        state="RUNNING",
        step="charge",
        owner=owner,
        leased_until=at(until_s),
        tries=2,
        last_error="DEADLINE_EXCEEDED",
        booking=booking("PENDING"),
        timeline=[action(3, "take_payment", "UNKNOWN")],
    )
    text = " ".join(" ".join(shown(Facts([running], [payment("PENDING")]))).split())
    assert f"Going on: confirm_booking is {told}" in text
    assert "Last answer: DEADLINE_EXCEEDED (came to nothing 2 times)" in text
    assert f"Look again: holdfast trace {REFERENCE}" in text
    assert f"Still open: payment {PAYMENT_ID} is PENDING; payment_svc asks" in text


def test_what_users_write_is_no_order_to_a_terminal() -> None:
    """A name or a reason with control characters moves no cursor and makes no line of its own."""
    facts = cancelled()
    reason = f"late\n+0.500 s          booking_svc    booking CONFIRMED{ESCAPE}[2J"
    asked = said(3, "REFUND", "ASKED", "SUCCESS", detail=reason, actor=f"ann{ESCAPE}]0;x\x07")
    for saga_of in facts.sagas:
        saga_of.booking.user_id = f"ann{ESCAPE}[2J\nbob"
    facts.payments[0].log.append(asked)
    lines = shown(facts)
    assert not [line for line in lines if not line.isprintable()]
    (forged,) = [line for line in lines if "late" in line]
    assert "payment_svc" in forged or forged.startswith(" " * 20)
    assert any("ann" in line and "bob" in line for line in lines)


def test_what_only_a_newer_contract_knows() -> None:
    """A value that this command does not know is shown by its number, and not a traceback."""
    strange = booking("FAILED", failure_reason=999, failure_message="the moon", payment_status=77)
    lines = shown(Facts([saga(state="UNDONE", booking=strange)], [payment("FAILED")]))
    assert any("999: the moon" in line for line in lines)


def test_what_is_missing() -> None:
    """A story without a service says so, and says what the booking knew of its payment."""
    present = booking("CONFIRMED", payment_status="SUCCESS", confirmed_at=at(3))
    lines = shown(Facts([saga(booking=present)]), "payment_svc", "inventory_svc")
    assert f"  payment  {PAYMENT_ID}: SUCCESS when the booking last changed" in lines
    assert lines[-4:-1] == [
        "Settled: CONFIRMED, 1.000 s after ConfirmBooking.",
        "Missing here: what payment_svc knows.",
        "Missing here: what inventory_svc knows.",
    ]


class FakeDesk:
    """The desk of a program that says these, or fails with this."""

    def __init__(self, program: Program, facts: Facts, failure: Exception | None) -> None:
        self.channel = grpc.insecure_channel("127.0.0.1:1")
        self.program, self.facts, self.failure = program, facts, failure

    def ask(self, _method: Any, request: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        return getattr(self, f"_{type(request).__name__}")(request)

    def _ListSagasRequest(self, request: saga_pb2.ListSagasRequest) -> Any:
        there = [
            one for one in self.facts.sagas if one.booking_reference == request.booking_reference
        ]
        return saga_pb2.ListSagasResponse(sagas=there)

    def _GetSagaRequest(self, request: saga_pb2.GetSagaRequest) -> Any:
        for one in self.facts.sagas:
            if (one.booking_id, one.name) == (request.booking_id, request.name):
                return one
        raise Refused(ErrorInfo(grpc.StatusCode.NOT_FOUND, "SAGA_NOT_FOUND", {}, "no"), 0.0)

    def _ListPaymentsRequest(self, request: payment_pb2.ListPaymentsRequest) -> Any:
        found = self.facts.payments if request.booking_reference == REFERENCE else ()
        return payment_pb2.ListPaymentsResponse(payments=found)

    def _GetPaymentRequest(self, request: payment_pb2.GetPaymentRequest) -> Any:
        assert request.view == payment_pb2.GetPaymentRequest.FULL
        (found,) = [one for one in self.facts.payments if one.payment_id == request.payment_id]
        return found

    def _GetReservationsRequest(self, request: inventory_pb2.GetReservationsRequest) -> Any:
        assert list(request.ids) == [one.reservation_id for one in self.facts.reservations]
        return inventory_pb2.GetReservationsResponse(reservations=self.facts.reservations)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `holdfast trace …` as a shell would; some of the services may fail."""
    channels: list[grpc.Channel] = []

    def run(*arguments: str, facts: Facts | None = None, **failures: Exception) -> int:
        @contextmanager
        def opened(program: Program) -> Iterator[FakeDesk]:
            desk = FakeDesk(program, facts or cancelled(), failures.get(program.name))
            channels.append(desk.channel)
            yield desk

        monkeypatch.setattr(trace, "_opened", opened)
        monkeypatch.setattr(sys, "argv", ["holdfast", "trace", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.app()
        return ended.value.code or 0

    yield run
    for channel in channels:
        channel.close()


@pytest.mark.parametrize("named", [REFERENCE, REFERENCE.lower(), "5001"])
def test_a_booking_by_its_names(run: Run, capsys: pytest.CaptureFixture[str], named: str) -> None:
    """A booking is traced by its reference and by its number, and all services are asked."""
    assert run(named) == 0
    told = capsys.readouterr()
    assert told.err == ""
    for service in (BOOKING, PAYMENT, INVENTORY):
        assert service.name in told.out


def test_a_story_as_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` it is one object: the contract's messages, and the timeline."""
    assert run(REFERENCE, "--json") == 0
    entire = json.loads(capsys.readouterr().out)
    facts = cancelled()
    assert list(entire) == ["booking", "sagas", "payments", "reservations", "timeline"]
    assert ParseDict(entire["booking"], booking_pb2.Booking()) == facts.booking
    # The booking is there once.
    alone = [ParseDict(one, saga_pb2.Saga()) for one in entire["sagas"]]
    for one, whole in zip(alone, facts.sagas, strict=True):
        assert not one.HasField("booking")
        one.booking.CopyFrom(whole.booking)
        assert one == whole
    assert [ParseDict(one, payment_pb2.Payment()) for one in entire["payments"]] == facts.payments
    held = [ParseDict(one, inventory_pb2.Reservation()) for one in entire["reservations"]]
    assert held == facts.reservations
    assert entire["timeline"][2:4] == [
        {
            "time": "2026-11-16T10:30:02.010Z",
            "service": "booking_svc",
            "what": "take_payment",
            "outcome": "DONE",
            "details": ["attempt 1"],
            "duration": "0.200s",
        },
        {
            "time": "2026-11-16T10:30:02.020Z",
            "service": "payment_svc",
            "what": "CHARGE",
            "outcome": "ASKED",
            "details": ["by booking_svc", "150.00 USD", "payment PENDING"],
            "duration": "0.170s",
        },
    ]
    assert entire["timeline"][0]["duration"] is None


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("A1", "'A1' is no booking: give its reference, such as BK-2026-…, or its number"),
        (PAYMENT_ID, "is no booking: give its reference"),
        ("4711", "there is no booking 4711, or it never had a saga"),
        ("BK-2026-NOBODY", "there is no booking BK-2026-NOBODY, or it never had a saga"),
    ],
)
def test_what_names_no_booking_to_trace(
    run: Run, capsys: pytest.CaptureFixture[str], argument: str, said: str
) -> None:
    """What names no booking, or one that is not there, is one sentence and exit code 1."""
    assert run(argument) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("away", "missing"),
    [
        ("payment_svc", {"payment_svc"}),
        ("inventory_svc", {"inventory_svc"}),
        # Which seats it has only the booking knows.
        ("booking_svc", {"booking_svc", "inventory_svc"}),
    ],
)
@pytest.mark.parametrize(
    "failure",
    [
        Unreachable("it does not answer"),
        Refused(ErrorInfo(grpc.StatusCode.DEADLINE_EXCEEDED, "", {}, "too slow"), 45.0),
    ],
    ids=["gone", "slow"],
)
def test_a_service_that_is_away(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    away: str,
    missing: set[str],
    failure: Exception,
) -> None:
    """Without a service the others' part is shown, what is missing is said; exit code 1."""
    assert run(REFERENCE, **{away: failure}) == 1
    told = capsys.readouterr()
    assert {f"Missing here: what {one} knows." for one in missing} <= set(told.out.splitlines())
    for service in (BOOKING, PAYMENT, INVENTORY):
        assert (f" {service.name}  " in told.out) == (service.name not in missing)
    assert told.err.startswith("holdfast: this is not the whole story\n")
    assert str(failure) in told.err
    assert away in told.err or isinstance(failure, Unreachable)
    run(REFERENCE, "--json", **{away: failure})
    entire = json.loads(capsys.readouterr().out)
    parts = {"booking_svc": "sagas", "payment_svc": "payments", "inventory_svc": "reservations"}
    assert {name for name, part in parts.items() if entire[part] is None} == missing


@pytest.mark.parametrize("argument", [REFERENCE, "5001"])
def test_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    """Where no service answers, the command says how to start one, and shows nothing."""
    monkeypatch.setenv("AUTH_JWT_SECRET", SECRET)
    for program in (BOOKING, PAYMENT, INVENTORY):
        monkeypatch.setenv(program.listen_variable, "127.0.0.1:1")
    monkeypatch.setattr(sys, "argv", ["holdfast", "trace", argument])
    with pytest.raises(SystemExit) as ended:
        main.app()
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "booking_svc does not answer at 127.0.0.1:1. 'holdfast up' starts" in told.err


def test_a_token_that_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Where every service refuses the token, that is said once, with what to do about it."""
    refused = Refused(ErrorInfo(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", {}, "no"), 0.0)
    assert run(REFERENCE, booking_svc=refused, payment_svc=refused) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("TOKEN_INVALID") == 1
    assert "set AUTH_JWT_SECRET" in told.err
