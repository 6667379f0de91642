"""The programs as operators meet them: help, settings, migrations, ports, signals."""

import socket
import time
from typing import Any

import pytest
from sqlalchemy import text
from support.launching import Launch, execute

from booking_svc.wiring import PROGRAM as BOOKING
from chassis.database import Database
from chassis.program import Program
from chassis.settings import AuthSettings, describe
from chassis.tls_settings import TlsSettings
from inventory_svc.wiring import PROGRAM as INVENTORY
from payment_svc.wiring import PROGRAM as PAYMENT

PROGRAMS = (INVENTORY, PAYMENT, BOOKING)
METHOD = {
    "type": "CREDIT_CARD",
    "cardNumber": "4242424242424242",
    "expiryMonth": 12,
    "expiryYear": 2040,
    "cvv": "123",
}


@pytest.fixture(scope="module")
def launch() -> Launch:
    return execute


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_help_lists_every_setting(programs: Any, program: Program) -> None:
    """`--help` names every setting with its default and its meaning."""
    done = programs.run(program.name, "--help")
    assert done.returncode == 0
    for name, default, meaning in [
        *describe(program.settings),
        *describe(AuthSettings),
        *describe(TlsSettings),
    ]:
        assert f"{name} = {default}\n      {meaning}" in done.stdout


def test_all_mistakes_in_one_answer(programs: Any) -> None:
    """Settings that are wrong are all named together, in words, without secrets: exit code 2."""
    done = programs.run(
        BOOKING.name,
        BOOKING_LISTEN="here",
        BOOKING_DATABASE_URL="postgresql://localhost/x",
        BOOKING_PAYMENT_TIMEOUT_S="soon",
        BOOKING_LOG_LEVEL="loud",
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0] == "booking_svc: the settings are not right:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "BOOKING_LISTEN",
        "BOOKING_DATABASE_URL",
        "BOOKING_LOG_LEVEL",
        "BOOKING_PAYMENT_TIMEOUT_S",
    ]


def test_no_start_with_a_weak_secret(programs: Any) -> None:
    """A secret that is too short is refused by its name, and is not shown."""
    done = programs.run(BOOKING.name, AUTH_JWT_SECRET="hush")
    assert done.returncode == 2
    assert "AUTH_JWT_SECRET" in done.stderr
    assert "hush" not in done.stderr


def test_a_port_that_is_taken(programs: Any) -> None:
    """A port that is taken is one sentence that names it, and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = programs.run(BOOKING.name, BOOKING_LISTEN=address, BOOKING_LOG_LEVEL="error")
    assert done.returncode == 1
    # gRPC's own library may write a line before it.
    assert done.stderr.splitlines()[-1] == (
        f"booking_svc: cannot listen on {address}: taken, or not an address of this machine"
    )
    assert "Traceback" not in done.stderr


def confirm(programs: Any, **call: Any) -> Any:
    held = programs.hold(programs.event(), "A1", "A2")
    request = {"reservationIds": held, "paymentMethod": METHOD}
    return programs.call(BOOKING.name, "ConfirmBooking", request, key="k", **call)


def test_a_signal_in_the_middle_of_a_booking(programs: Any) -> None:
    """After SIGTERM a booking that runs is finished before its program ends, with exit code 0."""
    programs.start_all(PAYMENT_MOCK_DELAY_MIN_S="2", PAYMENT_MOCK_DELAY_MAX_S="2")
    pending = confirm(programs, timeout_s=1).body
    assert pending["status"] == "PENDING"
    began = time.monotonic()
    programs.running[BOOKING.name].stop()
    assert time.monotonic() - began > 0.5
    programs.start(BOOKING.name)
    request = {"bookingId": pending["bookingId"]}
    assert programs.call(BOOKING.name, "GetBooking", request).body["status"] == "CONFIRMED"


def test_no_start_before_the_migration(programs: Any, urls_on_mariadb: dict[str, str]) -> None:
    """On a MariaDB without its schema a program does not start, and names the command to run."""
    done = programs.run(BOOKING.name, **urls_on_mariadb, BOOKING_LOG_LEVEL="error")
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert "run 'python -m booking_svc migrate'" in sentence


def test_an_operator_migrates(programs: Any, urls_on_mariadb: dict[str, str]) -> None:
    """What is pending is told by exit code and by name; each phase is run when it is asked for."""
    look = ("migrate", "--pending")
    before = programs.run(BOOKING.name, *look, **urls_on_mariadb)
    assert before.returncode == 3
    assert before.stdout.startswith("pre   0001  The first schema: ")
    early = programs.run(BOOKING.name, "migrate", "--phase", "post", **urls_on_mariadb)
    assert early.returncode == 1
    assert "0001 comes first" in early.stderr
    assert (
        programs.run(BOOKING.name, "migrate", "--phase", "pre", **urls_on_mariadb).returncode == 0
    )
    after = programs.run(BOOKING.name, *look, **urls_on_mariadb)
    assert "pre" not in after.stdout
    assert (
        programs.run(BOOKING.name, "migrate", "--phase", "post", **urls_on_mariadb).returncode == 0
    )
    assert programs.run(BOOKING.name, *look, **urls_on_mariadb).returncode == 0


async def test_no_start_when_something_was_removed(
    programs: Any, urls_on_mariadb: dict[str, str]
) -> None:
    """A program that finds a `post` which it does not know says so in a sentence: exit code 1."""
    programs.run(BOOKING.name, "migrate", **urls_on_mariadb)
    database = Database(urls_on_mariadb["BOOKING_DATABASE_URL"])
    ahead = text("INSERT INTO alembic_version (version_num) VALUES ('9999_post')")
    await database.write(lambda one: one.execute(ahead))
    await database.close()
    done = programs.run(BOOKING.name, **urls_on_mariadb, BOOKING_LOG_LEVEL="error")
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert "at 9999_post, which this program does not know" in sentence


def test_the_whole_stack_on_mariadb(programs: Any, urls_on_mariadb: dict[str, str]) -> None:
    """On MariaDB, after the command that was named: started, booked, stopped."""
    for program in PROGRAMS:
        done = programs.run(program.name, "migrate", **urls_on_mariadb)
        assert done.returncode == 0, done.stderr
    programs.start_all(**urls_on_mariadb)
    booking = confirm(programs).body
    assert (booking["status"], booking["totalAmount"]) == ("CONFIRMED", {"value": "150.00"})
    for one in programs.running.values():
        one.stop()
