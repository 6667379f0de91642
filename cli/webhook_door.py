"""Where the provider of a temporary stack delivers its webhooks: over HTTP, and on by gRPC."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc

PROVIDER = "mock"
PATH = f"/api/payment/webhooks/{PROVIDER}"
BODY_BYTES_MAX = 65_536
TIMEOUT_S = 10.0
# What signs, as Standard Webhooks names it.
SIGNED_BY = ("webhook-id", "webhook-timestamp", "webhook-signature")
NO_CONTENT, NOT_FOUND, TOO_LARGE, REFUSED, NOT_NOW = 204, 404, 413, 401, 503


@contextmanager
def opened(target: str) -> Iterator[str]:
    """An URL at which webhooks for the payment adapter at `target` are taken."""
    with grpc.insecure_channel(target) as channel:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(channel))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{PATH}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(channel: grpc.Channel) -> type[BaseHTTPRequestHandler]:
    take = rpc.PaymentServiceStub(channel).HandleWebhook

    class Handler(BaseHTTPRequestHandler):
        """Passes a webhook on as it came; whether it can be trusted is not decided here."""

        def do_POST(self) -> None:
            """Take one webhook."""
            length = int(self.headers.get("content-length") or 0)
            if self.path != PATH or length > BODY_BYTES_MAX:
                self._answer(NOT_FOUND if self.path != PATH else TOO_LARGE)
                return
            request = pb.HandleWebhookRequest(provider=PROVIDER)
            request.body.content_type = self.headers.get("content-type", "")
            request.body.data = self.rfile.read(length)
            metadata = tuple((name, self.headers.get(name, "")) for name in SIGNED_BY)
            try:
                take(request, timeout=TIMEOUT_S, metadata=metadata)
            except grpc.RpcError as error:
                refused = error.code() is grpc.StatusCode.UNAUTHENTICATED
                self._answer(REFUSED if refused else NOT_NOW)
            else:
                self._answer(NO_CONTENT)

        def log_message(self, *_: object) -> None:
            """Say nothing: the screen is the demo's."""

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.end_headers()

    return Handler
