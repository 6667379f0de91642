"""Two payment adapters, their database and a truthful provider, moved step by step."""

import asyncio
import shutil
import sqlite3
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event

from chassis import migrations
from chassis.database import Database
from payment_svc.usecases.webhooks import Delivery
from support.clock import ManualClock
from support.payment_truth import Snapshot
from support.replicas import Flight, Replica, Traffic, start
from support.truthful import Decision, Mishap, State, TruthfulProvider

TEMPLATE = "template.db"


@dataclass(frozen=True)
class Weather:
    """How a step goes, beside what it is."""

    # Which replica does it.
    at: int = 0
    # How many seams the replica passes before it is killed; none: it lives.
    cut: int | None = None
    # What becomes of the first questions to the provider.
    mishaps: tuple[Mishap, ...] = ()
    # What the provider makes of what it has not seen before.
    decision: Decision = Decision.DONE


FAIR = Weather()


class World:
    """One run: a database of its own, and a clock that stands still."""

    def __init__(self, runner: asyncio.Runner, folder: Path, number: int) -> None:
        """Begin with a copy of what `prepare` has made in the folder."""
        self._run = runner.run
        self.clock, self.provider = ManualClock(), TruthfulProvider()
        self._path = folder / f"{number}.db"
        shutil.copy(folder / TEMPLATE, self._path)
        self._database = Database(f"sqlite+aiosqlite:///{self._path}")
        for engine in (self._database.reader, self._database.writer):
            event.listen(engine.sync_engine, "connect", _hurry)
        self._books = sqlite3.connect(self._path)
        self._books.row_factory = sqlite3.Row
        self._traffic, self._started = Traffic(), 0
        self.replicas = [self._start(), self._start()]
        # The ids of the events that came here.
        self.told: set[str] = set()

    def fly(self, weather: Weather, *work: Coroutine[Any, Any, Any]) -> list[Flight]:
        """Begin calls and go on until nothing moves; a replica that is cut off ends there."""
        replica, provider = self.replicas[weather.at], self.provider
        provider.mishaps, provider.decision = deque(weather.mishaps), weather.decision
        replica.transactions.seams_left = weather.cut

        async def flying() -> list[Flight]:
            flights = [replica.begin(one) for one in work]
            await self._traffic.rest()
            return flights

        flights = self._run(flying())
        provider.mishaps.clear()
        replica.transactions.seams_left = None
        if replica.transactions.is_cut:
            self.restart(weather.at)
        for flight in [one for each in self.replicas for one in each.flights]:
            # What failed for another reason than a refusal is raised here.
            _ = flight.result
        return flights

    def restart(self, at: int) -> None:
        """Kill a replica wherever it stands, and start another."""
        self._run(self.replicas[at].kill())
        self.replicas[at] = self._start()

    def deliver(self, index: int, weather: Weather = FAIR) -> None:
        """Bring an event of the provider to a replica."""
        delivery = Delivery(self.provider.name, *self.provider.webhook(index))
        (flight,) = self.fly(weather, self.replicas[weather.at].webhooks(delivery))
        if flight.task.done() and not flight.task.cancelled():
            assert flight.result is None
            self.told.add(self.provider.events[index][0])

    def snapshot(self) -> Snapshot:
        """What is stored."""
        return Snapshot.of(self._books)

    def undecided(self) -> list[str]:
        """What the provider is to decide: our references."""
        charges = [one for one, at in self.provider.charges.items() if at.state is State.OPEN]
        refunds = [one for one, at in self.provider.refunds.items() if at.state is State.OPEN]
        return [*charges, *refunds]

    def given_back(self) -> list[str]:
        """The refunds that are done."""
        return [name for name, one in self.provider.refunds.items() if one.state is State.DONE]

    def decide(self, reference: str, *, done: bool) -> None:
        """Let the provider decide about a charge or a refund."""
        if reference in self.provider.charges:
            self.provider.decide_charge(reference, done=done)
        else:
            self.provider.decide_refund(reference, done=done)

    def calm(self) -> None:
        """Let all that is on its way arrive, and all that was told be heard."""
        while self.provider.late:
            self.provider.late.pop()()
        for one in self.provider.held:
            one.set()
        self.fly(FAIR)
        for index, (event_id, _, _) in enumerate(self.provider.events):
            if event_id not in self.told:
                self.deliver(index)

    def close(self) -> None:
        """End, whatever is going on."""

        async def closing() -> None:
            for replica in self.replicas:
                await replica.kill()
            await self._database.close()

        self._run(closing())
        self._books.close()
        self._path.unlink()

    def _start(self) -> Replica:
        self._started += 1
        return start(self._database, self.clock, self.provider, self._traffic, self._started)


async def prepare(folder: Path) -> None:
    """Make the database that every run begins with."""
    database = Database(f"sqlite+aiosqlite:///{folder / TEMPLATE}")
    await migrations.migrate(database, "payment_svc.persistence.migrations")
    await database.close()


def _hurry(connection: Any, _record: object) -> None:
    """These databases need not outlive a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = OFF")
    cursor.close()
