"""What every `python -m <service>` does: help, migrate, serve, and stop on a signal."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog
import uvloop
from sqlalchemy.exc import DBAPIError

from chassis import logs, metrics, migrations, probe, tokens, tracing
from chassis.database import Database
from chassis.interceptors.admission import Limits
from chassis.migrations import Phase
from chassis.server import AddressTaken, Hosted, running
from chassis.settings import (
    AuthSettings,
    ServiceSettings,
    SettingsError,
    describe,
    load,
    load_together,
)
from chassis.tls import Tls
from chassis.tls_settings import TlsSettings, require_listener, require_private

log = structlog.get_logger(__name__)

EXIT_USAGE = 2
EXIT_FAILURE = 1
# Of `migrate --pending`, when there is something to run.
EXIT_PENDING = 3


@dataclass(frozen=True)
class Program:
    """One service as a program."""

    name: str
    summary: str
    settings: type[ServiceSettings]
    # The package of its migrations.
    migrations: str
    # With its settings, those of tokens, its database, and `tls`.
    wire: Callable[..., Awaitable[Hosted]]
    # Raises SettingsError for what only this program asks of AUTH_… and TLS_… settings.
    check: Callable[[AuthSettings, TlsSettings], object] = lambda *_: None


def main(program: Program, arguments: Sequence[str] | None = None) -> int:
    """Run a program.

    The exit code is 0, 1 for a failure, 2 for wrong settings or arguments; of `migrate --pending`
    it is 3 when there is something to run.
    """
    wanted = _wanted(program, arguments)
    if wanted.command in ("health", "alive"):
        ask = probe.of_service if wanted.command == "health" else probe.whether_it_answers
        return ask(program.name, program.settings.model_fields["listen"].default)
    # Files of SQLite are for the user who runs this, and for nobody else.
    os.umask(0o077)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_work(program, wanted))
    except SettingsError as error:
        mistakes = "\n".join(f"  {line}" for line in str(error).splitlines())
        sys.stderr.write(f"{program.name}: the settings are not right:\n{mistakes}\n")
        return EXIT_USAGE
    except (AddressTaken, metrics.MetricsAddressTaken, migrations.SchemaError) as error:
        sys.stderr.write(f"{program.name}: {error}\n")
        return EXIT_FAILURE
    except (DBAPIError, OSError) as error:
        cause = getattr(error, "orig", error)
        sys.stderr.write(f"{program.name}: the database cannot be used: {cause}\n")
        return EXIT_FAILURE


async def _work(program: Program, wanted: argparse.Namespace) -> int:
    if wanted.pending:
        return await _tell_pending(program)
    if wanted.command == "migrate":
        return await _migrate(program, wanted.phase)
    return await _serve(program)


async def _migrate(program: Program, phase: Phase) -> int:
    settings = load(program.settings)
    logs.configure(program.name, settings.log_level)
    database = Database(settings.database_url)
    try:
        done = await migrations.migrate(database, program.migrations, [phase])
    finally:
        await database.close()
    log.info("migrated", phase=phase, revisions=done)
    return 0


async def _tell_pending(program: Program) -> int:
    """Print what the database has not had, a line each."""
    settings = load(program.settings)
    logs.configure(program.name, settings.log_level)
    database = Database(settings.database_url)
    try:
        missing = await migrations.pending(database, program.migrations)
    finally:
        await database.close()
    for one in missing:
        sys.stdout.write(f"{one.phase:<4}  {one.revision}  {one.summary}\n")
    return EXIT_PENDING if missing else 0


async def _serve(program: Program) -> int:
    settings, auth, verifier, tls, *_ = load_together(
        lambda: load(program.settings),
        lambda: load(AuthSettings),
        lambda: tokens.verifier(load(AuthSettings)),
        lambda: Tls(load(TlsSettings)),
        lambda: program.check(load(AuthSettings), load(TlsSettings)),
        lambda: _check_listeners(program, load(program.settings), load(TlsSettings)),
    )
    logs.configure(program.name, settings.log_level)
    stop = _on_signals()
    database = Database(settings.database_url)
    async with AsyncExitStack() as stack:
        # What is left to send is sent last of all, and must not keep the loop from stopping.
        stack.push_async_callback(asyncio.to_thread, tracing.configure(program.name))
        stack.push_async_callback(database.close)
        if database.is_sqlite:
            # Whatever removes something waits to be asked for: the version before may come back.
            await migrations.migrate(database, program.migrations, [Phase.PRE])
        await migrations.require_current(database, program.migrations, program.name)
        tls.watch()
        await stack.enter_async_context(
            metrics.served(program.name, settings.metrics_listen, tls.server_context())
        )
        hosted = await program.wire(settings, auth, database, tls=tls)
        limits = Limits(settings.calls_max, settings.streams_max)
        await stack.enter_async_context(
            running(hosted, settings.listen, verifier, settings.shutdown_grace_s, limits, tls=tls)
        )
        await stop.wait()
    return 0


def _check_listeners(program: Program, settings: ServiceSettings, tls: TlsSettings) -> None:
    require_listener(tls)
    prefix = program.settings.model_config.get("env_prefix", "")
    plain = {
        f"{prefix}LISTEN": settings.listen,
        f"{prefix}METRICS_LISTEN": settings.metrics_listen,
    }
    if not tls.cert_file:
        require_private(tls, plain, "TLS_CERT_FILE and TLS_KEY_FILE")


def _on_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first)
    return stop


def _wanted(program: Program, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser(program)
    wanted = parser.parse_args(arguments)
    if wanted.command != "migrate" and (wanted.pending or wanted.phase is not None):
        parser.error("--phase and --pending are of 'migrate'")
    if wanted.pending and wanted.phase is not None:
        parser.error("--pending tells of both phases, and runs none: it goes without --phase")
    wanted.phase = wanted.phase or Phase.PRE
    return wanted


def _parser(program: Program) -> argparse.ArgumentParser:
    settings = [*describe(program.settings), *describe(AuthSettings), *describe(TlsSettings)]
    lines = [f"  {name} = {default}\n      {meaning}" for name, default, meaning in settings]
    parser = argparse.ArgumentParser(
        prog=f"python -m {program.name}",
        description=program.summary,
        epilog="settings, from the environment, with their defaults:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "migrate", "health", "alive"),
        default="serve",
        help="serve (the default); bring the database to the schema that this version needs; or ask"
        " the one that runs on this machine, where its LISTEN setting says: whether it serves, or"
        " whether it answers at all",
    )
    parser.add_argument(
        "--phase",
        type=Phase,
        choices=list(Phase),
        help="of migrate: 'pre' (the default) adds what this version needs, and is run before it"
        " starts; 'post' removes what only older versions used, and is run when none of them runs"
        " any more: there is no way back then",
    )
    parser.add_argument(
        "--pending",
        action="store_true",
        help="of migrate: run nothing, print what would be run, a line each, and end with 3 if"
        " there is something, else with 0",
    )
    return parser
