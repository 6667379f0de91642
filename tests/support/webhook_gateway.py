"""What stands in for the gateway where webhooks come in: HTTP on one side, gRPC on the other.

It serves `POST /api/payment/webhooks/{provider}` on loopback from threads of its own, so that it
works beside a loop as well as beside programs. Nothing in it looks at a signature.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc

ROUTE = "/api/payment/webhooks/"
# What a sender signs with; all else of a request is between the two of them.
PASSED_ON = ("webhook-", "stripe-")
TIMEOUT_S = 10.0
STATUSES = {
    grpc.StatusCode.OK: HTTPStatus.OK,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True)
class Forwarded:
    """One webhook that was passed on, and what its sender was answered."""

    provider: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def webhook_id(self) -> str:
        return self.headers.get("webhook-id", "")


class WebhookGateway:
    """Passes webhooks on to a payment adapter, which may come later, and come back elsewhere."""

    def __init__(self) -> None:
        # As a gRPC target; empty: it is not there yet.
        self.target = ""
        self.forwarded: list[Forwarded] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status = gateway._serve(self)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing: what counts is in `forwarded`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # Who stops it waits for what is under way.
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def url(self, provider: str = "mock") -> str:
        return f"http://127.0.0.1:{self._server.server_port}{ROUTE}{provider}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> HTTPStatus:
        length = int(request.headers.get("content-length", "0"))
        body = request.rfile.read(length)
        if not request.path.startswith(ROUTE):
            return HTTPStatus.NOT_FOUND
        provider = request.path.removeprefix(ROUTE)
        headers = {name.lower(): value for name, value in request.headers.items()}
        status = self._forward(provider, headers, body)
        self.forwarded.append(Forwarded(provider, headers, body, status))
        return status

    def _forward(self, provider: str, headers: dict[str, str], body: bytes) -> HTTPStatus:
        if not self.target:
            return HTTPStatus.SERVICE_UNAVAILABLE
        content_type = headers.get("content-type", "")
        message = HttpBody(content_type=content_type, data=body)
        metadata = [pair for pair in headers.items() if pair[0].startswith(PASSED_ON)]
        with grpc.insecure_channel(self.target) as channel:
            try:
                rpc.PaymentServiceStub(channel).HandleWebhook(
                    pb.HandleWebhookRequest(provider=provider, body=message),
                    metadata=metadata,
                    timeout=TIMEOUT_S,
                )
            except grpc.RpcError as error:
                return STATUSES.get(error.code(), HTTPStatus.INTERNAL_SERVER_ERROR)
        return HTTPStatus.OK


@contextmanager
def webhook_gateway() -> Iterator[WebhookGateway]:
    """A gateway, until the block ends."""
    gateway = WebhookGateway()
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()
