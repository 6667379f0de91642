"""Each program serves what it measures where its settings say, and says so if it cannot."""

import importlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

GATEWAY, BOOKING, PAYMENT, INVENTORY = "gateway", "booking_svc", "payment_svc", "inventory_svc"
PROGRAMS = (GATEWAY, BOOKING, PAYMENT, INVENTORY)
CARD_NUMBER = "4242424242424242"
CARD = {
    "type": "CREDIT_CARD",
    "cardNumber": CARD_NUMBER,
    "expiryMonth": 12,
    "expiryYear": 2040,
    "cvv": "123",
}
CONFIRM = ("holdfast.booking.v1.BookingService", "ConfirmBooking")
PROCESS = ("holdfast.payment.v1.PaymentService", "ProcessPayment")
# What one booking must have led to: names of series and the values of their labels, to what.
LED_TO: dict[str, dict[tuple[str, ...], float]] = {
    GATEWAY: {
        ("http_server_request_duration_seconds_count", "POST", "/api/bookings/confirm", "201"): 1,
        ("http_server_active_requests",): 0,
        ("grpc_client_handled_total", *CONFIRM, "OK"): 1,
    },
    BOOKING: {
        ("holdfast_bookings_total", "CONFIRMED", ""): 1,
        ("holdfast_bookings_total", "FAILED", "SEATS_LOST"): 0,
        ("holdfast_booking_duration_seconds_count", "CONFIRMED"): 1,
        ("holdfast_saga_actions_total", "take_payment", "DONE"): 1,
        ("holdfast_saga_action_seconds_count", "confirm_seats"): 1,
        ("holdfast_sagas_here",): 0,
        ("holdfast_sagas", "RUNNING"): 0,
        ("holdfast_sagas", "NEEDS_ATTENTION"): 0,
        ("holdfast_saga_oldest_seconds",): 0,
        ("holdfast_idempotency_requests_total", "ConfirmBooking", "new", "database"): 1,
        ("grpc_server_started_total", "unary", *CONFIRM): 1,
        ("grpc_server_handled_total", "unary", *CONFIRM, "OK"): 1,
        ("grpc_server_handling_seconds_count", "unary", *CONFIRM): 1,
        ("grpc_client_handled_total", *PROCESS, "OK"): 1,
        ("holdfast_breaker_state", "payments"): 0,
        ("holdfast_breaker_state", "inventory"): 0,
        ("holdfast_calls_in_progress", "calls"): 0,
        # Of payments: it follows them.
        ("holdfast_calls_in_progress", "streams"): 0,
    },
    PAYMENT: {
        ("holdfast_payments_total", "SUCCESS", ""): 1,
        ("holdfast_payment_duration_seconds_count", "SUCCESS"): 1,
        ("holdfast_provider_requests_total", "mock", "charge", "succeeded"): 1,
        ("holdfast_provider_request_seconds_count", "mock", "charge"): 1,
        ("holdfast_payments_open",): 0,
        ("holdfast_refunds_open",): 0,
        ("holdfast_idempotency_requests_total", "ProcessPayment", "new", "database"): 1,
        ("grpc_server_handled_total", "unary", *PROCESS, "OK"): 1,
        ("holdfast_calls_in_progress", "streams"): 1,
        ("holdfast_database_connections_max", "mock", "writer"): 1,
    },
    INVENTORY: {
        ("holdfast_reservations_total", "ACTIVE"): 1,
        ("holdfast_reservations_total", "CONFIRMED"): 1,
        ("holdfast_reservations_total", "EXPIRED"): 0,
        ("holdfast_seats_refused_total",): 0,
    },
}
# Those whose rounds end by themselves: `payments` follows a stream for as long as there is one.
WORKERS = {
    GATEWAY: set(),
    BOOKING: {"recovery", "leases", "payments", "outbox", "retention", "census"},
    PAYMENT: {"sequencer", "reconciler", "webhooks", "retention", "census"},
    INVENTORY: {"sweeper", "retention"},
}


def setting(program: str) -> str:
    return f"{program.removesuffix('_svc').upper()}_METRICS_LISTEN"


@pytest.fixture(scope="module")
def listening() -> dict[str, str]:
    """A free address for each program."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PROGRAMS]
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in made]
    return dict(zip(PROGRAMS, addresses, strict=True))


@pytest.fixture(scope="module")
def rest_settings(listening: dict[str, str]) -> dict[str, str]:
    return {setting(name): address for name, address in listening.items()}


@pytest.fixture(scope="module")
def scraped(rest: Any, listening: dict[str, str]) -> Iterator[dict[str, str]]:
    """What each program says after one booking."""
    held = rest.hold(rest.event(), "A1")
    body = {"reservationIds": held, "paymentMethod": CARD}
    assert rest("POST", "/api/bookings/confirm", body, key="k").status_code == 201
    with httpx.Client(trust_env=False) as http:
        yield {
            name: http.get(f"http://{address}/metrics").raise_for_status().text
            for name, address in listening.items()
        }


def series(name: str, *labels: str) -> tuple[str, frozenset[str]]:
    """A series by the values of its labels: a scrape has them in an order of its own."""
    return name, frozenset(labels)


def read(text: str) -> dict[tuple[str, frozenset[str]], float]:
    return {
        series(one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_that_a_program_measures(scraped: dict[str, str], program: str) -> None:
    """A scrape has each metric that the program's modules define, and those of any process."""
    told = {(one.name, one.type) for one in text_string_to_metric_families(scraped[program])}
    for module in ("chassis.metrics", f"{program}.metrics"):
        for metric in vars(importlib.import_module(module)).values():
            if isinstance(metric, MetricWrapperBase):
                (family,) = metric.describe()
                assert (family.name, family.type) in told
    assert {("process_open_fds", "gauge"), ("python_info", "gauge")} <= told


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_booking_leads_to(scraped: dict[str, str], program: str) -> None:
    """After one booking each program tells its part of it, which program it is, and its workers."""
    found = read(scraped[program])
    assert {one: found.get(series(*one)) for one in LED_TO[program]} == LED_TO[program]
    assert found[series("holdfast_build_info", program, version("holdfast"))] == 1
    assert sum(name == "holdfast_build_info" for name, _ in found) == 1
    last = "holdfast_worker_last_success_timestamp_seconds"
    assert {one for name, labels in found if name == last for one in labels} == WORKERS[program]
    if program != GATEWAY:
        for pool in ("reader", "writer"):
            assert series("holdfast_database_connections", "main", pool, "in_use") in found
        assert found[series("holdfast_database_unit_seconds_count", "main", "write", "ok")] >= 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_of_anybody_is_in_a_label(scraped: dict[str, str], program: str) -> None:
    """No label holds who asked, for what, with which card or token."""
    text = scraped[program]
    for one in ("ann", "BK-", "pay_", "Bearer", "eyJ", CARD_NUMBER, "127.0.0.1"):
        assert f'"{one}' not in text


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_address_that_is_taken(programs: Any, program: str) -> None:
    """A program whose metrics have no place says so in one sentence, and exits with 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = programs.run(program, **{setting(program): address})
    assert done.returncode == 1
    sentence = f"cannot serve metrics on {address}: taken, or not an address of this machine"
    assert done.stderr.splitlines()[-1] == f"{program}: {sentence}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", [INVENTORY, GATEWAY])
def test_an_address_that_is_none(programs: Any, program: str) -> None:
    """What is no address for metrics is a mistake in the settings: exit code 2."""
    done = programs.run(program, **{setting(program): "here"})
    assert (done.returncode, setting(program) in done.stderr) == (2, True)
