"""The session: a MariaDB for all workers, and an environment that nobody else's settings reach.

The folder of a test says what it may touch; see the `conftest.py` there.
"""

import gc
import os
import shutil
import signal
from asyncio import AbstractEventLoop
from collections.abc import Callable

import pytest
import structlog
import uvloop
from support import chromium, mariadb, promtool, redis

PREFIXES = ("AUTH_", "BOOKING_", "GATEWAY_", "INVENTORY_", "OTEL_", "PAYMENT_", "TLS_")
SERVER = pytest.StashKey[mariadb.PrivateMariaDb]()


def pytest_configure(config: pytest.Config) -> None:
    # The usual tracebacks show all variables, which takes seconds and would show cards.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    # Who runs this in the background of a script is deaf to Ctrl-C, and so would be what is
    # started here to be told it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        del os.environ[name]
    # The process that the user started runs the server; workers get its address.
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if os.environ.get(mariadb.VARIABLE) or not mariadb.installed():
        return
    server = mariadb.PrivateMariaDb()
    config.stash[SERVER] = server
    os.environ[mariadb.VARIABLE] = server.start()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: while one test waits, as many do, another has work."""
    return (os.cpu_count() or 1) + 1


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """The loop of the programs is that of the tests."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    # All these stay until the end: the garbage collector need not look at them again and again.
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    server = config.stash.get(SERVER, None)
    if server is not None:
        server.stop()
        os.environ.pop(mariadb.VARIABLE, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.config.option.collectonly:
        return
    missing = []
    if not os.environ.get(mariadb.VARIABLE):
        advice = (
            "install mariadb-server, or set HOLDFAST_TEST_MYSQL_URL=mysql+aiomysql://USER@HOST:PORT"
        )
        missing.append((" MySQL AND MARIADB WERE NOT TESTED: no server ", advice))
    if not redis.installed() and not os.environ.get(redis.VARIABLE):
        advice = "install redis-server, or set HOLDFAST_TEST_REDIS_URL=redis://HOST:PORT"
        missing.append((" REDIS WAS NOT TESTED: no server ", advice))
    if not chromium.executable():
        advice = "install chromium, or set HOLDFAST_TEST_CHROMIUM to a program that is one"
        missing.append((" NO PAGE WAS TESTED: no Chromium ", advice))
    if not promtool.executable():
        advice = "install prometheus, or set HOLDFAST_TEST_PROMTOOL to its promtool"
        missing.append((" THE ALERTS WERE NOT TRIED: no promtool ", advice))
    for line, advice in missing:
        terminalreporter.write_line(line.center(shutil.get_terminal_size().columns, "!"), red=True)
        terminalreporter.write_line(advice)
