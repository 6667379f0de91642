"""A stack of real processes that a test kills, stops and starts again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc.aio

import auditor
from support.crash_points import SERVICES
from support.crash_seams import KILLED, Plan
from support.databases import Databases, url_of
from support.source import ROOT
from support.tokens import SECRET

BOOKING, INVENTORY, PAYMENT = SERVICES
POLL_S = 0.005
WAIT_S = 30.0
HEARD_S = 0.1
# How long a zygote may take to import everything, on a machine that has much else to do.
IMPORTS_S = 120.0
# How long the faults may take to be made good after they have stopped.
SETTLE_S = 30.0
UNTOUCHED = Plan()
ANY_PORT = "127.0.0.1:0"

SETTINGS = {
    "AUTH_JWT_SECRET": SECRET,
    "BOOKING_LEASE_S": "1",
    "BOOKING_RECOVERY_INTERVAL_S": "0.1",
    "BOOKING_PAYMENT_TIMEOUT_S": "5",
    "PAYMENT_PROVIDER_TIMEOUT_S": "1",
    "PAYMENT_RECONCILE_INTERVAL_S": "0.2",
    "PAYMENT_MOCK_DELAY_MIN_S": "0",
    "PAYMENT_MOCK_DELAY_MAX_S": "0",
}
# What waits longer than a test should, and is no setting.
CONSTANTS = {
    "payment_svc.usecases.asking.LEASE_MARGIN_S": 0.5,
}


async def until(is_so: Callable[[], object], within_s: float = WAIT_S) -> None:
    """Look until it is so; what is looked at changes in another process."""
    async with asyncio.timeout(within_s):
        while True:
            if is_so():
                return
            await asyncio.sleep(POLL_S)


async def together(cases: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Run cases side by side, for they mostly wait; those that fail say which they are."""

    async def one(name: str, case: Coroutine[Any, Any, None]) -> None:
        try:
            await case
        except Exception as error:
            error.add_note(f"case: {name}")
            raise

    async with asyncio.TaskGroup() as group:
        for name, case in cases.items():
            group.create_task(one(name, case))


@dataclass
class Child:
    """A program, as a process of its own."""

    service: str
    log: Path
    plan: Plan
    pid: int = 0
    exit_code: int | None = None
    reached: list[str] = field(default_factory=list)
    holds: bool = False
    # Transactions that are open.
    writes: int = 0
    address: str = ""
    # Where its code is, if its zygote tells.
    source: list[str] = field(default_factory=list)

    def signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            os.kill(self.pid, number)

    async def listens(self) -> None:
        """Wait until it serves, or has died at its point."""
        await until(lambda: self._listening() or self.exit_code is not None)
        assert self.exit_code in (None, KILLED), self.log.read_text()

    def _listening(self) -> bool:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        ports = [json.loads(line)["port"] for line in lines if '"listening"' in line]
        self.address = f"127.0.0.1:{ports[0]}" if ports else ""
        return bool(ports)

    async def ends(self) -> int:
        """Wait until it is gone; its exit code."""
        await until(lambda: self.exit_code is not None)
        return self.exit_code or 0

    async def falls_asleep(self) -> None:
        """Stop it, and not in the middle of a transaction: its locks would stop the others."""
        while True:
            self.signal(signal.SIGSTOP)
            # By then all that it said before has been heard.
            await asyncio.sleep(HEARD_S)
            if not self.writes:
                return
            self.signal(signal.SIGCONT)
            await asyncio.sleep(HEARD_S)

    async def is_held(self) -> None:
        """Wait until it waits at the point of its plan."""
        await until(lambda: self.holds or self.exit_code is not None)
        assert self.exit_code is None, self.log.read_text()

    def heard(self, what: str, fact: Any) -> None:
        match what:
            case "forked":
                self.pid = fact
            case "reached":
                self.reached.append(fact)
            case "source":
                self.source = fact
            case "begins":
                self.writes += 1
            case "ends":
                self.writes -= 1
            case "holds":
                self.holds = True
            case "ended":
                self.exit_code = fact


class Nursery:
    """The zygote, and all that it forked."""

    def __init__(self, zygote: str = "support.crash_zygote", root: Path = ROOT) -> None:
        """Fork with a zygote of these tests the programs whose sources are in a folder."""
        self.root = root
        self._children: dict[int, Child] = {}
        paths = [str(root), str(root / "gen"), str(ROOT / "tests")]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", zygote],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    async def fork(
        self,
        service: str,
        environment: Mapping[str, str],
        plan: Plan,
        log: Path,
        arguments: Sequence[str] = (),
    ) -> Child:
        """Fork a program; it may not serve yet."""
        ticket = len(self._children)
        child = self._children[ticket] = Child(service, log, plan)
        order = {
            "ticket": ticket,
            "service": service,
            "environment": environment,
            "plan": asdict(plan),
            "log": str(log),
            "arguments": arguments,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        await until(lambda: child.pid, IMPORTS_S)
        return child

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(WAIT_S)
        self._ear.join(WAIT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            ticket, what, fact = json.loads(line)
            self._children[ticket].heard(what, fact)


@dataclass
class World:
    """Three databases, the provider's books, and whatever serves them now."""

    nursery: Nursery
    folder: Path
    urls: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)
    # What clients were answered.
    answers: list[dict[str, Any]] = field(default_factory=list)
    # What happens to each of a service in turn, and then to all who come after them.
    successors: dict[str, list[Plan]] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    # Where bookings find a service, if not directly.
    through: dict[str, str] = field(default_factory=dict)
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    async def start(self, service: str) -> Child:
        """Start a program. Another inventory or payment adapter comes where the first one was."""
        listen = "" if service == BOOKING else self.targets.get(service, "")
        child = await self.start_beside(service, listen or ANY_PORT)
        if child.address:
            self.targets[service] = child.address
        return child

    async def start_beside(self, service: str, listen: str = ANY_PORT) -> Child:
        """Start one more replica, which nobody is told of."""
        waiting = self.successors.get(service)
        plan = waiting.pop(0) if waiting else self.plans.get(service, UNTOUCHED)
        plan = replace(plan, constants={**CONSTANTS, **plan.constants})
        log = self.folder / f"{len(self.children)}.log"
        child = await self.nursery.fork(service, self._environment(service, listen), plan, log)
        self.children.append(child)
        await child.listens()
        return child

    async def start_all(self) -> None:
        """Start what does not run yet."""
        for service in (INVENTORY, PAYMENT, BOOKING):
            if service not in self.targets:
                await self.start(service)

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[None]:
        """Start another program for each that dies, until the block ends."""
        guard = asyncio.create_task(self._guard())
        try:
            yield
        finally:
            guard.cancel()
            ended = await asyncio.gather(guard, return_exceptions=True)
        assert isinstance(ended[0], asyncio.CancelledError), ended

    async def _guard(self) -> None:
        seen: set[int] = set()
        while True:
            for child in tuple(self.children):
                if child.exit_code is not None and child.pid not in seen:
                    seen.add(child.pid)
                    await self.start(child.service)
            await asyncio.sleep(POLL_S)

    @property
    def deaths(self) -> list[str]:
        """The points at which processes were killed, in their order."""
        return [one.reached[-1] for one in self.children if one.exit_code == KILLED]

    def told(self, deaths: object) -> str:
        """What happened here, for a test that failed."""
        reached = [f"{one.service} {one.exit_code} {one.reached[-6:]}" for one in self.children]
        return "\n".join([f"planned: {deaths}", *reached, *map(str, self.answers)])

    def present(self, service: str) -> Child:
        """Who serves it now."""
        return [one for one in self.children if one.service == service][-1]

    def channel(self, service: str) -> grpc.aio.Channel:
        """A channel to whoever serves it now."""
        address = self.targets[service]
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(
                address, options=[("grpc.initial_reconnect_backoff_ms", 50)]
            )
        return self._channels[address]

    async def findings(self) -> list[str]:
        """What the auditor finds, as if everything had ended."""
        urls = auditor.Urls(
            booking=self.urls[BOOKING],
            payment=self.urls[PAYMENT],
            inventory=self.urls[INVENTORY],
            provider=self.urls["provider"],
        )
        found = await auditor.audit(urls, answers=self.answers, settled=True)
        return [str(one) for one in found]

    async def settles(self) -> None:
        """Wait until the auditor finds nothing: what is still open ends, what is wrong stays."""
        ends_at = asyncio.get_running_loop().time() + SETTLE_S
        while found := await self.findings():
            if asyncio.get_running_loop().time() > ends_at:
                raise AssertionError("\n".join(found))
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        for child in self.children:
            child.signal(signal.SIGKILL)
        for child in self.children:
            await child.ends()

    def _environment(self, service: str, listen: str) -> dict[str, str]:
        prefix = service.removesuffix("_svc").upper()
        targets = {**self.targets, **self.through}
        told = {
            **SETTINGS,
            "PAYMENT_MOCK_DATABASE_URL": self.urls["provider"],
            f"{prefix}_LISTEN": listen,
            f"{prefix}_DATABASE_URL": self.urls[service],
            "BOOKING_PAYMENT_TARGET": targets.get(PAYMENT, ""),
            "BOOKING_INVENTORY_TARGET": targets.get(INVENTORY, ""),
        }
        return {**told, **self.settings}


async def urls_of_fresh(databases: Databases) -> dict[str, str]:
    """The URLs of fresh databases for a world, by service, and of the provider's books."""
    urls = {name: url_of(await databases.fresh(name)) for name in SERVICES}
    return {**urls, "provider": await databases.empty()}
