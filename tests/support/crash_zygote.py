"""Forks the programs of this tree, each with a plan around it, such as where it is killed."""

import importlib
from typing import Any

from booking_svc import wiring as booking_wiring
from chassis.program import main
from inventory_svc import wiring as inventory_wiring
from payment_svc import wiring as payment_wiring
from support.crash_points import SERVICES
from support.crash_seams import Plan, install
from support.zygote import Tell, Zygote

PROGRAMS = dict(
    zip(
        SERVICES,
        (booking_wiring.PROGRAM, inventory_wiring.PROGRAM, payment_wiring.PROGRAM),
        strict=True,
    )
)
# Imported by name only when a database is opened.
DRIVERS = ("aiomysql", "aiosqlite", "sqlalchemy.dialects.sqlite.aiosqlite", "alembic.command")


def serve(order: dict[str, Any], tell: Tell) -> int:
    """Be a program, inside its plan."""
    install(order["service"], Plan(**order["plan"]), tell)
    return main(PROGRAMS[order["service"]], order["arguments"])


if __name__ == "__main__":
    for driver in DRIVERS:
        importlib.import_module(driver)
    Zygote(serve).run()
