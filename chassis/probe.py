"""Asks a program of this machine whether it can work: `python -m <program> health`.

Whoever watches a container asks every few seconds, so this loads little; and it needs no setting
but the address, because a check must not fail for want of a secret. With TLS it shows the program's
own certificate, and believes whoever shows that one or is vouched for by TLS_CA_FILE.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

HEALTHY, UNHEALTHY = 0, 1
# The gateway gives its services two seconds to say whether they serve.
TIMEOUT_S = 3.0
# An address to listen on everywhere is none to call.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
READY = "/readyz"
ONLY_ANSWERS = "answers, and does not serve"
SHOWN_MAX = 500


def of_service(program: str, default: str) -> int:
    """Ask a service, by grpc.health.v1, where its setting or else `default` says that it listens.

    Tells what came of it in one sentence. The exit code is 0 only if it serves.
    """
    return _ask(program, default, _ask_service)


def whether_it_answers(program: str, default: str) -> int:
    """The same, and "I do not serve" will do: for whoever kills what hangs, `<program> alive`.

    A service that has lost its database says so, and is not healed by being killed.
    """
    return _ask(program, default, _ask_for_any_answer, "answers")


def of_gateway(program: str, default: str) -> int:
    """The same of the gateway, which is ready when all its services serve.

    Not `/healthz`, which says no more than that the process answers: a service that has lost its
    database does not serve either, and a caller who waits for "healthy" wants to call.
    """
    return _ask(program, default, _ask_gateway)


def _ask(program: str, default: str, ask: Callable[[str, int], str], well: str = "serves") -> int:
    variable = f"{program.removesuffix('_svc').upper()}_LISTEN"
    address = os.environ.get(variable, default)
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not int(port):
        sys.stderr.write(f"{program}: {variable} is {address!r}, which is no address to ask at\n")
        return UNHEALTHY
    host = EVERYWHERE.get(host, host)
    trouble = ask(host, int(port))
    if trouble:
        sys.stderr.write(f"{program} at {host}:{port} {trouble}\n")
        return UNHEALTHY
    sys.stdout.write(f"{program} at {host}:{port} {well}\n")
    return HEALTHY


def _ask_service(host: str, port: int) -> str:
    """What is wrong, if anything."""
    request = health_pb2.HealthCheckRequest()
    # It is on this machine: no proxy is in between.
    options: list[tuple[str, object]] = [("grpc.enable_http_proxy", 0)]
    try:
        with _channel(f"{host}:{port}", options) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return f"does not answer: {error.code().name}"
    except (OSError, ValueError) as error:
        return f"cannot be asked: TLS_CERT_FILE, TLS_KEY_FILE or TLS_CA_FILE: {error}"
    serves = answer.status == health_pb2.HealthCheckResponse.SERVING
    return "" if serves else ONLY_ANSWERS


def _ask_for_any_answer(host: str, port: int) -> str:
    """What is wrong, if anything."""
    trouble = _ask_service(host, port)
    return "" if trouble == ONLY_ANSWERS else trouble


def _channel(address: str, options: list[tuple[str, object]]) -> grpc.Channel:
    certificate, key = os.environ.get("TLS_CERT_FILE"), os.environ.get("TLS_KEY_FILE", "")
    if not certificate:
        return grpc.insecure_channel(address, options=options)
    # Only who speaks TLS pays for it.
    from chassis.tls_files import names_in  # noqa: PLC0415

    shown = Path(certificate).read_bytes()
    ca = os.environ.get("TLS_CA_FILE")
    trusted = b"\n".join([*([Path(ca).read_bytes()] if ca else []), shown])
    # It has the name of the service, and is asked at that of this machine. A URI is no host's.
    hosts = [name for name in names_in(shown) if ":" not in name]
    names = [name.replace("*", "any", 1) for name in hosts[:1]]
    options += [("grpc.ssl_target_name_override", name) for name in names]
    credentials = grpc.ssl_channel_credentials(trusted, Path(key).read_bytes(), shown)
    return grpc.secure_channel(address, credentials, options=options)


def _ask_gateway(host: str, port: int) -> str:
    """What is wrong, if anything."""
    try:
        connection = _connection(host.strip("[]"), port)
    except OSError as error:
        return f"cannot be asked: GATEWAY_TLS_CERT_FILE: {error}"
    try:
        connection.request("GET", READY)
        answer = connection.getresponse()
        told = answer.read(SHOWN_MAX).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer: {getattr(error, 'strerror', None) or error}"
    finally:
        connection.close()
    return "" if answer.status == http.HTTPStatus.OK else f"is not ready: {told}"


def _connection(host: str, port: int) -> http.client.HTTPConnection:
    certificate = os.environ.get("GATEWAY_TLS_CERT_FILE")
    if not certificate:
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    # Who shows the gateway's own certificate is the gateway, whatever name it has been asked by.
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
