"""Programs of several versions over the same databases, replaced while they work."""

import asyncio
import contextlib
import io
import itertools
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import pytest

from chassis.migrations import phase_of
from support.crash_seams import Plan
from support.crash_world import (
    ANY_PORT,
    BOOKING,
    CONSTANTS,
    INVENTORY,
    PAYMENT,
    Child,
    Nursery,
    World,
    until,
)
from support.expand_contract import scripts_of
from support.made_up import MIGRATION
from support.source import ROOT, SERVICES

ZYGOTE = "support.version_zygote"
CHOSEN = "HOLDFAST_PREVIOUS"
# However busy the machine is.
STARTS_S = 120.0
WITHOUT_TAGS = ROOT / "tests/previous_version"
LATER_DEFINITION = """
_FIRST = CONFIRM_BOOKING
_MORE = Step("confirm_again", do="confirm_seats", undo=None, kind=Kind.RETRIABLE)
CONFIRM_BOOKING = Definition(f"{_FIRST.name}/2", (*_FIRST.steps, _MORE))
DEFINITIONS = {**DEFINITIONS, CONFIRM_BOOKING.name: CONFIRM_BOOKING}
"""
LATER_MIGRATIONS = {
    "9998": 'op.add_column("sagas", sa.Column("tomorrow", sa.Integer))',
    "9999_post": 'op.drop_index("ix_bookings_user", "bookings")',
}


def previous_commit() -> str:
    """The version before this one: the newest tag, or the commit of the file while there is none.

    Skips the test where the history is not at hand, as in a shallow clone; but not when somebody
    has chosen a version that is not there.
    """
    asked_for = os.environ.get(CHOSEN)
    chosen = asked_for or _newest_tag() or WITHOUT_TAGS.read_text().strip()
    found = _git("rev-parse", "--verify", "--quiet", f"{chosen}^{{commit}}")
    if found is None:
        if asked_for:
            pytest.fail(f"{CHOSEN} is {asked_for}, and the history at hand does not have it")
        pytest.skip(f"the previous version, {chosen}, is not in the history at hand")
    return found.decode().strip()


def unpack(commit: str, folder: Path) -> Path:
    """The sources of a commit, in a folder of their own."""
    archive = _git("archive", "--format=tar", commit)
    assert archive is not None
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def _newest_tag() -> str:
    # Not the tag of this very commit: that is this version.
    tags = _git("tag", "--merged", "HEAD^", "--list", "v[0-9]*", "--sort=-version:refname")
    return (tags or b"").decode().partition("\n")[0]


def _git(*arguments: str) -> bytes | None:
    program = shutil.which("git")
    if program is None:
        return None
    command = [program, "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def tomorrow(folder: Path) -> Path:
    """This version's sources with what a next one may bring, in a folder of their own.

    That is a definition with one step more, and a migration of each phase.
    """
    for name in ("chassis", *SERVICES, "gen"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "booking_svc/saga/definition.py").open("a") as table:
        table.write(LATER_DEFINITION)
    lines = scripts_of("booking_svc.persistence.migrations").get_heads()
    for revision, code in LATER_MIGRATIONS.items():
        phase = phase_of(revision)
        before = next((one for one in lines if phase_of(one) is phase), None)
        text = MIGRATION.format(
            summary="Of tomorrow", revision=revision, before=before, code=f"    {code}"
        )
        path = f"booking_svc/persistence/migrations/versions/{revision[:4]}_{phase}_tomorrow.py"
        (folder / path).write_text(text)
    return folder


class Front:
    """Where a service is looked for: each new connection goes to the next of its replicas."""

    def __init__(self) -> None:
        self.replicas: list[Child] = []
        self._turns = itertools.count()
        self._passing: set[asyncio.Task[None]] = set()
        self.address = ""

    def next_address(self) -> str:
        """Where the replica is whose turn it is; nowhere when there is none."""
        if not self.replicas:
            return ""
        return self.replicas[next(self._turns) % len(self.replicas)].address

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{port}"

    async def close(self) -> None:
        self._server.close()
        for one in self._passing:
            one.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            await self._pass_on(reader, writer)
        except asyncio.CancelledError:
            # By `close`: a task of the server that ends so would be an error.
            pass
        finally:
            self._passing.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.next_address().partition(":")
        if not port:
            return
        try:
            there, here = await asyncio.open_connection(host, int(port))
        except OSError:
            return
        both = [asyncio.ensure_future(_pump(*ends)) for ends in ((reader, here), (there, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            here.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()


@dataclass
class Rollout(World):
    """Three databases, and replicas of more than one version in front of them."""

    fronts: dict[str, Front] = field(default_factory=dict)

    async def open(self) -> None:
        for service in (BOOKING, INVENTORY, PAYMENT):
            front = self.fronts[service] = Front()
            await front.open()
            self.targets[service] = front.address

    async def close(self) -> None:
        await super().close()
        for front in self.fronts.values():
            await front.close()

    def channel(self, service: str) -> grpc.aio.Channel:
        """A channel to the next of the replicas: all that serve have their share."""
        front = self.fronts[service]
        address = front.next_address() or front.address
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(address)
        return self._channels[address]

    async def begins(self, version: Nursery, service: str) -> Child:
        """Start a replica of a version, and let it have its share of the calls."""
        child = await self._fork(version, service)
        await child.listens()
        self.fronts[service].replicas.append(child)
        return child

    async def ends(self, child: Child, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop a replica in order, or kill it."""
        self.fronts[child.service].replicas.remove(child)
        child.signal(how)
        code = await child.ends()
        assert code == (0 if how is signal.SIGTERM else -how), child.log.read_text()

    async def runs(self, version: Nursery, service: str, *arguments: str) -> tuple[int, str]:
        """Run a program that ends by itself: its exit code, and what it said."""
        child = await self._fork(version, service, *arguments)
        await until(lambda: child.exit_code is not None, STARTS_S)
        return child.exit_code or 0, child.log.read_text()

    async def migrates(self, version: Nursery, *arguments: str) -> None:
        """Bring all three databases to the schema of a version."""
        for service in self.fronts:
            code, said = await self.runs(version, service, "migrate", *arguments)
            assert code == 0, said

    @asynccontextmanager
    async def seen_from(self, child: Child) -> AsyncIterator["Sight"]:
        """The world for a client who asks this replica and no other."""
        async with grpc.aio.insecure_channel(child.address) as channel:
            yield Sight(self, child.service, channel)

    async def _fork(self, version: Nursery, service: str, *arguments: str) -> Child:
        log = self.folder / f"{len(self.children)}.log"
        plan = Plan(constants=CONSTANTS)
        environment = self._environment(service, ANY_PORT)
        child = await version.fork(service, environment, plan, log, arguments)
        self.children.append(child)
        await until(lambda: child.source or child.exit_code is not None, STARTS_S)
        ours = sorted({str(version.root), str(version.root / "gen")})
        assert child.source == ours, f"the code of another version: {child.source}"
        return child


@dataclass
class Sight:
    """A world in which one service is one replica."""

    world: Rollout
    service: str
    _channel: grpc.aio.Channel

    @property
    def answers(self) -> list[dict[str, object]]:
        return self.world.answers

    def channel(self, service: str) -> grpc.aio.Channel:
        return self._channel if service == self.service else self.world.channel(service)
