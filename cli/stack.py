"""The three programs as children of this one: started, watched, stopped in order."""

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cli import calls
from cli.failure import Failure
from cli.programs import (
    BOOKING,
    GATEWAY,
    INVENTORY,
    PAYMENT,
    PROGRAMS,
    SERVICES,
    Addresses,
    Program,
)

START_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.1
# Of a secret that signs webhooks: as Standard Webhooks recommends.
SECRET_BYTES = 24
LOG_LINES_SHOWN = 15
WEBHOOKS = "/api/payment/webhooks/mock"
TLS_PREFIXES = ("TLS_", "GATEWAY_TLS_")
PORTS_NEAR_THE_END = 65_000


@dataclass(frozen=True)
class Child:
    """A program that runs, and where its log goes."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path


class Stack:
    """A context: the programs run inside it, and none is left when it ends."""

    def __init__(
        self,
        addresses: Addresses,
        environment: Mapping[str, str],
        folder: Path,
        say: Callable[[str], None],
        own: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """Run in `folder`, with `environment` added to our own, and what is each program's own."""
        self._addresses = addresses
        listens = {program.listen_variable: addresses.listen(program) for program in PROGRAMS}
        self._environment = {**_targets(addresses), **os.environ, **listens, **environment}
        self._folder = folder
        self._say = say
        self._own = own
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Start the programs.

        Raises:
            Failure: an address is taken.
        """
        for program in PROGRAMS:
            _require_free(program, self._addresses.listen(program))
        end_like_ctrl_c()
        try:
            for program in PROGRAMS:
                self._children.append(self._start(program))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the programs, each when it has finished its work; Ctrl-C ends them at once."""
        # `make` and a terminal may both pass one SIGTERM on: only Ctrl-C means "at once".
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGINT, lambda *_: self._kill())
        self._say("stopping, when running work is done; Ctrl-C again: at once")
        for child in reversed(self._children):
            child.process.terminate()
            child.process.wait()
        names = [child.program.name for child in reversed(self._children)]
        self._say(f"stopped {', '.join(names)}")

    def ready(self) -> Iterator[tuple[Program, float]]:
        """Each program as it begins to serve, with the seconds that it took.

        Raises:
            Failure: one ended, or is not ready in time; shows the end of its log.
        """
        began = time.monotonic()
        waiting = list(self._children)
        while waiting:
            self._require_alive()
            for child in tuple(waiting):
                if calls.is_ready(child.program, self._addresses.target(child.program)):
                    waiting.remove(child)
                    yield child.program, time.monotonic() - began
            if waiting and time.monotonic() - began > START_TIMEOUT_S:
                late = waiting[0]
                raise _failure(late, f"does not serve after {START_TIMEOUT_S:.0f} s")
            time.sleep(LOOK_EVERY_S)

    def watch(self) -> None:
        """Return never; fail when a program ends.

        Raises:
            Failure: one ended; shows the end of its log.
        """
        while True:
            self._require_alive()
            time.sleep(LOOK_EVERY_S)

    def _start(self, program: Program) -> Child:
        log = self._folder / "var" / "log" / f"{program.name}.log"
        for folder in (log.parent.parent, log.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                [sys.executable, "-m", "cli.child", str(os.getpid()), program.name],
                cwd=self._folder,
                env={**self._environment, **self._own(program.name)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # The terminal's Ctrl-C is for this program, which stops the others in order.
                start_new_session=True,
            )
        return Child(program, process, log)

    def _require_alive(self) -> None:
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise _failure(child, f"ended by itself, with {how}")

    def _kill(self) -> None:
        for child in self._children:
            child.process.kill()


def on_free_ports() -> Addresses:
    """Addresses that nothing listens on now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in PROGRAMS]
    listens = [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]
    for probe in probes:
        probe.close()
    return Addresses(
        **{
            program.listen_variable.lower(): listen
            for program, listen in zip(PROGRAMS, listens, strict=True)
        }
    )


def kept_apart(addresses: Addresses, folder: Path) -> dict[str, str]:
    """Settings of a stack that shares nothing with another, whatever the environment says."""
    databases = {
        f"{program.prefix}_DATABASE_URL": (
            f"sqlite+aiosqlite:///{folder.absolute()}/var/{program.prefix.lower()}.db"
        )
        for program in SERVICES
    }
    # Whatever else keeps something: the mock provider's own books, and the copy of answers.
    provider = f"sqlite+aiosqlite:///{folder.absolute()}/var/provider.db"
    kept = {"PAYMENT_MOCK_DATABASE_URL": provider, "BOOKING_REDIS_URL": ""}
    # And the gateway is in front of these programs, and no others.
    gateway = {"GATEWAY_TARGETS": "", "GATEWAY_DESCRIPTORS": ""}
    return {**databases, **kept, **_targets(addresses), **gateway}


def webhooks(addresses: Addresses, scheme: str = "http") -> dict[str, str]:
    """Settings with which the mock provider delivers its webhooks through the gateway."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
    return {
        "PAYMENT_WEBHOOK_SECRETS": secret,
        "PAYMENT_MOCK_WEBHOOK_URL": f"{scheme}://{addresses.target(GATEWAY)}{WEBHOOKS}",
    }


def without_tls() -> None:
    """Forget what the environment says of TLS: what is meant for another stack is not for ours."""
    for name in [name for name in os.environ if name.startswith(TLS_PREFIXES)]:
        del os.environ[name]


def at_a_good_pace() -> dict[str, str]:
    """Settings of a stack that is there to be looked at: what is about waiting waits less.

    Its provider takes no money.
    """
    return {
        "PAYMENT_PROVIDER": "mock",
        "PAYMENT_PROVIDER_TIMEOUT_S": "4",
        "PAYMENT_AMOUNT_LIMITS": "",
    }


def end_like_ctrl_c() -> None:
    """Whatever ends this command, it ends through `__exit__`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` asks for a deaf ear; that a shell's `&` does so too, for SIGINT, is an accident.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _targets(addresses: Addresses) -> dict[str, str]:
    """Where the programs find each other."""
    pairs = [(BOOKING, PAYMENT), (BOOKING, INVENTORY), *((GATEWAY, one) for one in SERVICES)]
    return {
        f"{caller.prefix}_{called.prefix}_TARGET": addresses.target(called)
        for caller, called in pairs
    }


def _require_free(program: Program, listen: str) -> None:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # As the servers do: connections that have just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        another = int(port) + (100 if int(port) < PORTS_NEAR_THE_END else -100)
        example = f"{program.listen_variable}=127.0.0.1:{another}"
        message = (
            f"{program.name} cannot listen on {listen}: {why}. Stop what uses it (another"
            f" 'holdfast up'?), or choose another address, for example: {example}"
        )
        raise Failure(message) from None


def _failure(child: Child, what: str) -> Failure:
    lines = child.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    end = "\n".join(f"  {line}" for line in lines)
    return Failure(f"{child.program.name} {what}. The end of its log, {child.log}:\n{end}")
