"""One request is one trace and one request id through all programs, also when one of them dies."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.otlp import Receiver, Span, receiving
from support.rest import Rest

from chassis.tracing import LAST_SPANS_S

GATEWAY, BOOKING, PAYMENT, INVENTORY = "gateway", "booking_svc", "payment_svc", "inventory_svc"
PROGRAMS = (GATEWAY, BOOKING, PAYMENT, INVENTORY)
API = "holdfast.{0}.v1.{1}Service/{2}".format
CONFIRM, PROCESS = (
    API("booking", "Booking", "ConfirmBooking"),
    API("payment", "Payment", "ProcessPayment"),
)
CARD_NUMBER = "4242424242424242"
CARD = {
    "type": "CREDIT_CARD",
    "cardNumber": CARD_NUMBER,
    "expiryMonth": 12,
    "expiryYear": 2040,
    "cvv": "123",
}
READ_AND_LAST = ("Get", "Confirm")
WAIT_S = 30.0
# How long the provider thinks: long enough to kill somebody meanwhile.
THINKING_S = 1.0
SETTINGS = {
    "PAYMENT_MOCK_DELAY_MIN_S": str(THINKING_S),
    "PAYMENT_MOCK_DELAY_MAX_S": str(THINKING_S),
    "BOOKING_LEASE_S": "2",
    "BOOKING_RECOVERY_INTERVAL_S": "0.1",
}


@dataclass(frozen=True)
class Request:
    """What a caller says of a request: its name, and the span that it is part of."""

    request_id: str
    trace_id: str
    span_id: str

    @property
    def headers(self) -> dict[str, str]:
        return {
            "x-request-id": self.request_id,
            "traceparent": f"00-{self.trace_id}-{self.span_id}-01",
        }


def request(number: int) -> Request:
    return Request(f"request-{number}", f"{number:032x}", f"{number:016x}")


class Traced:
    """The four programs, their client and who receives their spans."""

    def __init__(self, programs: Any, receiver: Receiver, rest: Rest) -> None:
        self.programs, self.receiver, self.rest = programs, receiver, rest

    def confirm(self, seat: str, about: Request) -> dict[str, Any]:
        held = self.rest.hold(self.rest.event(), seat)
        body = {"reservationIds": held, "paymentMethod": CARD}
        answer = self.rest(
            "POST", "/api/bookings/confirm", body, key=about.request_id, headers=about.headers
        )
        assert answer.status_code == 201, answer.text
        assert answer.headers["x-request-id"] == about.request_id
        return answer.json()

    def one(self, about: Request, program: str, name: str, kind: str) -> Span:
        """The only such span in the trace of a request; waits for it."""

        def found() -> list[Span]:
            return self.receiver.spans(
                trace_id=about.trace_id, program=program, name=name, kind=kind
            )

        self.receiver.wait_for(lambda: bool(found()))
        (span,) = found()
        return span

    def path(self, about: Request, span: Span) -> list[tuple[str, str]]:
        """The way from the caller of a request to a span; waits until all of it has come."""

        def began() -> bool:
            parents = self.receiver.above(span)
            return parents[0].parent_id == about.span_id

        self.receiver.wait_for(began)
        return [(one.program, one.name) for one in self.receiver.above(span)]

    def lines(self) -> list[dict[str, Any]]:
        """The log lines of all programs: each is an object of JSON."""
        return [
            json.loads(line)
            for name in PROGRAMS
            for line in (self.programs.folder / f"{name}.log").read_text().splitlines()
        ]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def rest_settings(receiver: Receiver) -> dict[str, str]:
    return {**SETTINGS, **receiver.settings}


@pytest.fixture(scope="module")
def traced(rest_stack: Any, receiver: Receiver, rest: Rest) -> Traced:
    return Traced(rest_stack, receiver, rest)


@pytest.fixture(scope="module")
def booked(traced: Traced) -> tuple[Request, dict[str, Any]]:
    """A booking that went well."""
    about = request(1)
    return about, traced.confirm("A1", about)


def test_a_booking(traced: Traced, booked: tuple[Request, dict[str, Any]]) -> None:
    """A booking is one trace from the caller's span to the provider's charge and the last step."""
    about, booking = booked
    root = traced.one(about, GATEWAY, "POST /api/bookings/confirm", "SERVER")
    assert root.parent_id == about.span_id
    asked = [
        (GATEWAY, "POST /api/bookings/confirm"),
        (GATEWAY, CONFIRM),
        (BOOKING, CONFIRM),
    ]
    get, confirm = (
        API("inventory", "Inventory", f"{one}Reservations") for one in ("Get", "Confirm")
    )
    read = traced.one(about, INVENTORY, get, "SERVER")
    assert traced.path(about, read) == [*asked, (BOOKING, get), (INVENTORY, get)]
    saga = (BOOKING, "saga confirm_booking")
    charge = traced.one(about, PAYMENT, "mock charge", "CLIENT")
    charging = [(BOOKING, "charge take_payment"), (BOOKING, PROCESS), (PAYMENT, PROCESS)]
    assert traced.path(about, charge) == [*asked, saga, *charging, (PAYMENT, "mock charge")]
    last = traced.one(about, INVENTORY, confirm, "SERVER")
    confirming = [(BOOKING, "confirm confirm_seats"), (BOOKING, confirm), (INVENTORY, confirm)]
    assert traced.path(about, last) == [*asked, saga, *confirming]
    # All of it hangs together.
    for one in traced.receiver.spans(trace_id=about.trace_id):
        assert traced.path(about, one)[0] == asked[0]
        assert one.links == ()
    served = [one for one in traced.receiver.spans(trace_id=about.trace_id) if one.kind == "SERVER"]
    assert {one.request_id for one in served} == {about.request_id}
    ran = traced.one(about, BOOKING, saga[1], "INTERNAL")
    assert (ran.request_id, ran.booking_reference) == (
        about.request_id,
        booking["bookingReference"],
    )


def test_its_log_lines(traced: Traced, booked: tuple[Request, dict[str, Any]]) -> None:
    """Each program's lines of a request say which one, its trace and, where known, its booking."""
    about, booking = booked
    lines = [one for one in traced.lines() if one.get("request_id") == about.request_id]
    assert {one["program"] for one in lines} == set(PROGRAMS)
    assert {one["trace_id"] for one in lines} == {about.trace_id}
    (request_line,) = [one for one in lines if one["program"] == GATEWAY]
    assert (request_line["event"], request_line["status"]) == ("request", 201)
    # One line for each call that was served.
    calls = sorted((one["program"], one["method"][1:]) for one in lines if one["event"] == "call")

    def served() -> list[tuple[str, str]]:
        spans = traced.receiver.spans(trace_id=about.trace_id, kind="SERVER")
        return sorted((one.program, one.name) for one in spans if one.program != GATEWAY)

    traced.receiver.wait_for(lambda: len(served()) >= len(calls))
    assert calls == served()
    about_it = [one for one in lines if one["program"] != GATEWAY]
    references = {
        one["method"].rpartition("/")[2] if one["event"] == "call" else one["event"]: one.get(
            "booking_reference"
        )
        for one in about_it
    }
    # The reservations are read before there is a booking.
    assert references.pop("GetReservations") is None
    assert set(references.values()) == {booking["bookingReference"]}
    assert references.keys() >= {
        "ConfirmBooking",
        "ProcessPayment",
        "ConfirmReservations",
        "saga_step",
    }


def test_every_line_is_of_its_program(traced: Traced, booked: object) -> None:
    """Where there is no terminal every line is JSON: when, what, how bad, and who wrote it."""
    assert booked
    for line in traced.lines():
        assert {"event", "level", "timestamp", "program"} <= line.keys()
    text = "".join(json.dumps(one) for one in traced.lines()) + traced.receiver.text
    assert CARD_NUMBER not in text
    assert "Bearer" not in text


def test_a_cancellation(traced: Traced, booked: tuple[Request, dict[str, Any]]) -> None:
    """A cancellation is a trace of its own, to the provider's refund."""
    _, booking = booked
    about = request(2)
    path = f"/api/bookings/{booking['bookingId']}/cancel"
    answer = traced.rest("POST", path, {}, headers=about.headers)
    assert answer.status_code == 200, answer.text
    refund = traced.one(about, PAYMENT, "mock refund", "CLIENT")
    cancel, give_back = (
        API("booking", "Booking", "CancelBooking"),
        API("payment", "Payment", "CancelPayment"),
    )
    assert traced.path(about, refund) == [
        (GATEWAY, "POST /api/bookings/{booking_id}/cancel"),
        (GATEWAY, cancel),
        (BOOKING, cancel),
        (BOOKING, "saga cancel_booking"),
        (BOOKING, "refund give_back_payment"),
        (BOOKING, give_back),
        (PAYMENT, give_back),
        (PAYMENT, "mock refund"),
    ]
    release = API("inventory", "Inventory", "CancelReservations")
    freed = traced.one(about, INVENTORY, release, "SERVER")
    assert (BOOKING, "saga cancel_booking") in traced.path(about, freed)
    saga = traced.one(about, BOOKING, "saga cancel_booking", "INTERNAL")
    assert saga.booking_reference == booking["bookingReference"]


def test_a_booking_whose_process_is_killed(traced: Traced) -> None:
    """A saga that another process takes over is a new trace, linked to its request, with its id."""
    about = request(3)
    programs, rest = traced.programs, traced.rest
    held = rest.hold(rest.event(), "A1")
    body = {"reservationIds": held, "paymentMethod": CARD}
    call = threading.Thread(
        target=rest,
        args=("POST", "/api/bookings/confirm", body),
        kwargs={"key": "k3", "headers": about.headers},
    )
    call.start()
    traced.receiver.wait_for(lambda: is_paying(programs))
    programs.running[BOOKING].process.send_signal(signal.SIGKILL)
    programs.running[BOOKING].process.wait()
    killed_at_s = time.time()
    call.join(WAIT_S)
    log = programs.folder / f"{BOOKING}.log"
    where = programs.running[BOOKING].address
    programs.start(BOOKING, **SETTINGS, **traced.receiver.settings, BOOKING_LISTEN=where)
    mine = "/api/bookings/me?pageSize=1"
    traced.receiver.wait_for(lambda: rest("GET", mine).status_code == 200)
    (booking,) = rest("GET", mine).json()["bookings"]
    path = f"/api/bookings/{booking['bookingId']}"
    traced.receiver.wait_for(lambda: rest("GET", path).json()["status"] == "CONFIRMED")

    def taken_over() -> list[Span]:
        found = traced.receiver.spans(name="saga confirm_booking", request_id=about.request_id)
        return [one for one in found if one.began_s > killed_at_s]

    traced.receiver.wait_for(lambda: "confirm confirm_seats" in last_names(traced, taken_over()))
    for saga in taken_over():
        assert (saga.parent_id, saga.links) == ("", (about.trace_id,))
        assert saga.trace_id != about.trace_id
        assert saga.booking_reference == booking["bookingReference"]
    # What it calls is part of the new trace, and under the old name.
    confirm = API("inventory", "Inventory", "ConfirmReservations")
    (served,) = [
        one
        for saga in taken_over()
        for one in traced.receiver.spans(trace_id=saga.trace_id, name=confirm, kind="SERVER")
    ]
    assert served.request_id == about.request_id
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [one for one in lines if one["event"] == "saga_step"]
    assert {one["request_id"] for one in steps} == {about.request_id}
    assert {one["trace_id"] for one in steps} == {one.trace_id for one in taken_over()}


def is_paying(programs: Any) -> bool:
    """Whether a payment is open."""
    request = {"pageSize": 100}
    found = programs.call(PAYMENT, "ListPayments", request, user="clerk", scope="payments").body
    return "PENDING" in [one.get("status", "PENDING") for one in found.get("payments", [])]


def last_names(traced: Traced, sagas: list[Span]) -> set[str]:
    return {one.name for saga in sagas for one in traced.receiver.spans(trace_id=saga.trace_id)}


def test_nobody_receives(programs: Any) -> None:
    """A receiver that is away, or silent, is a line in the log: all works, and ends in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        for name, receiver in ((INVENTORY, silent), (GATEWAY, free)):
            endpoint = f"http://127.0.0.1:{receiver.getsockname()[1]}"
            programs.start(name, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="50")
        with Rest.open(programs.url) as rest:
            rest.hold(rest.event(), "A1")
        began_s, running = time.monotonic(), programs.running.values()
        for one in running:
            one.process.terminate()
        for one in running:
            assert one.process.wait(WAIT_S) == 0
            lines = [json.loads(line) for line in one.log.read_text().splitlines()]
            told = [line for line in lines if line["level"] in ("warning", "error")]
            assert any("export" in line["event"] for line in told)
            assert "Bearer" not in one.log.read_text()
        # OpenTelemetry by itself would try for half a minute.
        assert time.monotonic() - began_s < LAST_SPANS_S + 4
