"""A small HTTP server for the metrics, in threads of its own: it answers when a loop is busy."""

import socket
import ssl
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Serves what is measured, to anybody who reaches it."""

    daemon_threads = True

    def __init__(self, host: str, port: int, idle_s: float, tls: ssl.SSLContext | None) -> None:
        """Listen there; who says nothing for `idle_s` seconds is left.

        Raises:
            OSError: it is no address of this machine, or is taken.
        """
        self._idle_s = idle_s
        self._tls = tls
        (self.address_family, *_, address), *_ = socket.getaddrinfo(host, port)
        super().__init__((str(address[0]), port), type("Handler", (_Silent,), {"timeout": idle_s}))
        self.set_app(make_wsgi_app())
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no longer."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one, in its own thread, in which TLS begins too: nobody waits for a slow one."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(self._idle_s)
        with self._tls.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who leaves early, or speaks no TLS, is no news."""


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Who asks is no news."""
