"""Scenarios of the mock provider against programs that run, with webhooks over HTTP."""

import base64
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from support.webhook_gateway import WebhookGateway, webhook_gateway

INVENTORY, PAYMENT, BOOKING = "inventory_svc", "payment_svc", "booking_svc"
SECRET = f"whsec_{base64.b64encode(b'a secret of the tests').decode()}"
WAIT_S = 60.0
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def gateway() -> Iterator[WebhookGateway]:
    with webhook_gateway() as gateway:
        yield gateway


@pytest.fixture
def stack(programs: Any, gateway: WebhookGateway) -> Iterator[Any]:
    """The three programs; afterwards the auditor must be content."""
    programs.start_all(**settings(gateway))
    gateway.target = programs.running[PAYMENT].address
    yield programs
    for one in reversed(programs.running.values()):
        one.stop()
    audit = audited(programs)
    assert audit.returncode == 0, audit.stdout + audit.stderr


def settings(gateway: WebhookGateway) -> dict[str, str]:
    return {
        "PAYMENT_MOCK_WEBHOOK_URL": gateway.url(),
        "PAYMENT_WEBHOOK_SECRETS": SECRET,
        "PAYMENT_PROVIDER_TIMEOUT_S": "3",
    }


def audited(programs: Any) -> subprocess.CompletedProcess[str]:
    databases = {name: f"{name}_svc.db" for name in ("booking", "payment", "inventory")}
    databases["provider"] = "var/provider.db"
    options = [
        word
        for name, file in databases.items()
        for word in (f"--{name}", f"sqlite+aiosqlite:///{programs.folder}/{file}")
    ]
    return subprocess.run(
        [sys.executable, "-m", "auditor", "--settled", *options],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def book(programs: Any, token: str, timeout_s: float = 20) -> Any:
    """Ann books two seats of a new event; the reply."""
    held = programs.hold(programs.event(), "A1", "A2")
    request = {"reservationIds": held, "paymentMethod": {"token": token}}
    return programs.call(BOOKING, "ConfirmBooking", request, key=token, timeout_s=timeout_s)


def payment_of(programs: Any, payment_id: str) -> tuple[str, dict[str, datetime]]:
    """The status of a payment, and its log: what was said, and when first."""
    request = {"paymentId": payment_id, "view": "FULL"}
    found = programs.call(PAYMENT, "GetPayment", request, scope="payments").body
    log: dict[str, datetime] = {}
    for one in found["log"]:
        happened_at = datetime.fromisoformat(one["happenedAt"])
        log.setdefault(f"{one['action']} {one['outcome']}", happened_at)
    return found["status"], log


def until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.1)


def charges(programs: Any) -> list[tuple[str, int]]:
    """What the provider's own books hold."""
    books = sqlite3.connect(programs.folder / "var" / "provider.db")
    try:
        return list(books.execute("SELECT state, amount_minor FROM provider_charges"))
    finally:
        books.close()


def kinds(gateway: WebhookGateway) -> list[tuple[str, int]]:
    """What came, by type, and what it was answered."""
    return [(json.loads(one.body)["type"], one.status) for one in gateway.forwarded]


def test_an_answer_that_is_lost(stack: Any, gateway: WebhookGateway) -> None:
    """A charge whose answer is lost is a booking that is CONFIRMED and charged once."""
    booking = book(stack, "pm_mock_lost_answer").body
    assert booking["status"] == "CONFIRMED"
    until(lambda: kinds(gateway) == [("charge.succeeded", 200)])
    status, log = payment_of(stack, booking["paymentId"])
    assert status == "SUCCESS"
    assert {"CHARGE UNKNOWN", "WEBHOOK SUCCEEDED"} <= log.keys()
    assert charges(stack) == [("SUCCEEDED", 15000)]


def test_a_provider_that_hangs(stack: Any, gateway: WebhookGateway) -> None:
    """A provider that never answers, and tells by webhook, does not keep a booking waiting."""
    booking = book(stack, "pm_mock_hang").body
    assert booking["status"] == "CONFIRMED"
    until(lambda: "CHARGE UNKNOWN" in payment_of(stack, booking["paymentId"])[1])
    status, log = payment_of(stack, booking["paymentId"])
    assert status == "SUCCESS"
    confirmed_at = datetime.fromisoformat(booking["confirmedAt"])
    assert log["WEBHOOK SUCCEEDED"] < confirmed_at < log["CHARGE UNKNOWN"]
    assert kinds(gateway) == [("charge.succeeded", 200)]
    assert charges(stack) == [("SUCCEEDED", 15000)]


def test_a_decline_that_comes_later(stack: Any, gateway: WebhookGateway) -> None:
    """A charge that is pending is a PENDING booking, and FAILED when it is declined."""
    booking = book(stack, "pm_mock_pending_then_failure", timeout_s=2).body
    assert booking["status"] == "PENDING"

    def has_failed() -> bool:
        request = {"bookingId": booking["bookingId"]}
        status = stack.call(BOOKING, "GetBooking", request).body["status"]
        assert status in ("PENDING", "FAILED")
        return bool(status == "FAILED")

    until(has_failed)
    until(lambda: kinds(gateway) == [("charge.pending", 200), ("charge.declined", 200)])


def test_a_webhook_through_a_restart(stack: Any, gateway: WebhookGateway) -> None:
    """A payment adapter that is killed while a webhook is due sends it when it is back."""
    booking = book(stack, "pm_mock_pending_then_success", timeout_s=2).body
    assert booking["status"] == "PENDING"
    until(lambda: kinds(gateway) == [("charge.pending", 200)])
    killed = stack.running[PAYMENT]
    killed.process.kill()
    killed.process.wait(WAIT_S)
    assert charges(stack) == [("PENDING", 15000)]
    stack.start(PAYMENT, **settings(gateway), PAYMENT_LISTEN=killed.address)
    until(lambda: kinds(gateway)[1:] == [("charge.succeeded", 200)])
    request = {"bookingId": booking["bookingId"]}
    until(lambda: stack.call(BOOKING, "GetBooking", request).body["status"] == "CONFIRMED")
    assert len(charges(stack)) == 1
    (payment,) = stack.call(PAYMENT, "ListPayments", {}, scope="payments").body["payments"]
    status, log = payment_of(stack, payment["paymentId"])
    assert status == "SUCCESS"
    assert "WEBHOOK SUCCEEDED" in log


def test_what_is_not_signed(stack: Any, gateway: WebhookGateway) -> None:
    """What nobody signed is answered 401, and 503 tells to come again when nobody is there."""
    assert httpx.post(gateway.url(), content=b"{}").status_code == 401
    gateway.target = ""
    assert httpx.post(gateway.url(), content=b"{}").status_code == 503
    assert charges(stack) == []
