"""The gateway as operators meet it: help, mistakes, ports, other contracts, signals."""

import socket
from typing import Any

import httpx
import pytest
from support.launching import Launch, execute

from chassis.settings import describe
from chassis.tls_settings import TlsSettings
from gateway.config import GatewaySettings

NAME = "gateway"
BOOKINGS = "holdfast.booking.v1.BookingService"


@pytest.fixture(scope="module")
def launch() -> Launch:
    return execute


def test_help_of_the_gateway(programs: Any) -> None:
    """`--help` names every setting of the gateway with its default and its meaning."""
    done = programs.run(NAME, "--help")
    assert done.returncode == 0
    for name, default, meaning in [*describe(GatewaySettings), *describe(TlsSettings)]:
        assert f"{name} = {default}\n      {meaning}" in done.stdout


def test_mistakes_of_the_gateway(programs: Any) -> None:
    """Settings of the gateway that are wrong are all named together: exit code 2."""
    done = programs.run(NAME, GATEWAY_LISTEN="here", GATEWAY_TARGETS="{", GATEWAY_TIMEOUT_S="0")
    assert done.returncode == 2
    names = [line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]]
    assert names == ["GATEWAY_LISTEN", "GATEWAY_TARGETS", "GATEWAY_TIMEOUT_S"]


def test_where_the_gateway_cannot_listen(programs: Any) -> None:
    """A port that is taken is one sentence of the gateway that names it, and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = programs.run(NAME, GATEWAY_LISTEN=address, GATEWAY_LOG_LEVEL="error")
    assert done.returncode == 1
    assert done.stderr == f"gateway: cannot listen on {address}: address already in use\n"


def test_contracts_that_cannot_be_had(programs: Any) -> None:
    """A file that is none, a service that is in none, and a server that is away are told."""
    targets = f'{{"{BOOKINGS}": "127.0.0.1:1", "no.such.Service": "127.0.0.1:1"}}'
    for settings, told in (
        ({"GATEWAY_DESCRIPTORS": "nowhere.binpb"}, "nowhere.binpb: No such file"),
        ({"GATEWAY_DESCRIPTORS": "/etc/hostname"}, "is no FileDescriptorSet"),
        ({}, "127.0.0.1:1 does not reflect holdfast.booking.v1.BookingService: it does not"),
    ):
        done = programs.run(NAME, GATEWAY_TARGETS=targets, **settings)
        assert done.returncode == 1
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_a_service_that_is_reflected(programs: Any) -> None:
    """With a target and no file the gateway serves what the server reflects, and stops in order."""
    programs.start("booking_svc")
    target = programs.running["booking_svc"].address
    programs.start(NAME, GATEWAY_TARGETS=f'{{"{BOOKINGS}": "{target}"}}')
    with httpx.Client(base_url=f"http://{programs.running[NAME].address}") as http:
        assert http.get("/api/bookings/1").json()["error"] == "TOKEN_MISSING"
        assert http.get("/api/payment/pay_1").status_code == 404
        assert http.get("/openapi.json").json()["openapi"].startswith("3.1")
    programs.running[NAME].stop()
