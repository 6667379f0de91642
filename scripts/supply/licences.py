"""Under which licences what ships is given: read from what is installed."""

from collections.abc import Iterable
from importlib import metadata
from typing import Any

from scripts.supply.locks import Package

# They ask for no more than that one names them; MPL-2.0, that changes to its own files are shown.
ALLOWED = frozenset({
    "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
    # As they were called before there were identifiers.
    "3-Clause BSD License", "Apache Software License", "BSD License", "ISC License",
    "ISC License (ISCL)", "MIT License", "Mozilla Public License 2.0 (MPL 2.0)", "Public Domain",
    "Python Software Foundation License",
})  # fmt: skip
CLASSIFIER = "License :: "


def wrong(packages: Iterable[Package]) -> list[str]:
    """Those of these packages whose licence is not an allowed one."""
    found = []
    for package in packages:
        try:
            told: Any = metadata.metadata(package.name)
        except metadata.PackageNotFoundError:
            # For another system than this.
            continue
        expression = told.get("License-Expression")
        names = [] if expression else _classified(told.get_all("Classifier") or [])
        shown = expression or " AND ".join(names) or (told.get("License") or "none").strip()
        if not is_allowed(shown):
            first = shown.splitlines()[0][:80]
            found.append(f"{package.name}: its licence is not an allowed one: {first}")
    return found


def is_allowed(expression: str) -> bool:
    """Whether an expression of SPDX, without brackets, leaves us an allowed choice."""
    return any(
        all(name.strip() in ALLOWED for name in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


def _classified(classifiers: Iterable[str]) -> list[str]:
    of_licences = [one for one in classifiers if one.startswith(CLASSIFIER)]
    return [one.rpartition(" :: ")[2] for one in of_licences if not one.endswith("OSI Approved")]
