"""Forks the programs of the version in whose folder it runs: all it knows is `python -m NAME`.

What it imports beforehand only saves time: a version that has no such module is served as well.
"""

import contextlib
import importlib
import runpy
import sys
from pathlib import Path
from typing import Any

from support.zygote import Tell, Zygote

SERVICES = ("booking_svc", "inventory_svc", "payment_svc")
MODULES = (
    *(f"{name}.wiring" for name in SERVICES),
    *("aiomysql", "aiosqlite", "sqlalchemy.dialects.sqlite.aiosqlite", "alembic.command"),
)


def serve(order: dict[str, Any], tell: Tell) -> int:
    """Be a program, as the command line starts it; what tells where its code is comes first."""
    for name, value in order["plan"]["constants"].items():
        module, _, constant = name.rpartition(".")
        with contextlib.suppress(ImportError, AttributeError):
            getattr(importlib.import_module(module), constant)
            setattr(sys.modules[module], constant, value)
    tell("source", source())
    sys.argv = [order["service"], *order["arguments"]]
    try:
        runpy.run_module(order["service"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def source() -> list[str]:
    """The folders that our packages, and the contracts, come from."""
    names = ("chassis", *SERVICES, "holdfast.booking.v1.booking_pb2")
    files = [Path(str(importlib.import_module(name).__file__)) for name in names]
    return sorted(
        {
            str(one).partition(f"/{name.split('.')[0]}/")[0]
            for one, name in zip(files, names, strict=True)
        }
    )


if __name__ == "__main__":
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    Zygote(serve).run()
