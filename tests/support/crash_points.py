"""The points at which a process is killed: before and after each commit and each remote call.

They are made from the saga tables, the sources of the use cases and the port of the provider, so
that what is new has its points before anybody thinks of them:

    confirm_booking/charge/forward/before-call      a step; backward is its undo
    booking_svc/Recovery._take_over/after-commit    a unit of work
    payment_svc/provider.charge/after-call          a call of the provider
"""

import ast
from collections.abc import Iterator
from inspect import iscoroutinefunction
from pathlib import Path

from booking_svc.saga.definition import DEFINITIONS
from booking_svc.saga.machine import Direction
from payment_svc.ports import Provider
from support.source import ROOT

CALL = ("before-call", "after-call")
COMMIT = ("before-commit", "after-commit")
SERVICES = ("booking_svc", "inventory_svc", "payment_svc")
# Those that tell others what happens, by what the chassis has for that.
TELLING = ("booking_svc", "payment_svc")

# Here a crash leaves nothing between two steps: what is stored is all there is, and it is
# whole. Everything else that writes has points.
WHOLE = {
    "Events.create": "an admin makes an event before anything is booked",
    "Sweeper.run_once": "tidies rows that are over already",
    "OperateSagas.retry": "a person is there, and asks again",
    "OperateSagas.resolve": "a person is there, and asks again",
    "Retention._purge": "what it has not deleted yet it finds again",
    "Privacy._erase": "a person is there, and asks again; each batch is whole",
    "FollowPayments._handle": "wakes sagas that wake by themselves",
    "FollowPayments._note": "events that are handled twice cost little",
    "Sagas.renew": "a lease that is not renewed is what a crash is",
}
# One unit of work for every step: its points are named by the step.
RECORD = "BookingJournal.record"


def stretches() -> list[str]:
    """Each action of each saga, as `definition/step/direction`."""
    return [
        f"{definition.name}/{step.name}/{direction.lower()}"
        for definition in DEFINITIONS.values()
        for step in definition.steps
        for direction, action in ((Direction.FORWARD, step.do), (Direction.BACKWARD, step.undo))
        if action is not None
    ]


def stretch(definition: str, step: str, direction: Direction) -> str:
    return f"{definition}/{step}/{direction.lower()}"


def points_of(*names: str) -> list[str]:
    """The points of stretches and units of work, in the order in which they are reached."""
    return [f"{name}/{moment}" for name in names for moment in _moments(name)]


def _moments(name: str) -> tuple[str, ...]:
    if name.startswith(tuple(DEFINITIONS)):
        return (*CALL, *COMMIT)
    return CALL if "/provider." in name else COMMIT


def units(service: str) -> list[str]:
    """Each unit of work that the use cases of a service write, as `service/Class.method`."""
    paths = sorted((ROOT / service / "usecases").glob("*.py"))
    paths += [ROOT / "chassis" / name for name in ("privacy.py", "retention.py")]
    paths += [ROOT / "chassis" / "events.py"] if service in TELLING else []
    found = dict.fromkeys(unit for path in paths for unit in _units_in(path))
    return [f"{service}/{unit}" for unit in found if unit not in WHOLE and unit != RECORD]


def provider_calls() -> list[str]:
    names = [name for name, value in vars(Provider).items() if iscoroutinefunction(value)]
    return [f"payment_svc/provider.{name}" for name in names]


def all_points() -> list[str]:
    """Every point there is."""
    written = [unit for service in SERVICES for unit in units(service)]
    return points_of(*stretches(), *written, *provider_calls())


def _units_in(path: Path) -> Iterator[str]:
    for of in ast.parse(path.read_text()).body:
        for method in of.body if isinstance(of, ast.ClassDef) else ():
            if isinstance(method, ast.AsyncFunctionDef) and _writes(method):
                yield f"{of.name}.{method.name}"


def _writes(method: ast.AsyncFunctionDef) -> bool:
    """Whether a method makes a unit of work and has it written; one that passes it on does not."""
    given = {argument.arg for argument in method.args.args}
    calls = [node for node in ast.walk(method) if isinstance(node, ast.Call) and node.args]
    return any(
        ast.unparse(call.func).endswith(("transactions.write", "records.write"))
        and ast.unparse(call.args[0]) not in given
        for call in calls
    )
