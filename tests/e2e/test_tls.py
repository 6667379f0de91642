"""TLS as operators meet it: what is refused, what is asked of whom, and a stack that speaks it."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.certificates import Authority, Files

HOLDFAST = Path(sys.executable).with_name("holdfast")
GATEWAY, INVENTORY = "gateway", "inventory_svc"
WAIT_S = 60.0
CARD = {
    "type": "CREDIT_CARD",
    "cardNumber": "4242424242424242",
    "expiryMonth": 12,
    "expiryYear": 2040,
    "cvv": "123",
}
# Programs are started, which takes its time on a busy machine.
pytestmark = pytest.mark.timeout(300)


def variable(program: str, name: str) -> str:
    return f"{program.removesuffix('_svc').upper()}_{name}"


def of_gateway(files: Files) -> dict[str, str]:
    return {
        "GATEWAY_TLS_CERT_FILE": str(files.certificate),
        "GATEWAY_TLS_KEY_FILE": str(files.key),
    }


def test_no_plaintext_from_the_gateway(programs: Any) -> None:
    """Without TLS the gateway names each address that is not loopback, and ends with 2."""
    listens = {"GATEWAY_LISTEN": "0.0.0.0:0", "GATEWAY_METRICS_LISTEN": "192.0.2.1:0"}
    done = programs.run(GATEWAY, **listens)
    assert done.returncode == 2
    first, *lines = done.stderr.splitlines()
    assert first == "gateway: the settings are not right:"
    assert [line.split(":")[0].strip() for line in lines] == list(listens)
    assert all("TLS_PLAINTEXT_BEYOND_LOOPBACK=true" in line for line in lines)
    assert all("Set GATEWAY_TLS_CERT_FILE" in line for line in lines)


def test_beyond_this_machine(programs: Any, tmp_path: Path) -> None:
    """Whoever says so, or has certificates, listens everywhere; half of the certificates is none.

    The gateway's certificate for the services is none for its own listener, and the other way.
    """
    authority = Authority(tmp_path)
    files = authority.files(GATEWAY)
    everywhere = {"GATEWAY_LISTEN": "0.0.0.0:0", "GATEWAY_METRICS_LISTEN": "0.0.0.0:0"}
    inside = programs.run(GATEWAY, **everywhere, **files.variables)
    assert [line.split(":")[0].strip() for line in inside.stderr.splitlines()[1:]] == [
        "GATEWAY_LISTEN"
    ]
    programs.start(GATEWAY, **everywhere, **of_gateway(files))
    programs.running[GATEWAY].stop()
    programs.start(INVENTORY, INVENTORY_LISTEN="0.0.0.0:0", TLS_PLAINTEXT_BEYOND_LOOPBACK="true")
    programs.running[INVENTORY].stop()


def test_the_gateway_is_no_service(programs: Any, tmp_path: Path) -> None:
    """A gateway whose own certificate is that of a service does not start: all would be it."""
    files = Authority(tmp_path).files(GATEWAY)
    services = '{"gateway": "payments", "booking_svc": "payments"}'
    done = programs.run(GATEWAY, TLS_SERVICES=services, **files.variables)
    assert done.returncode == 2
    assert "TLS_SERVICES: names the gateway's own certificate" in done.stderr


@pytest.mark.parametrize("program", [GATEWAY, INVENTORY])
def test_mistakes_with_certificates(programs: Any, tmp_path: Path, program: str) -> None:
    """Files that are wrong are told with all other mistakes, by their variables: exit code 2."""
    settings = {
        variable(program, "LISTEN"): "here",
        "TLS_CERT_FILE": "away.pem",
        "TLS_CA_FILE": str(tmp_path),
    }
    if program == GATEWAY:
        settings["GATEWAY_TLS_KEY_FILE"] = "away.key"
    done = programs.run(program, **settings)
    assert done.returncode == 2
    assert {line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]} == settings.keys()
    assert "Traceback" not in done.stderr


def test_health_is_asked_with_tls(programs: Any, tmp_path: Path) -> None:
    """A program's health check shows and believes its own certificate, and no other one."""
    authority, others = Authority(tmp_path), Authority(tmp_path, "others")
    # Of no name that this machine is asked by.
    inside = authority.files("inventory_svc", hosts=["inventory.example"])
    outside = authority.files("shop.example", hosts=[])
    programs.start(INVENTORY, **inside.variables)
    programs.start(GATEWAY, **of_gateway(outside))
    target = {"INVENTORY_LISTEN": programs.running[INVENTORY].address}

    def asked(program: str, **settings: str) -> str:
        done = programs.run(program, "health", **settings)
        assert (done.returncode == 0) is done.stdout.endswith(" serves\n")
        return str(done.stdout + done.stderr)

    assert "serves" in asked(INVENTORY, **target, **inside.variables)
    alone = {**inside.variables, "TLS_CA_FILE": ""}
    assert "serves" in asked(INVENTORY, **target, **alone)
    foreign = others.files("inventory_svc", called="foreign")
    assert "UNAVAILABLE" in asked(INVENTORY, **target, **foreign.variables)
    assert "UNAVAILABLE" in asked(INVENTORY, **target)
    away = {**inside.variables, "TLS_KEY_FILE": "away"}
    assert "cannot be asked: TLS_CERT_FILE" in asked(INVENTORY, **target, **away)
    target = {"GATEWAY_LISTEN": programs.running[GATEWAY].address}
    # It answers: its services are away.
    assert "is not ready: {" in asked(GATEWAY, **target, **of_gateway(outside))
    assert "CERTIFICATE_VERIFY_FAILED" in asked(GATEWAY, **target, **of_gateway(foreign))
    assert "does not answer" in asked(GATEWAY, **target)
    assert "cannot be asked" in asked(GATEWAY, **target, GATEWAY_TLS_CERT_FILE="away")


@contextmanager
def up(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """`holdfast up --tls`; gives what it said."""
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [HOLDFAST, "up", "--tls"], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        ends_at = time.monotonic() + WAIT_S
        while "Ctrl-C stops everything" not in said.read_text():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < ends_at, said.read_text()
            time.sleep(0.05)
        yield said.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0, said.read_text()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def test_a_stack_that_speaks_tls(tmp_path: Path) -> None:
    """`holdfast up --tls` makes certificates, books by HTTPS, and its services need no token.

    A caller without a token is nobody, although the gateway shows a certificate; the commands
    reach the services with certificates, and not without.
    """
    names = ("BOOKING", "PAYMENT", "INVENTORY", "GATEWAY")
    listens = {
        f"{name}_LISTEN": f"127.0.0.1:{port}"
        for name, port in zip(names, free_ports(len(names)), strict=True)
    }
    plain = {**os.environ, **listens, "PAYMENT_MOCK_SUCCESS_RATE": "1"}
    files = {
        f"TLS_{one}_FILE": f"var/tls/{name}"
        for one, name in (("CA", "ca.pem"), ("CERT", "holdfast.pem"), ("KEY", "holdfast.key"))
    }

    def holdfast(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [HOLDFAST, *arguments], cwd=tmp_path, env={**plain, **settings}, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=WAIT_S, check=False,
        )  # fmt: skip

    with up(tmp_path, plain) as said:
        assert "made certificates in var/tls: ca, " in said
        assert "curl -sS --cacert var/tls/ca.pem" in said
        assert " ".join(f"{name}={value}" for name, value in files.items()) in said
        token = said.split("TOKEN=")[1].split()[0]
        event_id = int(said.split("/events/")[1].split("/")[0])
        url = f"https://{listens['GATEWAY_LISTEN']}"
        book_by_https(url, tmp_path / "var/tls/ca.pem", token, event_id)
        done = holdfast("demo", **files)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "using the stack at" in done.stdout
        assert "does not answer" in holdfast("sagas", "list").stderr
        shown = holdfast("sagas", "list", **files)
        assert shown.returncode == 0, shown.stderr
    calls = (tmp_path / "var/log/payment_svc.log").read_text()
    assert '"user_id": "service:booking_svc"' in calls
    assert '"user_id": "booking_svc"' not in calls
    # The mock provider told the gateway, by HTTPS.
    assert "HandleWebhook" in calls


def book_by_https(url: str, ca: Path, token: str, event_id: int) -> None:
    """One booking, as curl --cacert would make it; nobody is somebody without a token."""
    trusted = ssl.create_default_context(cafile=ca)
    with httpx.Client(verify=trusted, base_url=url, trust_env=False, timeout=WAIT_S) as http:
        nobody = http.get("/api/bookings/1")
        assert (nobody.status_code, nobody.json()["error"]) == (401, "TOKEN_MISSING")
        # Nor is it whom the called service would know by a certificate.
        nobody = http.get("/api/payment/pay_1")
        assert (nobody.status_code, nobody.json()["error"]) == (401, "TOKEN_MISSING")
        http.headers["authorization"] = f"Bearer {token}"
        held = http.post(
            "/api/inventory/reservations",
            json={"eventId": event_id, "seatNumbers": ["A1", "A2"]},
        ).json()["reservations"]
        ids = [one["reservationId"] for one in held]
        booked = http.post(
            "/api/bookings/confirm",
            json={"reservationIds": ids, "paymentMethod": CARD},
            headers={"idempotency-key": "by-https"},
        )
        assert (booked.status_code, booked.json()["status"]) == (201, "CONFIRMED"), booked.text
