"""`holdfast sagas` and `holdfast watch` against programs that run, as their users type them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.tokens import SECRET, token_for

HOLDFAST = Path(sys.executable).with_name("holdfast")
INVENTORY, PAYMENT, BOOKING = "inventory_svc", "payment_svc", "booking_svc"
GOOD_CARD, POOR_CARD = "4242424242424242", "4000000000009995"
WAIT_S = 60.0
# As a shell's own exit code after Ctrl-C.
INTERRUPTED = 130
# Every command is a program to be started, which takes its time on a busy machine.
pytestmark = pytest.mark.timeout(300)


def environment(programs: Any) -> dict[str, str]:
    address = programs.running[BOOKING].address
    return {**os.environ, "AUTH_JWT_SECRET": SECRET, "BOOKING_LISTEN": address}


def holdfast(programs: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HOLDFAST, *arguments],
        cwd=programs.folder,
        env=environment(programs),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def said(programs: Any, *arguments: str) -> str:
    """What a command says that goes well."""
    done = holdfast(programs, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@contextmanager
def watching(programs: Any, booking: str) -> Iterator[subprocess.Popen[str]]:
    """`holdfast watch` as Ann, while a test goes on."""
    command = [HOLDFAST, "watch", booking, "--user", "ann"]
    process = subprocess.Popen(
        command, env=environment(programs), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    try:
        with process:
            yield process
    finally:
        process.kill()


def book(programs: Any, card: str = GOOD_CARD, key: str = "k") -> Any:
    """Ann books two seats; the reply."""
    method = {
        "type": "CREDIT_CARD", "cardNumber": card, "expiryMonth": 12, "expiryYear": 2040,
        "cvv": "123",
    }  # fmt: skip
    held = programs.hold(programs.event(), "A1", "A2")
    request = {"reservationIds": held, "paymentMethod": method}
    return programs.call(BOOKING, "ConfirmBooking", request, key=key)


def restart(programs: Any, name: str) -> None:
    """Start a program that was stopped, where it was."""
    listen = f"{name.removesuffix('_svc').upper()}_LISTEN"
    programs.start(name, **{listen: programs.running[name].address})


def parked(programs: Any) -> str:
    """A booking whose cancellation waits for a person: its refund found nobody; its reference."""
    programs.start_all(BOOKING_UNDO_TRIES_MAX="1")
    booking = book(programs).body
    programs.running[PAYMENT].stop()
    programs.call(BOOKING, "CancelBooking", {"bookingId": booking["bookingId"]})
    ends_at = time.monotonic() + WAIT_S
    while "cancel_booking" not in said(programs, "sagas", "list"):
        assert time.monotonic() < ends_at
    restart(programs, PAYMENT)
    reference: str = booking["bookingReference"]
    return reference


def test_a_stack_without_trouble(stack: Any) -> None:
    """Nothing needs attention; a booking and its saga are found by reference and by number."""
    assert said(stack, "sagas", "list") == "No saga needs attention.\n"
    booking = book(stack, key="good").body
    reference, number = booking["bookingReference"], booking["bookingId"]
    assert reference in said(stack, "sagas", "list", "--state", "all")
    shown = said(stack, "sagas", "show", reference)
    assert shown == said(stack, "sagas", "show", number)
    assert f"confirm_booking of {reference} (booking {number}): SUCCEEDED" in shown
    for action in ("take_payment", "confirm_seats"):
        assert any(action in line and "DONE" in line for line in shown.splitlines())
    (saga,) = json.loads(said(stack, "sagas", "show", number, "--json"))["sagas"]
    assert (saga["bookingReference"], saga["state"]) == (reference, "SUCCEEDED")
    (line,) = said(stack, "watch", reference, "--user", "ann").splitlines()
    assert f"CONFIRMED   {reference} · A1, A2 · 150.00 USD" in line


def test_a_token_from_elsewhere(stack: Any) -> None:
    """With a token in HOLDFAST_TOKEN no secret is needed, and one that is not enough is named."""
    given = {name: value for name, value in environment(stack).items() if "SECRET" not in name}
    for scope, code, says in (
        ("admin", 0, "No saga needs attention."),
        ("bookings", 1, "It is the token in HOLDFAST_TOKEN: put another one there"),
    ):
        done = subprocess.run(
            [HOLDFAST, "sagas", "list"],
            cwd=stack.folder,
            env={**given, "HOLDFAST_TOKEN": token_for("olga", scope)},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode == code
        assert says in " ".join((done.stdout + done.stderr).split())


def test_what_is_not_there(stack: Any) -> None:
    """Someone else's booking, and one that does not exist, are one sentence and exit code 1."""
    reply = book(stack, POOR_CARD, key="poor")
    reference = reply.info.metadata["bookingReference"]
    for command, sentence in (
        (["watch", reference], f"the user 'demo' has no booking {reference}"),
        (["watch", "4711"], "the user 'demo' has no booking 4711"),
        (["sagas", "show", "4711"], "there is no booking 4711"),
        (["sagas", "retry", reference], "has no parked saga: confirm_booking is UNDONE"),
    ):
        done = holdfast(stack, *command)
        assert (done.returncode, done.stdout) == (1, "")
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1
    failed = holdfast(stack, "watch", reference, "--user", "ann")
    assert (failed.returncode, failed.stderr) == (1, "")
    assert "FAILED" in failed.stdout
    assert "PAYMENT_FAILED: " in failed.stdout


def test_a_booking_through_a_restart(programs: Any) -> None:
    """A watch goes on when the service stops and comes back; it ends with the booking or Ctrl-C."""
    reference = parked(programs)
    with watching(programs, reference) as watch, watching(programs, reference) as other:
        for one in (watch, other):
            assert "CANCELLING" in one.stdout.readline()
        other.send_signal(signal.SIGINT)
        assert "Traceback" not in other.stdout.read()
        assert other.wait(WAIT_S) == INTERRUPTED
        programs.running[BOOKING].stop()
        assert "the server stopped" in watch.stdout.readline()
        restart(programs, BOOKING)
        assert "the server is back" in watch.stdout.readline()
        said(programs, "sagas", "retry", reference)
        (line,) = watch.stdout.read().splitlines()
        assert "CANCELLED" in line
        assert "REFUNDED" in line
        assert watch.wait(WAIT_S) == 0
    assert said(programs, "sagas", "list") == "No saga needs attention.\n"


def test_a_saga_is_resolved_by_hand(programs: Any) -> None:
    """A resolve needs a yes; then the saga has SUCCEEDED, and its timeline has the note."""
    reference = parked(programs)
    command = ("sagas", "resolve", reference, "--note", "paid back in cash")
    asked = holdfast(programs, *command)
    assert asked.returncode == 1
    assert "is parked at 'refund' (give_back_payment)" in asked.stdout
    assert "NEEDS_ATTENTION" in said(programs, "sagas", "list")
    assert "is now SUCCEEDED" in said(programs, *command, "--yes")
    shown = said(programs, "sagas", "show", reference)
    (line,) = [one for one in shown.splitlines() if "RESOLVED" in one]
    assert line.rstrip().endswith("by operator: paid back in cash")
