"""`python -m <program> health`, asked of servers that serve, of some that do not, and of nobody."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from support.certificates import Authority

from chassis.tls import Tls
from chassis.tls_settings import TlsSettings

SERVICES = ("booking_svc", "inventory_svc", "payment_svc")
PROGRAMS = (*SERVICES, "gateway")
# With whatever it takes to load the interpreter on a machine that is busy.
SOON_S = 15.0
Status = health_pb2.HealthCheckResponse
# Not one secret, and nothing that a program needs to start.
BARE = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def asked(
    program: str, listen: str, *, command: str = "health", **more: str
) -> subprocess.CompletedProcess[str]:
    """What the health check of a program says when it has nothing but its address."""
    variable = f"{program.removesuffix('_svc').upper()}_LISTEN"
    return subprocess.run(
        [sys.executable, "-m", program, command],
        env={**BARE, variable: listen, **more},
        capture_output=True,
        text=True,
        timeout=SOON_S,
        check=False,
    )


@asynccontextmanager
async def a_service(
    status: int, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[int]:
    """A gRPC server on every address that says this of itself; gives its port."""
    server = grpc.aio.server()
    health = health_aio.HealthServicer()
    await health.set("", status)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = (
        server.add_secure_port("0.0.0.0:0", credentials)
        if credentials
        else server.add_insecure_port("0.0.0.0:0")
    )
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@contextmanager
def a_gateway(code: int, body: bytes) -> Iterator[tuple[int, list[str]]]:
    """An HTTP server that answers so; gives its port, and the paths that it is asked for."""
    paths = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """It is nobody's news."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def nobody() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("program", SERVICES)
async def test_a_service_that_serves(program: str) -> None:
    """A service that serves on every address is asked on loopback, past any proxy: exit code 0."""
    async with a_service(Status.SERVING) as port:
        proxy = {"http_proxy": "http://127.0.0.1:9", "grpc_proxy": "http://127.0.0.1:9"}
        done = await asyncio.to_thread(asked, program, f"0.0.0.0:{port}", **proxy)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{program} at 127.0.0.1:{port} serves\n"
    assert done.stderr == ""


async def test_a_certificate_without_a_host(tmp_path: Path) -> None:
    """One that names an address and a service is asked at the address: exit code 0."""
    files = Authority(tmp_path).files("x", hosts=["127.0.0.1"], uri="spiffe://x/payment_svc")
    tls = Tls(TlsSettings(**files.settings))
    async with a_service(Status.SERVING, tls.server_credentials()) as port:
        done = await asyncio.to_thread(asked, "payment_svc", f"0.0.0.0:{port}", **files.variables)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", SERVICES)
async def test_a_service_that_does_not_serve(program: str) -> None:
    """A service that answers that it does not serve is not healthy: exit code 1, and a sentence."""
    async with a_service(Status.NOT_SERVING) as port:
        done = await asyncio.to_thread(asked, program, f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert done.stderr == f"{program} at 127.0.0.1:{port} answers, and does not serve\n"
    assert done.stdout == ""


@pytest.mark.parametrize("program", SERVICES)
async def test_what_does_not_serve_is_alive(program: str) -> None:
    """A service that answers that it does not serve is alive, and nobody need kill it: exit 0."""
    async with a_service(Status.NOT_SERVING) as port:
        done = await asyncio.to_thread(asked, program, f"0.0.0.0:{port}", command="alive")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{program} at 127.0.0.1:{port} answers\n"


def test_what_is_silent_is_not_alive() -> None:
    """A service that takes connections and never answers does not count as alive: exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = asked("booking_svc", f"127.0.0.1:{silent.getsockname()[1]}", command="alive")
    assert done.returncode == 1
    assert "does not answer" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_nobody_there(program: str) -> None:
    """Where nobody listens nothing is healthy, which is known at once: exit code 1."""
    with nobody() as port:
        done = asked(program, f"0.0.0.0:{port}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{program} at 127.0.0.1:{port} does not answer")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("program", ["booking_svc", "gateway"])
def test_a_server_that_is_silent(program: str) -> None:
    """A server that takes connections and says nothing is given up, and not waited for: exit 1."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        done = asked(program, f"127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - began < SOON_S
    assert done.returncode == 1
    assert "does not answer" in done.stderr


def test_a_gateway_that_is_ready() -> None:
    """The gateway is asked whether its services serve, and with a yes it is healthy."""
    with a_gateway(200, b"{}") as (port, paths):
        done = asked("gateway", f"0.0.0.0:{port}", http_proxy="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert paths == ["/readyz"]
    assert done.stdout == f"gateway at 127.0.0.1:{port} serves\n"


def test_a_gateway_that_is_not_ready() -> None:
    """A gateway without one of its services is not healthy, and the sentence says which it is."""
    body = b'{"status":"NOT_SERVING","services":{"my.v1.Shelves":"NOT_SERVING"}}'
    with a_gateway(503, body) as (port, _):
        done = asked("gateway", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert "is not ready" in done.stderr
    assert "my.v1.Shelves" in done.stderr


@pytest.mark.parametrize("program", ["booking_svc", "gateway"])
@pytest.mark.parametrize("listen", ["127.0.0.1:0", "here"])
def test_an_address_that_is_none(program: str, listen: str) -> None:
    """Where the setting says no address that can be asked, a sentence names the setting: exit 1."""
    done = asked(program, listen)
    assert done.returncode == 1
    variable = f"{program.removesuffix('_svc').upper()}_LISTEN"
    assert done.stderr == f"{program}: {variable} is {listen!r}, which is no address to ask at\n"


@pytest.mark.parametrize("program", ["booking_svc", "gateway"])
def test_help_names_the_health_check(program: str) -> None:
    """`--help` says that there is a health check."""
    done = subprocess.run(
        [sys.executable, "-m", program, "--help"], capture_output=True, text=True, check=True
    )
    assert "health" in done.stdout.split("options:")[0]


@pytest.mark.parametrize("program", SERVICES)
def test_health_is_asked_for_cheaply(program: str) -> None:
    """A service's health check loads neither the service nor what it needs to work."""
    code = f"import sys; sys.argv = ['x', 'health']; import {program}.__main__ as it; it.main()"
    code += "; print([one for one in ('sqlalchemy', 'pydantic', 'alembic') if one in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=BARE, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
