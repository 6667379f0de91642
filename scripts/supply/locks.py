"""The lock files: which version of what, with hashes, and from no place of its own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What ships, what tests and checks need besides, and what makes the wheel.
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
SHIPPED = LOCKS[0]
EXACT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*])?==([A-Za-z0-9][A-Za-z0-9.!+_-]*)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class Package:
    """One version of a package."""

    name: str
    version: str


def read(path: Path) -> tuple[list[Package], list[str]]:
    """The packages of a lock file, and what is wrong with it."""
    packages, wrong = [], []
    for line in _requirements(path.read_text()):
        requirement, *options = line.split(" --")
        found = EXACT.match(requirement)
        name = found[1] if found else line[:60]
        rest = requirement[found.end() :].strip() if found else ""
        if found is None or (rest and not rest.startswith(";")):
            wrong.append(f"{path.name}: {name}: not one exact version of a package")
            continue
        if not options or not all(HASH.fullmatch(f"--{one.strip()}") for one in options):
            wrong.append(f"{path.name}: {name}: no hash, or something else besides")
        packages.append(Package(found[1].lower(), found[2]))
    if "://" in path.read_text():
        wrong.append(f"{path.name}: names an address; packages come from where pip is told to look")
    return packages, wrong


def _requirements(text: str) -> Iterator[str]:
    """Each requirement with its options, as one line."""
    for line in text.replace("\\\n", " ").splitlines():
        whole = " ".join(line.partition(" #")[0].split())
        if whole and not whole.startswith("#"):
            yield whole
