"""Starts localstripe for tests; run as a program, with its arguments.

By itself it listens on all interfaces, and keeps a copy of its store in one file for everybody.
"""

import builtins
import os
import runpy
import socket
import sys
from typing import Any

LOOPBACK = "::ffff:127.0.0.1"
COPY = "/tmp/localstripe.pickle"  # noqa: S108 - the name is not ours, and nothing is written to it

bind, opened = socket.socket.bind, builtins.open


def bind_to_loopback(self: socket.socket, address: Any) -> None:
    bind(self, (LOOPBACK, address[1]))


def open_elsewhere(name: Any, *arguments: Any, **options: Any) -> Any:
    return opened(os.devnull if name == COPY else name, *arguments, **options)


if __name__ == "__main__":
    socket.socket.bind = bind_to_loopback
    builtins.open = open_elsewhere
    sys.argv[0] = "localstripe"
    runpy.run_module("localstripe", run_name="__main__")
