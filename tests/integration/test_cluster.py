"""`holdfast cluster` starts nothing where something else listens."""

import socket

import pytest

from cli.cluster.ports import require_free
from cli.failure import Failure


def test_a_port_that_is_taken_is_named() -> None:
    """An address that is taken, or is none, is named, with a way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=rf"127\.0\.0\.1:{port}: .*--port"):
            require_free([port])
    with pytest.raises(Failure, match=r"127\.0\.0\.1:70000: "):
        require_free([70_000])
    require_free([port])
