"""The source tree, for tests about the project itself."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
# The services that are there: those that can be started.
SERVICES = sorted(path.parent.name for path in ROOT.glob("*_svc/wiring.py"))


def modules(package: str) -> list[ModuleType]:
    """Every module of a package, imported, but those that run when they are."""
    root = importlib.import_module(package)
    found = pkgutil.walk_packages(root.__path__, f"{package}.")
    names = [one.name for one in found if not _runs(one.name)]
    return [root, *(importlib.import_module(name) for name in names)]


def _runs(name: str) -> bool:
    return name.endswith(".__main__") or ".migrations." in name
