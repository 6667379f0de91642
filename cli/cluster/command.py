"""`holdfast cluster`, and `holdfast cluster --prove`."""

import sys
from contextlib import suppress
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli import demo_event, guide, signing
from cli.buyer import USER
from cli.cluster import prove
from cli.cluster.cluster import LOGS, Cluster
from cli.cluster.ports import KINDS, LAST, STEP, Ports
from cli.programs import INVENTORY
from cli.screen import out

FIRST_PORT = 17_400
# The ports of the last kind of part end below this.
SPAN = (len(KINDS) + 4) * STEP
DAY_S = 86_400


def cluster(
    port: Annotated[
        int,
        typer.Option(
            help="Of the gateway; the other parts listen on the hundred ports after it.",
            min=1024,
            max=LAST - SPAN,
        ),
    ] = FIRST_PORT,
    *,
    prove_it: Annotated[
        bool,
        typer.Option(
            "--prove",
            help="Kill each process in turn under load, audit, and stop: the exit code is 0 only"
            " if nothing was lost and nothing was taken twice.",
        ),
    ] = False,
) -> None:
    """Start everything several times on this machine, so that any one process may be killed.

    Three nodes of Galera, a Redis with a copy and three sentinels, two replicas of each service,
    and the gateway, on loopback. Its data is new each time, and removed at the end; logs are in
    var/cluster/log. What ends by itself is started again.
    """
    # Ctrl-C is how this command is meant to end.
    with suppress(KeyboardInterrupt):
        if prove_it:
            sys.exit(0 if prove.run(Ports(port), say) else 1)
        _run(Ports(port))


def _run(ports: Ports) -> None:
    keys, made = signing.find_or_make()
    if made:
        say(f"made a secret for development: {signing.SECRET_FILE} (only you can read it)")
    with Cluster(ports, {"AUTH_JWT_SECRET": keys.secret}, say) as running:
        for part, took_s in running.start():
            say(f"{part.name} works on 127.0.0.1:{part.port} after {took_s:.1f} s")
        inventory = f"127.0.0.1:{ports.service(INVENTORY.prefix.lower(), 1)}"
        event = demo_event.find_or_create(inventory, keys.minter)
        _show(running, event.event_id, keys.minter.mint(USER, "bookings", DAY_S))
        running.keep()


def _show(running: Cluster, event_id: int, token: str) -> None:
    table = Table("part", "address", "process", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for part in reversed(running.parts):
        table.add_row(part.name, f"127.0.0.1:{part.port}", str(part.pid))
    out.print(table)
    out.print("\n[bold]Book two seats:[/] paste this in another terminal, again and again.")
    guide.show_first_booking(out, f"127.0.0.1:{running.ports.gateway}", event_id, token)
    out.print(
        "[bold]Kill what you like:[/] kill -9 and a process from above. It is started again, and"
        " nothing is lost meanwhile.\n"
        f"What each one says is in {LOGS}. [bold]Ctrl-C stops everything[/] and removes its data.",
        soft_wrap=True,
    )


def say(text: str) -> None:
    """Tell what happens, in one line."""
    # Said also while stopping, when the terminal may be gone: that must not stop the stopping.
    with suppress(OSError, SystemExit):
        out.print(f"[dim]holdfast:[/] {escape(text)}", soft_wrap=True)
