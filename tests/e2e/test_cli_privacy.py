"""`holdfast export` and `holdfast erase` against programs that run, as an operator types them."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.tokens import SECRET

HOLDFAST = Path(sys.executable).with_name("holdfast")
BOOKING, INVENTORY = "booking_svc", "inventory_svc"
WAIT_S = 100.0
# Every command is a program to be started, which takes its time on a busy machine.
pytestmark = pytest.mark.timeout(300)


def holdfast(programs: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    listens = {
        f"{name.removesuffix('_svc').upper()}_LISTEN": running.address
        for name, running in programs.running.items()
    }
    return subprocess.run(
        [HOLDFAST, *arguments],
        cwd=programs.folder,
        env={**os.environ, "AUTH_JWT_SECRET": SECRET, **listens},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def book(programs: Any) -> dict[str, Any]:
    """Zoe books a seat."""
    seats = {"eventId": programs.event(), "seatNumbers": ["A1"], "ttl": "600s"}
    held = programs.call(INVENTORY, "ReserveSeats", seats, user="zoe").body["reservations"]
    card = {
        "type": "CREDIT_CARD", "cardNumber": "4242424242424242", "expiryMonth": 12,
        "expiryYear": 2040, "cvv": "123",
    }  # fmt: skip
    request = {
        "reservationIds": [one["reservationId"] for one in held],
        "paymentMethod": card,
    }
    return dict(programs.call(BOOKING, "ConfirmBooking", request, user="zoe", key="k").body)


def test_a_person_is_exported_and_erased(programs: Any) -> None:
    """All is written to a file that is private, then erased where that is said, and is gone."""
    programs.start_all(PAYMENT_MOCK_SUCCESS_RATE="1")
    booking = book(programs)
    path = programs.folder / "zoe.json"
    done = holdfast(programs, "export", "--user", "zoe", "--out", str(path))
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    told = json.loads(path.read_text())
    assert told["user"] == "zoe"
    assert told["counts"]["payment_svc"]["payments"] == 1
    (stored,) = [one for one in told["services"][BOOKING] if one["kind"] == "bookings"]
    assert stored["fields"]["booking_reference"] == booking["bookingReference"]
    assert stored["fields"]["answer"]["userId"] == "zoe"

    held = programs.call(
        INVENTORY,
        "ReserveSeats",
        {"eventId": programs.event(), "seatNumbers": ["A2"], "ttl": "600s"},
        user="zoe",
    ).body["reservations"]
    refused = holdfast(programs, "erase", "--user", "zoe", "--yes")
    assert refused.returncode == 1
    assert held[0]["reservationId"] in refused.stderr
    ids = {"reservationIds": [held[0]["reservationId"]]}
    programs.call(INVENTORY, "CancelReservations", ids, scope="inventory")

    name = "erased-00112233445566778899aabbcc"
    erased = holdfast(programs, "erase", "--user", "zoe", "--yes", "--as", name)
    assert erased.returncode == 0, erased.stderr
    assert name in erased.stdout.splitlines()[-1]
    again = holdfast(programs, "erase", "--user", "zoe")
    assert (again.returncode, again.stdout) == (0, "Nothing is stored of this user.\n")
    kept = json.loads(holdfast(programs, "export", "--user", name).stdout)
    assert kept["counts"][BOOKING]["bookings"] == 1
    logs = "".join(one.log.read_text() for one in programs.running.values())
    assert logs.count('"user_erased"') >= 3
