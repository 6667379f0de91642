"""`holdfast payments`, `cards` and the demo's scenarios against programs that run, as typed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.tokens import SECRET

HOLDFAST = Path(sys.executable).with_name("holdfast")
INVENTORY, PAYMENT, BOOKING = "inventory_svc", "payment_svc", "booking_svc"
GOOD_CARD, POOR_CARD = "4242424242424242", "4000000000009995"
WAIT_S = 100.0
# Every command is a program to be started, which takes its time on a busy machine.
pytestmark = pytest.mark.timeout(300)


def environment(programs: Any) -> dict[str, str]:
    listens = {
        f"{name.removesuffix('_svc').upper()}_LISTEN": running.address
        for name, running in programs.running.items()
    }
    return {**os.environ, "AUTH_JWT_SECRET": SECRET, **listens}


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
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


@contextmanager
def watching(programs: Any, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`holdfast payments watch`, while a test goes on."""
    with subprocess.Popen(
        [HOLDFAST, "payments", "watch", *arguments],
        env=environment(programs), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def left(watch: subprocess.Popen[str]) -> str:
    """Ends a watch by Ctrl-C, which must end it well; the cursor that it gives."""
    watch.send_signal(signal.SIGINT)
    *_, line = watch.stderr.read().splitlines()
    assert watch.wait(WAIT_S) == 0
    told, _, rest = line.partition(" --cursor ")
    assert told == "to go on from here: holdfast payments watch"
    return rest.split()[0]


def book(programs: Any, card: str = GOOD_CARD) -> str:
    """Ann books two seats of a new event; the reference of the booking."""
    method = {
        "type": "CREDIT_CARD", "cardNumber": card, "expiryMonth": 12, "expiryYear": 2040,
        "cvv": "123",
    }  # fmt: skip
    held = programs.hold(programs.event(), "A1", "A2")
    request = {"reservationIds": held, "paymentMethod": method}
    reply = programs.call(BOOKING, "ConfirmBooking", request, key=f"k{held[0]}")
    reference: str = reply.info.metadata["bookingReference"] or reply.body["bookingReference"]
    return reference


def test_a_payment_by_its_id_and_by_its_booking(stack: Any) -> None:
    """A payment is listed and shown with who asked for it and what the provider answered."""
    reference = book(stack)
    _, line = said(stack, "payments", "list", "--booking", reference).splitlines()
    payment_id, *rest = line.split()
    assert rest[:5] == [reference, "SUCCESS", "150.00", "USD", "0.00"]
    shown = said(stack, "payments", "show", payment_id)
    assert shown == said(stack, "payments", "show", reference)
    assert shown.startswith(f"{payment_id} of {reference}: SUCCESS\n")
    asked, *_, answered = [one.split() for one in shown.splitlines() if " CHARGE " in one]
    assert asked[2:5] == ["booking_svc", "CHARGE", "ASKED"]
    assert answered[2:6] == ["provider/mock", "CHARGE", "SUCCEEDED", "SUCCESS"]
    message = json.loads(said(stack, "payments", "show", payment_id, "--json"))
    assert (message["paymentId"], message["status"]) == (payment_id, "SUCCESS")
    assert [one["action"] for one in message["log"]] == ["CHARGE", "CHARGE"]
    listed = json.loads(said(stack, "payments", "list", "--booking", reference, "--json"))
    assert [one["paymentId"] for one in listed["payments"]] == [payment_id]


def test_a_payment_that_is_not_there(stack: Any) -> None:
    """What is not there is one sentence and exit code 1."""
    for name in ("pay_00000000000000000000000000", "BK-2026-0000000000"):
        done = holdfast(stack, "payments", "show", name)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{name}; 'holdfast payments list' shows which are" in done.stderr
    done = holdfast(stack, "payments", "watch", "--cursor", "from elsewhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--cursor 'from elsewhere' is none of this stream" in done.stderr


def test_payments_as_they_come(stack: Any) -> None:
    """A watch shows each change; another goes on after its cursor, and can be of one booking."""
    good, poor = book(stack), book(stack, POOR_CARD)
    cursors = []
    for reference, status in ((good, "SUCCESS"), (poor, "FAILED")):
        with watching(stack, "--json", "--booking", reference) as watch:
            event = json.loads(watch.stdout.readline())
        payment = event["payment"]
        assert (payment["bookingReference"], payment["status"]) == (reference, status)
        cursors.append(event["cursor"])
    with watching(stack, "--cursor", cursors[0]) as watch:
        line = watch.stdout.readline()
        assert f"{poor} · 150.00 USD · refunded 0.00 · INSUFFICIENT_FUNDS" in line
        # Who leaves between a line and the note of its cursor gets that line again.
        assert left(watch) in cursors


def test_watching_through_a_restart(programs: Any) -> None:
    """A watch of payments goes on where it was when the service stops and comes back."""
    programs.start_all()
    first = book(programs)
    with watching(programs) as watch:
        assert f"{first} · 150.00 USD" in watch.stdout.readline()
        programs.running[PAYMENT].stop()
        assert "the server stopped" in watch.stderr.readline()
        programs.start(PAYMENT, PAYMENT_LISTEN=programs.running[PAYMENT].address)
        assert "the server is back" in watch.stderr.readline()
        second = book(programs)
        assert f"{second} · 150.00 USD" in watch.stdout.readline()
        assert left(watch)


def test_the_cards_of_the_stack(stack: Any) -> None:
    """The test cards are listed with what becomes of a booking."""
    lines = said(stack, "cards").splitlines()
    assert any(one.split()[:3] == ["success", GOOD_CARD, "pm_mock_success"] for one in lines)
    cards = json.loads(said(stack, "cards", "--json"))["testCards"]
    assert len(cards) == len(lines) - 1


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("card-declined", "FAILED; its only payment: FAILED"),
        ("pending-then-success", "CONFIRMED; its only payment: SUCCESS"),
        ("lost-answer", "CONFIRMED; its only payment: SUCCESS"),
    ],
)
def test_a_scenario_on_a_stack_that_runs(stack: Any, name: str, seen: str) -> None:
    """A demo with a test card of the running stack goes as the card foretells."""
    shown = said(stack, "demo", "--scenario", name)
    assert "using the stack at" in shown
    assert seen in shown
    assert " CHARGE " in shown
    assert ("CANCELLED and REFUNDED" in shown) == seen.startswith("CONFIRMED")
    assert "All as it should be" in shown


def test_a_scenario_that_there_is_not(stack: Any) -> None:
    """An unknown scenario is exit code 1, and the names of those that there are."""
    done = holdfast(stack, "demo", "--scenario", "nonsense")
    assert done.returncode == 1
    assert "there is no scenario 'nonsense'. There are: success, " in done.stderr


def test_a_scenario_with_a_stack_of_its_own(tmp_path: Path) -> None:
    """Where no stack runs, one is started whose provider delivers its webhooks."""
    nobody = {
        f"{name}_LISTEN": "127.0.0.1:1" for name in ("BOOKING", "PAYMENT", "INVENTORY", "GATEWAY")
    }
    done = subprocess.run(
        [HOLDFAST, "demo", "--scenario", "webhooks-out-of-order"],
        cwd=tmp_path,
        env={**os.environ, **nobody},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.split()[4:6] for line in done.stdout.splitlines() if " WEBHOOK " in line]
    assert told[:2] == [["SUCCEEDED", "SUCCESS"], ["PENDING", "SUCCESS"]]
    assert list(tmp_path.iterdir()) == []
