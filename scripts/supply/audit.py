"""The audit of what we depend on, as a step of `make check`."""

import datetime as dt
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from scripts.supply import advisories, licences, locks
from scripts.supply.advisories import Advisory, Unreachable
from scripts.supply.locks import Package

OSV = "https://api.osv.dev"
# However slow a name is to be found, or an answer to come: nobody waits longer for the advisories.
PATIENCE_S = 15.0
EXEMPTIONS = "audit-exemptions.toml"
TO_DO = (
    "take a version that is mended: scripts/lock --upgrade-package NAME, then make setup."
    f" If there is none, allow it in {EXEMPTIONS}, with a reason and a last day"
)


def main(folder: Path) -> int:
    """Audit the lock files of a folder; the exit code is 0, or 1 for whatever must not be."""
    packages: dict[str, list[Package]] = {}
    wrong = []
    for name in locks.LOCKS:
        packages[name], mistakes = locks.read(folder / name)
        wrong += mistakes
    wrong += licences.wrong(packages[locks.SHIPPED])
    try:
        wrong += _vulnerable(sorted({one for some in packages.values() for one in some}), folder)
    except ValueError as error:
        wrong.append(str(error))
    except Unreachable as error:
        if os.environ.get("HOLDFAST_AUDIT") == "required":
            wrong.append(f"the advisories cannot be asked for: {error}")
        else:
            _say(f"ADVISORIES NOT ASKED FOR, so nothing is known of vulnerabilities: {error}")
    for line in wrong:
        _say(line)
    return 1 if wrong else 0


def _vulnerable(packages: list[Package], folder: Path) -> list[str]:
    allowed = advisories.exemptions(folder / EXEMPTIONS)
    url = os.environ.get("HOLDFAST_OSV_URL", OSV)
    known = _within(PATIENCE_S, lambda: advisories.known(packages, url))
    lines = advisories.refused(known, allowed, dt.datetime.now(dt.UTC).date())
    return [*lines, TO_DO] if lines else []


def _within(patience_s: float, ask: Callable[[], list[Advisory]]) -> list[Advisory]:
    """Ask, and leave it when it takes too long: a name server has patience of its own."""
    told: list[list[Advisory] | Unreachable] = []

    def work() -> None:
        try:
            told.append(ask())
        except Unreachable as error:
            told.append(error)

    asking = threading.Thread(target=work, daemon=True)
    asking.start()
    asking.join(patience_s)
    answer = told[0] if told else Unreachable(f"no answer within {patience_s:g} s")
    if isinstance(answer, Unreachable):
        raise answer
    return answer


def _say(line: str) -> None:
    sys.stdout.write(f"audit: {line}\n")
