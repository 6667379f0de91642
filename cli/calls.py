"""Calls to the services: channels, health, tokens, and errors in words."""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
import httpx
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis import status
from chassis.settings import load
from chassis.tls import Tls, open_blocking
from chassis.tls_settings import TlsSettings
from cli.programs import GATEWAY, Program

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

HEALTH_TIMEOUT_S = 1.0
CALL_TIMEOUT_S = 45.0
OPTIONS = [
    # A proxy for the way out is none for the way to a service.
    ("grpc.enable_http_proxy", 0),
    # A server that is only just starting is found as soon as it listens.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


@dataclass(frozen=True)
class Answer(Generic[Response]):
    """What a call returned, whether it is a stored answer, and the seconds that it took."""

    message: Response
    replayed: bool
    took_s: float


class Refused(Exception):
    """A call failed; `info` says how."""

    def __init__(self, info: status.ErrorInfo, took_s: float) -> None:
        """Put it in words."""
        super().__init__(f"{info.code.name} {info.reason}: {info.message}".replace(" :", ":"))
        self.info = info
        self.took_s = took_s


def open_channel(target: str) -> grpc.Channel:
    """A channel to a service; with TLS where TLS_CERT_FILE or TLS_CA_FILE is set."""
    return open_blocking(target, OPTIONS, Tls(load(TlsSettings)).files)


def is_ready(program: Program, target: str) -> bool:
    """Whether a program answers there and says that it can work."""
    return _is_gateway_ready(target) if program == GATEWAY else is_serving(target)


def _is_gateway_ready(target: str) -> bool:
    trusted = _trusted()
    schemes = ("http",) if trusted is None else ("https", "http")
    return any(_is_ready_by(scheme, target, trusted) for scheme in schemes)


def _is_ready_by(scheme: str, target: str, trusted: ssl.SSLContext | None) -> bool:
    try:
        # On this machine: no proxy is in between.
        with httpx.Client(
            verify=trusted or False, trust_env=False, timeout=HEALTH_TIMEOUT_S
        ) as client:
            return client.get(f"{scheme}://{target}/readyz").is_success
    except httpx.HTTPError:
        return False


def _trusted() -> ssl.SSLContext | None:
    """Who a gateway that speaks HTTPS must be vouched for by; none: it speaks plain HTTP.

    Whatever its name, for it is asked at an address; it is told nothing.
    """
    settings = load(TlsSettings)
    if not settings.cert_file and not settings.ca_file:
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    if settings.ca_file:
        context.load_verify_locations(settings.ca_file)
    return context


def is_serving(target: str) -> bool:
    """Whether a service answers there and says that it can work."""
    with open_channel(target) as channel:
        check: Callable[..., Any] = health_pb2_grpc.HealthStub(channel).Check
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT_S)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def call(
    method: "grpc.UnaryUnaryMultiCallable[Request, Response]",
    request: Request,
    *,
    token: str,
    key: str = "",
    timeout_s: float = CALL_TIMEOUT_S,
) -> Answer[Response]:
    """Make a call with a token, and an idempotency key if there is one.

    Raises:
        Refused: it failed.
    """
    metadata = _metadata(token)
    if key:
        metadata += (("idempotency-key", key),)
    began = time.monotonic()
    try:
        message, done = method.with_call(request, timeout=timeout_s, metadata=metadata)
    except grpc.RpcError as error:
        raise Refused(status.from_rpc_error(error), time.monotonic() - began) from None
    replayed = ("idempotent-replayed", "true") in map(tuple, done.trailing_metadata() or ())
    return Answer(message, replayed, time.monotonic() - began)


def stream(
    method: "grpc.UnaryStreamMultiCallable[Request, Response]",
    request: Request,
    *,
    token: str,
    timeout_s: float | None = None,
) -> Iterator[Response]:
    """What a stream of answers says, until it ends, is left, or its time is over.

    Raises:
        Refused: it failed.
    """
    began = time.monotonic()
    running = method(request, timeout=timeout_s, metadata=_metadata(token))
    try:
        yield from running
    except grpc.RpcError as error:
        raise Refused(status.from_rpc_error(error), time.monotonic() - began) from None
    finally:
        running.cancel()


def is_unreachable(refused: Refused) -> bool:
    """Whether no service said so: nothing listens there, or the connection broke."""
    return refused.info.code is grpc.StatusCode.UNAVAILABLE and not refused.info.reason


def _metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
