"""Starts the programs, and talks to them from outside, as their users do."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo
from playwright.async_api import Browser
from support import browser
from support.databases import MARIADB, Databases, require
from support.launching import Launch, Process, fork
from support.rest import Rest
from support.tokens import SECRET, token_for

BUF = Path(sys.executable).with_name("buf")
INVENTORY, PAYMENT, BOOKING = "inventory_svc", "payment_svc", "booking_svc"
GATEWAY = "gateway"
SERVICES = {
    INVENTORY: "holdfast.inventory.v1.InventoryService",
    PAYMENT: "holdfast.payment.v1.PaymentService",
    BOOKING: "holdfast.booking.v1.BookingService",
}
# The numbers of the cards with which the tests pay over HTTP.
CARDS = re.compile("4242424242424242|4111111111111111|4000000000009995")
WAIT_S = 30.0


@dataclass
class Running:
    """A program that serves."""

    process: Process
    log: Path
    address: str = ""

    def wait_until_it_listens(self) -> None:
        ends_at = time.monotonic() + WAIT_S
        while not self.address:
            lines = self.log.read_text().splitlines()
            assert self.process.poll() is None, lines
            assert time.monotonic() < ends_at, lines
            facts = [json.loads(line) for line in lines if '"listening"' in line]
            self.address = f"127.0.0.1:{facts[0]['port']}" if facts else ""
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as an init system does; it must end well."""
        self.process.terminate()
        assert self.process.wait(WAIT_S) == 0, self.log.read_text()


@dataclass
class Reply:
    """What an independent client was answered."""

    # The number of the gRPC code.
    code: int
    body: dict[str, Any]
    metadata: str

    @property
    def info(self) -> ErrorInfo:
        """The ErrorInfo detail of a refusal."""
        for detail in self.body.get("details", ()):
            if detail["type"] == "google.rpc.ErrorInfo":
                value = detail["value"]
                return ErrorInfo.FromString(base64.b64decode(value + "=" * (-len(value) % 4)))
        return ErrorInfo()


@dataclass
class Programs:
    """Programs in a folder of their own, with a secret of their own."""

    folder: Path
    launch: Launch = fork
    environment: dict[str, str] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)

    def start(self, *names: str, **settings: str) -> None:
        """Start programs, and wait until they listen."""
        for name in names:
            log = self.folder / f"{name}.log"
            log.touch()
            process = self.launch(name, self.folder, self._environment(name, settings), log)
            self.running[name] = Running(process, log)
        for name in names:
            self.running[name].wait_until_it_listens()

    def start_all(self, **settings: str) -> None:
        self.start(INVENTORY, PAYMENT, **settings)
        self.start(BOOKING, **settings)

    def start_with_gateway(self, **settings: str) -> None:
        """The three services and the gateway in front of them."""
        self.start_all(**settings)
        self.start(GATEWAY, **settings)

    @property
    def url(self) -> str:
        """Where the gateway is."""
        return f"http://{self.running[GATEWAY].address}"

    def run(self, name: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a program that is expected to end by itself."""
        return subprocess.run(
            [sys.executable, "-m", name, *arguments],
            cwd=self.folder,
            env=self._environment(name, settings),
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    def call(  # noqa: PLR0913 - what a call can carry
        self,
        name: str,
        method: str,
        request: dict[str, Any],
        *,
        user: str = "ann",
        scope: str = "bookings",
        key: str = "",
        timeout_s: float = WAIT_S,
    ) -> Reply:
        """Call a method as a user; as nobody when that is empty."""
        options = ["-v", "--timeout", f"{timeout_s}s", "-d", json.dumps(request)]
        if user:
            options += ["-H", f"authorization: Bearer {token_for(user, scope)}"]
        if key:
            options += ["-H", f"idempotency-key: {key}"]
        done = self._curl(name, f"/{SERVICES[name]}/{method}", *options)
        # A refusal stands among what -v writes.
        told = done.stdout or done.stderr[done.stderr.find("\n{") + 1 :]
        body, _ = json.JSONDecoder().raw_decode(told)
        return Reply(done.returncode // 8, body, done.stderr)

    def curl(self, name: str, *options: str) -> str:
        """What `buf curl` with these options says about a program."""
        done = self._curl(name, "", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def event(self) -> str:
        """Create an event of four seats; its id."""
        seats = [{"seatNumber": f"A{n}", "price": {"value": "75.00"}} for n in range(1, 5)]
        request = {"name": "Gala", "currency": "USD", "seats": seats}
        return self.call(INVENTORY, "CreateEvent", request, scope="admin").body["eventId"]

    def hold(self, event_id: str, *seats: str, ttl: str = "600s") -> list[str]:
        """Reserve seats for Ann; the ids of the reservations."""
        request = {"eventId": event_id, "seatNumbers": seats, "ttl": ttl}
        held = self.call(INVENTORY, "ReserveSeats", request).body["reservations"]
        return [one["reservationId"] for one in held]

    def close(self) -> None:
        for one in reversed(self.running.values()):
            if one.process.poll() is None:
                one.process.terminate()
        for one in self.running.values():
            try:
                one.process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()

    def _curl(self, name: str, path: str, *options: str) -> subprocess.CompletedProcess[str]:
        """An independent client, over plain HTTP/2; the schema is what the server reflects."""
        url = f"http://{self.running[name].address}{path}"
        command = [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *options, url]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)

    def _environment(self, name: str, settings: dict[str, str]) -> dict[str, str]:
        prefix = name.removesuffix("_svc").upper()
        targets = {
            f"{caller}_{other.removesuffix('_svc').upper()}_TARGET": self.running[other].address
            for caller in ("BOOKING", "GATEWAY")
            for other in SERVICES
            if other in self.running
        }
        return {
            **os.environ,
            "AUTH_JWT_SECRET": SECRET,
            "PAYMENT_MOCK_DELAY_MIN_S": "0",
            "PAYMENT_MOCK_DELAY_MAX_S": "0",
            f"{prefix}_LISTEN": "127.0.0.1:0",
            f"{prefix}_DATABASE_URL": f"sqlite+aiosqlite:///{self.folder}/{name}.db",
            **targets,
            **settings,
        }


@pytest.fixture(scope="module")
def launch() -> Launch:
    """How the programs of a module are run: a module that is about that has `execute`."""
    return fork


@pytest.fixture
def programs(tmp_path: Path, launch: Launch) -> Iterator[Programs]:
    """Nothing runs yet; what a test starts is gone after it."""
    programs = Programs(tmp_path, launch)
    yield programs
    programs.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, launch: Launch) -> Iterator[Programs]:
    """All programs, and each of them ends well when it is told to."""
    stack = Programs(tmp_path_factory.mktemp("stack"), launch)
    try:
        stack.start_with_gateway()
        yield stack
        for one in reversed(stack.running.values()):
            one.stop()
    finally:
        stack.close()


@pytest.fixture(scope="module")
def rest_settings() -> dict[str, str]:
    """What a module wants to be otherwise in the stack behind `rest`."""
    return {}


@pytest.fixture(scope="module")
def rest_errors() -> tuple[str, ...]:
    """What of a line may be logged as an error in that stack, where a module provokes it."""
    return ()


@pytest.fixture(scope="module")
def rest_stack(
    tmp_path_factory: pytest.TempPathFactory,
    rest_settings: dict[str, str],
    rest_errors: tuple[str, ...],
) -> Iterator[Programs]:
    """The three services and the gateway: none logs an error or a card, and all end well."""
    stack = Programs(tmp_path_factory.mktemp("rest"))
    try:
        stack.start_with_gateway(PAYMENT_MOCK_SUCCESS_RATE="1", **rest_settings)
        yield stack
        for one in reversed(stack.running.values()):
            one.stop()
        for one in stack.running.values():
            text = one.log.read_text()
            errors = [
                line for line in text.splitlines() if '"level":"error"' in line.replace(" ", "")
            ]
            known = [line for line in errors if any(part in line for part in rest_errors)]
            assert errors == known, text
            assert not CARDS.search(text), one.log
    finally:
        stack.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """A browser for the tests of a module that have a loop for all of them."""
    async with browser.running() as found:
        yield found


@pytest.fixture(scope="module")
def rest(rest_stack: Programs) -> Iterator[Rest]:
    """A client of the gateway."""
    with Rest.open(rest_stack.url) as rest:
        yield rest


@pytest.fixture
async def urls_on_mariadb(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """`BOOKING_DATABASE_URL` and so on, each of an empty database."""
    require(MARIADB)
    async with Databases(MARIADB, tmp_path) as databases:
        yield {
            f"{name.removesuffix('_svc').upper()}_DATABASE_URL": await databases.empty()
            for name in SERVICES
        }
