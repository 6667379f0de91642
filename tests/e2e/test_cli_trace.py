"""`holdfast trace` against programs that run, as its users type it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.rest import Rest
from support.tokens import SECRET

HOLDFAST = Path(sys.executable).with_name("holdfast")
LISTENS = {
    "BOOKING_LISTEN": "booking_svc",
    "PAYMENT_LISTEN": "payment_svc",
    "INVENTORY_LISTEN": "inventory_svc",
}
GOOD, POOR = "pm_mock_success", "pm_mock_insufficient_funds"
WAIT_S = 60.0
WIDTH = 100
# Every command is a program to be started, which takes its time on a busy machine.
pytestmark = pytest.mark.timeout(300)


def trace(stack: Any, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    listens = {name: stack.running[program].address for name, program in LISTENS.items()}
    return subprocess.run(
        [HOLDFAST, "trace", *arguments],
        cwd=stack.folder,
        env={**os.environ, "AUTH_JWT_SECRET": SECRET, **listens, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def told(stack: Any, *arguments: str) -> str:
    """What the command says when it goes well."""
    done = trace(stack, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def confirm(rest: Rest, token: str, request_id: str) -> Any:
    """Ann books two seats; the body of the answer."""
    held = rest.hold(rest.event(), "A1", "A2")
    body = {"reservationIds": held, "paymentMethod": {"token": token}}
    headers = {"x-request-id": request_id}
    path = "/api/bookings/confirm"
    return rest("POST", path, body, key=f"k{held[0]}", headers=headers).json()


@pytest.fixture(scope="module")
def cancelled(rest: Rest) -> dict[str, Any]:
    """A booking that was confirmed and cancelled, each under a request id of its caller."""
    booking = confirm(rest, GOOD, "trace-confirm-1")
    path = f"/api/bookings/{booking['bookingId']}/cancel"
    answer = rest("POST", path, {}, headers={"x-request-id": "trace-cancel-1"})
    assert answer.json()["status"] == "CANCELLED"
    return booking


def in_order(lines: list[str], *expected: str) -> None:
    """Each of these is in a line, later than the one before it."""
    rest = iter(lines)
    for one in expected:
        assert any(one in line for line in rest), (one, lines)


def test_a_booking_confirmed_and_cancelled(rest_stack: Any, cancelled: dict[str, Any]) -> None:
    """The story of a cancelled booking has both calls, the charge, the refund and the seats."""
    reference = cancelled["bookingReference"]
    shown = told(rest_stack, reference)
    assert shown == told(rest_stack, str(cancelled["bookingId"]))
    lines = shown.splitlines()
    assert lines[0] == f"{reference} (booking {cancelled['bookingId']}): CANCELLED"
    in_order(
        lines,
        "seats A1, A2 RESERVED",
        "ConfirmBooking · by ann · begins confirm_booking",
        "request trace-confirm-1",
        "take_payment DONE · attempt 1",
        "CHARGE ASKED · by booking_svc",
        "seats A1, A2 CONFIRMED",
        "booking CONFIRMED",
        "CancelBooking · by ann · begins cancel_booking",
        "request trace-cancel-1",
        "release_seats DONE",
        "seats A1, A2 CANCELLED · free for others",
        "REFUND ASKED",
        "payment REFUNDED",
        "booking CANCELLED",
        "Settled: CANCELLED, ",
    )
    assert max(map(len, lines)) <= WIDTH


def test_the_story_for_a_program(rest_stack: Any, cancelled: dict[str, Any]) -> None:
    """As JSON it is one object, with a timeline whose times never go back."""
    entire = json.loads(told(rest_stack, cancelled["bookingReference"], "--json"))
    assert entire["booking"]["status"] == "CANCELLED"
    assert [saga["name"] for saga in entire["sagas"]] == ["confirm_booking", "cancel_booking"]
    (payment,) = entire["payments"]
    assert [refund["status"] for refund in payment["refunds"]] == ["REFUNDED"]
    for reservation in entire["reservations"]:
        times = [reservation[name] for name in ("createdAt", "confirmedAt", "endedAt")]
        assert times == sorted(times)
    times = [one["time"] for one in entire["timeline"]]
    # Some have no fraction: as text they would be out of order.
    assert times == sorted(times, key=lambda one: one.rstrip("Z").ljust(30, "0"))
    services = {one["service"] for one in entire["timeline"]}
    assert services == set(LISTENS.values())


def test_a_declined_booking(rest_stack: Any, rest: Rest) -> None:
    """The story of a declined booking says who declined it, and that its seats are free."""
    reference = confirm(rest, POOR, "trace-poor-1")["bookingReference"]
    lines = told(rest_stack, reference).splitlines()
    assert lines[0].endswith(": FAILED")
    in_order(
        lines,
        "failure  PAYMENT_FAILED: ",
        "request trace-poor-1",
        "take_payment REFUSED · attempt 1",
        "release_seats DONE",
        "seats A1, A2 CANCELLED · free for others",
        "booking FAILED",
        "Settled: FAILED, ",
    )
    assert any("CHARGE DECLINED · by provider/mock" in line for line in lines)


def test_a_story_without_a_service(rest_stack: Any, cancelled: dict[str, Any]) -> None:
    """Where a service is away the others' part is shown; what names no booking is a sentence."""
    done = trace(rest_stack, cancelled["bookingReference"], PAYMENT_LISTEN="127.0.0.1:1")
    assert done.returncode == 1
    assert "take_payment DONE" in done.stdout
    assert "CHARGE" not in done.stdout
    assert "Missing here: what payment_svc knows." in done.stdout
    assert "payment_svc does not answer at 127.0.0.1:1" in done.stderr
    nobody = trace(rest_stack, "BK-2026-NOBODY")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert nobody.stderr == "holdfast: there is no booking BK-2026-NOBODY, or it never had a saga\n"
