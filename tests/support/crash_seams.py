"""What a test does to a program from outside: stop it at a point, lose its seats, hurry it.

The programs know nothing of this. It is put around their seams in a process that was forked for
one test, before the program starts there.
"""

import asyncio
import importlib
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from booking_svc.domain.booking import Booking
from booking_svc.saga import machine
from booking_svc.saga.definition import DEFINITIONS
from booking_svc.saga.machine import Direction, Saga
from booking_svc.saga.runner import Action, Errand, StepRecord
from booking_svc.usecases.journal import BookingJournal
from booking_svc.usecases.steps import Steps
from chassis.database import DatabaseTransactions
from inventory_svc.usecases.reservations import Reservations
from payment_svc.providers.mock import MockProvider
from support.crash_points import CALL, COMMIT, RECORD, provider_calls, stretch

# The exit code of a process that was killed at a point.
KILLED = 17
HOLD_POLL_S = 0.01

Tell = Callable[[str, str], None]
Reach = Callable[[str], Awaitable[None]]
# Where the saga that runs in the present task stands.
_present: ContextVar[str] = ContextVar("present", default="")


@dataclass(frozen=True)
class Plan:
    """What happens to one process."""

    # Killed at one of these points, whichever it reaches first.
    die_at: tuple[str, ...] = ()
    # Waits at this point until the file is there.
    hold_at: str = ""
    hold_until: str = ""
    # An inventory that breaks its promise: it has let the seats go when they are confirmed.
    loses_seats: bool = False
    # `package.module.NAME` → another value.
    constants: Mapping[str, float] = field(default_factory=dict)


def install(service: str, plan: Plan, tell: Tell) -> None:
    """Put a plan around the program of this process."""
    for name, value in plan.constants.items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    reach = _reaching(plan, tell)
    _around_commits(service, reach, tell)
    _around_steps(reach)
    _around_provider(reach)
    if plan.loses_seats:
        _lose_seats()


def _reaching(plan: Plan, tell: Tell) -> Reach:
    times: Counter[str] = Counter()

    async def reach(point: str) -> None:
        times[point] += 1
        tell("reached", point)
        if point in plan.die_at:
            os._exit(KILLED)
        if point == plan.hold_at and times[point] == 1:
            tell("holds", point)
            await _exists(Path(plan.hold_until))

    return reach


async def _exists(gate: Path) -> None:
    while True:
        if gate.exists():  # noqa: ASYNC240 - one look
            return
        await asyncio.sleep(HOLD_POLL_S)


def _around_commits(service: str, reach: Reach, tell: Tell) -> None:
    write = DatabaseTransactions.write

    async def wrapped(self: Any, unit: Any, landed: Any = None) -> Any:
        name = _name_of(service, unit)

        async def whole(repository: Any) -> Any:
            result = await unit(repository)
            await reach(f"{name}/{COMMIT[0]}")
            return result

        tell("begins", name)
        try:
            result = await write(self, whole, landed)
        finally:
            tell("ends", name)
        await reach(f"{name}/{COMMIT[1]}")
        return result

    DatabaseTransactions.write = wrapped  # type: ignore[method-assign]


def _name_of(service: str, unit: Any) -> str:
    method = unit.__qualname__.split(".<locals>")[0]
    return _present.get() if method == RECORD else f"{service}/{method}"


def _around_steps(reach: Reach) -> None:
    action, actions, record = machine.action, Steps.actions, BookingJournal.record

    def noted_action(saga: Saga) -> str | None:
        _present.set(stretch(saga.definition, saga.step, saga.direction))
        return action(saga)

    def wrapped_actions(self: Steps) -> dict[str, Action]:
        return {name: _around_call(do, reach) for name, do in actions(self).items()}

    async def noted_record(
        self: BookingJournal, saga: Saga, booking: Booking, step: StepRecord
    ) -> Booking:
        _present.set(_stretch_of(saga, step))
        return await record(self, saga, booking, step)

    machine.action = noted_action
    Steps.actions = wrapped_actions  # type: ignore[method-assign]
    BookingJournal.record = noted_record  # type: ignore[method-assign]


def _around_call(do: Action, reach: Reach) -> Action:
    async def wrapped(errand: Errand) -> Any:
        name = _present.get()
        await reach(f"{name}/{CALL[0]}")
        outcome = await do(errand)
        await reach(f"{name}/{CALL[1]}")
        return outcome

    return wrapped


def _stretch_of(saga: Saga, step: StepRecord) -> str:
    steps = DEFINITIONS[saga.definition].steps
    forward = any((one.name, one.do) == (step.step, step.action) for one in steps)
    direction = Direction.FORWARD if forward else Direction.BACKWARD
    return stretch(saga.definition, step.step, direction)


def _around_provider(reach: Reach) -> None:
    for name in provider_calls():
        method = name.rpartition(".")[2]
        setattr(MockProvider, method, _around_method(getattr(MockProvider, method), name, reach))


def _around_method(method: Any, name: str, reach: Reach) -> Any:
    async def wrapped(*arguments: Any) -> Any:
        await reach(f"{name}/{CALL[0]}")
        outcome = await method(*arguments)
        await reach(f"{name}/{CALL[1]}")
        return outcome

    return wrapped


def _lose_seats() -> None:
    confirm = Reservations.confirm

    async def wrapped(self: Reservations, ids: Any, reference: str, **how: Any) -> Any:
        await self.cancel(ids, "")
        return await confirm(self, ids, reference, **how)

    Reservations.confirm = wrapped  # type: ignore[method-assign]
