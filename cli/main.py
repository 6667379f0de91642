"""`holdfast`: the command line."""

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import grpc
import typer
from pydantic import TypeAdapter
from rich.markup import escape

from chassis.context import USER_ID_LENGTH_MAX
from chassis.settings import SettingsError, load
from chassis.terminals import harmless
from cli import (
    calls,
    cards,
    certificates,
    demo_event,
    guide,
    payments,
    privacy,
    sagas,
    scenario,
    signing,
    stack,
    trace,
    walk,
    watch,
)
from cli.buyer import USER, Buyer
from cli.cluster.command import cluster
from cli.demo import STEPS, Demo
from cli.desk import Desk
from cli.failure import Failure
from cli.programs import BOOKING, INVENTORY, PAYMENT, PROGRAMS, Addresses
from cli.screen import err, out
from cli.signing import Signing

DAY_S = 86_400
# Whom `holdfast up` gives a token for operations.
OPERATOR = "operator"
NEW_LINE = "\n"
SCOPES = {"admin", "bookings", "inventory", "payments"}

commands = typer.Typer(
    help="Holdfast: bookings that are paid for exactly once, whatever fails in between.",
    epilog="Services are found by their own settings (BOOKING_LISTEN and so on). Commands that ask"
    " them make a token with AUTH_JWT_SECRET; where tokens are made elsewhere, put one with the"
    " scope admin into HOLDFAST_TOKEN. They speak TLS with TLS_CA_FILE, TLS_CERT_FILE and"
    " TLS_KEY_FILE, as the programs do.",
    no_args_is_help=True,
    add_completion=False,
    # Its tracebacks would show the values of variables, secrets too.
    pretty_exceptions_enable=False,
)


@commands.command()
def up(
    *,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            help="With mutual TLS between the programs and HTTPS at the gateway; the certificates"
            " are made in var/tls if they are not there.",
        ),
    ] = False,
) -> None:
    """Start everything on this machine, show how to make a booking, and stop it on Ctrl-C.

    Each program keeps its data in a file of SQLite in the folder var, and its log in var/log.
    Their settings are environment variables, such as BOOKING_LISTEN=127.0.0.1:50061: see
    'python -m booking_svc --help'.
    """
    addresses = load(Addresses)
    https = tls or bool(os.environ.get("GATEWAY_TLS_CERT_FILE"))
    keys, made = signing.find_or_make()
    if made:
        _say(f"made a secret for development: {signing.SECRET_FILE} (only you can read it)")
    settings = {"AUTH_JWT_SECRET": keys.secret}
    if not {"PAYMENT_PROVIDER", "PAYMENT_WEBHOOK_SECRETS"} & os.environ.keys():
        settings |= stack.webhooks(addresses, "https" if https else "http")
    own = _certified() if tls else lambda _: {}
    stacked = stack.Stack(addresses, settings, Path(), _say, own)
    # Ctrl-C is how this command is meant to end.
    with suppress(KeyboardInterrupt), stacked as running:
        _wait(running, addresses)
        event = demo_event.find_or_create(addresses.target(INVENTORY), keys.minter)
        token = keys.minter.mint(USER, "bookings", DAY_S)
        admin_token = keys.minter.mint(OPERATOR, "admin", DAY_S)
        folder = certificates.FOLDER if tls else None
        shown = guide.Shown(event.event_id, token, admin_token, folder, _has_console())
        guide.show(out, addresses, shown)
        running.watch()


def _has_console() -> bool:
    # As the gateway reads it, which did not start if this is neither yes nor no.
    return TypeAdapter(bool).validate_python(os.environ.get("GATEWAY_CONSOLE", "true"))


@commands.command()
def token(
    user: Annotated[str, typer.Option(help="The user's id, the claim 'sub'.", metavar="ID")],
    scope: Annotated[
        str, typer.Option(help="Scopes, by spaces: bookings, payments, inventory, admin.")
    ] = "bookings",
    lifetime: Annotated[int, typer.Option(help="Seconds that it is good for.", min=1)] = 3600,
) -> None:
    """Print a token to call the services with, and nothing else.

    It is signed with AUTH_JWT_SECRET or, without that, with the secret of 'holdfast up'.
    """
    if not 1 <= len(user) <= USER_ID_LENGTH_MAX or user != user.strip():
        message = f"--user must be 1 to {USER_ID_LENGTH_MAX} characters, with no space at an end"
        raise Failure(message)
    unknown = set(scope.split()) - SCOPES
    if unknown:
        message = (
            f"no such scope: {' '.join(sorted(unknown))}. There are: {' '.join(sorted(SCOPES))}"
        )
        raise Failure(message)
    typer.echo(signing.find().minter.mint(user, scope, lifetime))


@commands.command()
def demo(
    name: Annotated[
        str,
        typer.Option(
            "--scenario",
            help="What the payment provider does: a name that 'holdfast cards' lists.",
            metavar="NAME",
        ),
    ] = "",
) -> None:
    """Make a whole booking and show each step, with the time that it took.

    With --scenario, the booking is paid with the test card of that name: followed until it is
    settled, with all that was asked and answered about its payment, and then cancelled if it
    is confirmed.

    Uses the stack that runs; without one, it starts one on free ports in a temporary folder and
    stops it at the end. The exit code is 0 only if every step went as it should and, with
    --scenario, as 'holdfast cards' foretells.
    """
    with ExitStack() as opened:
        addresses = load(Addresses)
        if all(calls.is_ready(program, addresses.target(program)) for program in PROGRAMS):
            _say(f"using the stack at {addresses.target(BOOKING)}")
            keys = signing.find()
        else:
            _say("no stack runs here: starting one in a temporary folder")
            stack.without_tls()
            addresses, keys = _temporary_stack(opened)
        payment = opened.enter_context(calls.open_channel(addresses.target(PAYMENT)))
        desk = Desk(PAYMENT, payment, addresses.target(PAYMENT), keys.minter, USER, "payments")
        card = scenario.find(name, cards.listed(desk)) if name else None
        event = demo_event.find_or_create(addresses.target(INVENTORY), keys.minter)
        inventory = opened.enter_context(calls.open_channel(addresses.target(INVENTORY)))
        booking = opened.enter_context(calls.open_channel(addresses.target(BOOKING)))
        token = keys.minter.mint(USER, "bookings", DAY_S)
        buyer = Buyer(inventory, booking, token, event.event_id)
        if card:
            walk.live(scenario.Scenario(buyer, desk, card).steps())
        else:
            steps = Demo(buyer)
            walk.at_once((walk.title(step), partial(step, steps)) for step in STEPS)


commands.command("certs")(certificates.certs)
commands.command("cluster")(cluster)
commands.command("watch")(watch.watch)
commands.command("trace")(trace.trace)
commands.command("cards")(cards.cards)
commands.command("export")(privacy.export)
commands.command("erase")(privacy.erase)
commands.add_typer(payments.commands, name="payments")
commands.add_typer(sagas.commands, name="sagas")


def app() -> None:
    """Run the command line; failures are sentences, and the exit code is 1."""
    try:
        commands()
    except (Failure, SettingsError) as failure:
        _fail(str(failure))
    except calls.Refused as refused:
        _fail(f"{refused}{_hint(refused)}")


def _hint(refused: calls.Refused) -> str:
    """What to do about a refusal that a person cannot be expected to understand."""
    about_token = refused.info.reason.startswith("TOKEN_") or refused.info.reason == "SCOPE_MISSING"
    if about_token and os.environ.get(signing.TOKEN_VARIABLE):
        return f". It is the token in {signing.TOKEN_VARIABLE}: put another one there"
    if refused.info.reason == "TOKEN_INVALID":
        return ". The stack has another secret: run this in its folder, or set AUTH_JWT_SECRET"
    if refused.info.reason == "SCOPE_MISSING":
        return ". This command asks for what it needs: the stack is of another version, restart it"
    if refused.info.code is grpc.StatusCode.UNIMPLEMENTED:
        return ". The stack is of another version than this command: restart it"
    return ""


def _certified() -> Callable[[str], dict[str, str]]:
    """What each program is told of TLS; this one is told it, too."""
    made = certificates.make_missing()
    if made:
        _say(f"made certificates in {certificates.FOLDER}: {', '.join(made)}")
    os.environ.update(certificates.settings(certificates.FOLDER, certificates.COMMAND))
    return partial(certificates.settings, certificates.FOLDER)


def _wait(running: stack.Stack, addresses: Addresses) -> None:
    with out.status("starting"):
        for program, took_s in running.ready():
            _say(f"{program.name} serves on {addresses.listen(program)} after {took_s:.1f} s")


def _temporary_stack(opened: ExitStack) -> tuple[Addresses, Signing]:
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-")))
    addresses, keys = stack.on_free_ports(), signing.throwaway()
    environment = {
        "AUTH_JWT_SECRET": keys.secret,
        **stack.kept_apart(addresses, folder),
        **stack.at_a_good_pace(),
        **stack.webhooks(addresses),
    }
    running = opened.enter_context(stack.Stack(addresses, environment, folder, _say))
    _wait(running, addresses)
    return addresses, keys


def _say(text: str) -> None:
    # Said also while stopping, when the terminal may be gone: that must not stop the stopping.
    with suppress(OSError, SystemExit):
        out.print(f"[dim]holdfast:[/] {escape(harmless(text))}", soft_wrap=True)


def _fail(text: str) -> None:
    err.print(f"[red]holdfast:[/] {escape(harmless(text, kept=NEW_LINE))}", soft_wrap=True)
    sys.exit(1)
