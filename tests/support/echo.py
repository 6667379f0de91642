"""A gRPC server that notes what it is asked and answers what it is told, and two gateways to it.

Its contract is `echo.proto`; nothing is generated from that.
"""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import grpc_tools
import uvicorn
from google.api import annotations_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError, Message
from grpc_tools import protoc

from bench.envoy import Envoy
from gateway import wiring
from gateway.config import GatewaySettings

SERVICE = "holdfast.echo.v1.EchoService"
HEALTH = "/grpc.health.v1.Health"
CONTRACT = Path(__file__).with_name("echo.proto")
WAIT_S = 30.0


def contract(folder: Path) -> Path:
    """The contract with its imports, as a file of descriptors in a folder."""
    path = folder / "echo.binpb"
    common = Path(annotations_pb2.__file__).parents[2]
    builtin = resources.files(grpc_tools) / "_proto"
    arguments = [f"-I{CONTRACT.parent}", f"-I{common}", f"-I{builtin}", "--include_imports"]
    code = protoc.main(["protoc", *arguments, f"--descriptor_set_out={path}", CONTRACT.name])
    assert code == 0
    return path


class Types:
    """The messages of the contract."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        for one in files.file:
            self._pool.AddSerializedFile(one.SerializeToString())

    def new(self, name: str, /, **fields: Any) -> Any:
        """A message by its short name, or its full one."""
        full_name = name if "." in name else f"holdfast.echo.v1.{name}"
        type_ = self._pool.FindMessageTypeByName(full_name)
        return message_factory.GetMessageClass(type_)(**fields)

    def method(self, name: str) -> MethodDescriptor:
        """A method of the service."""
        return self._pool.FindServiceByName(SERVICE).methods_by_name[name]

    def request(self, method: str, data: bytes) -> Message | None:
        """The request of a method, read; None if it is none."""
        try:
            return message_factory.GetMessageClass(self.method(method).input_type).FromString(data)
        except DecodeError:
            return None


class Echo(grpc.GenericRpcHandler):
    """The server."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self.seen: tuple[str, bytes] | None = None
        # None: the request itself; nothing, where the answer is of another type.
        self.answer: bytes | None = None
        self.failure: tuple[grpc.StatusCode, str] | None = None

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        service, _, method = handler_call_details.method.rpartition("/")
        if service == HEALTH:
            # It has none: callers then take it for a server that serves.
            return None

        async def handle(data: bytes, context: Any) -> bytes:
            self.seen = (method, data)
            if self.failure is not None:
                await context.abort(*self.failure)
            if self.answer is not None:
                return self.answer
            request = self._types.request(method, data)
            if request is None:
                await context.abort(grpc.StatusCode.INTERNAL, "no message")
            if request.DESCRIPTOR is not self._types.method(method).output_type:
                return b""
            # Written anew: Envoy writes what is given in parts in parts, and cannot read that.
            return request.SerializeToString(deterministic=True)

        return grpc.unary_unary_rpc_method_handler(handle)


@dataclass(frozen=True)
class Request:
    """What is sent, as it is on the wire."""

    method: str
    # With the query.
    path: str
    body: bytes = b""
    content_type: str = "application/json"


@dataclass(frozen=True)
class Outcome:
    """What became of a request: the call that the server saw, if any, and the answer."""

    called: str
    # None also if what came is no message: the bytes of a string that are no UTF-8.
    request: Message | None
    status: int
    content_type: str
    body: bytes

    @property
    def data(self) -> Any:
        """The body as data."""
        return json.loads(self.body) if self.body else None


@dataclass
class Pair:
    """Both gateways, in front of one server."""

    echo: Echo
    types: Types
    ours_port: int
    theirs_port: int

    def ours(self, request: Request) -> Outcome:
        """Send it to ours."""
        return self._send(self.ours_port, request)

    def theirs(self, request: Request) -> Outcome:
        """Send it to Envoy."""
        return self._send(self.theirs_port, request)

    def tell(self, answer: Message | None) -> None:
        """Let the server answer this from now on; None: what it is asked."""
        self.echo.answer = None if answer is None else answer.SerializeToString()
        self.echo.failure = None

    def fail(self, code: grpc.StatusCode, message: str) -> None:
        """Let the server fail from now on."""
        self.echo.failure = (code, message)

    def _send(self, port: int, request: Request) -> Outcome:
        self.echo.seen = None
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        headers = {"content-type": request.content_type} if request.body else {}
        try:
            connection.request(request.method, request.path, request.body or None, headers)
            answer = connection.getresponse()
            body, kind = answer.read(), answer.headers.get("content-type", "")
        finally:
            connection.close()
        method, data = self.echo.seen or ("", b"")
        read = self.types.request(method, data) if method else None
        return Outcome(method, read, answer.status, kind, body)


@contextmanager
def pair(folder: Path, **settings: Any) -> Iterator[Pair]:
    """Serve all three, until the block ends; the settings are those of ours."""
    path = contract(folder)
    files = FileDescriptorSet.FromString(path.read_bytes())
    types = Types(files)
    echo = Echo(types)
    with (
        _served(echo, path, settings) as (server_port, ours_port),
        Envoy(files, [SERVICE], server_port) as envoy,
    ):
        yield Pair(echo, types, ours_port, envoy.port)


@contextmanager
def _served(echo: Echo, path: Path, settings: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """The server and ours, on a loop of their own in a thread; gives their ports."""
    started: Future[tuple[int, int, uvicorn.Server]] = Future()

    async def serve() -> None:
        server = grpc.aio.server(handlers=[echo])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        targets = json.dumps({SERVICE: f"127.0.0.1:{port}"})
        told = GatewaySettings(
            targets=targets, descriptors=str(path), rate_per_s=0, docs=False, **settings
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with wiring.opened(told, asyncio.Event()) as app:
                config = uvicorn.Config(
                    app, http="httptools", ws="none", lifespan="off", log_config=None
                )
                ours = uvicorn.Server(config)
                started.set_result((port, listener.getsockname()[1], ours))
                await ours.serve([listener])
        await server.stop(None)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="echo", daemon=True)
    thread.start()
    server_port, ours_port, ours = started.result(timeout=WAIT_S)
    try:
        yield server_port, ours_port
    finally:
        ours.should_exit = True
        thread.join(timeout=WAIT_S)
