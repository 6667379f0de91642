"""Settings of the gateway, from the environment, with the prefix `GATEWAY_`."""

import json
import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import Address, MetricsListen
from chassis.tls_settings import CertificateFile, KeyFile

# As browsers write them: in lower case, without a path.
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9_.:\[\]-]+")


def _targets(value: str) -> str:
    try:
        read = json.loads(value or "{}")
    except ValueError:
        read = None
    if not isinstance(read, dict) or not all(isinstance(one, str) for one in read.values()):
        message = 'must be JSON, such as {"pkg.Service": "127.0.0.1:50051"}'
        raise ValueError(message)
    return value


def _origins(value: str) -> str:
    if not all(ORIGIN.fullmatch(one) for one in value.split()):
        # Anything else, such as "*", would be compared with what browsers send, and never be it.
        message = "must be origins, by spaces, such as https://shop.example or http://[::1]:8081"
        raise ValueError(message)
    return value


class GatewaySettings(BaseSettings):
    """What the gateway can be told."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    listen: Address = Field(default="127.0.0.1:8080", description="address to serve on, HOST:PORT")
    tls_cert_file: CertificateFile = Field(
        default="",
        description="PEM file of the certificate that callers are shown; with it, HTTPS is served"
        " and no plain HTTP",
    )
    tls_key_file: KeyFile = Field(
        default="", validate_default=True, description="PEM file of the key of that certificate"
    )
    hsts_s: int = Field(
        default=15_552_000,
        ge=0,
        description="seconds that browsers are told to come by HTTPS only, where HTTPS is served;"
        " 0: they are not told",
    )
    booking_target: str = Field(default="127.0.0.1:50051", description="where booking_svc is")
    payment_target: str = Field(default="127.0.0.1:50052", description="where payment_svc is")
    inventory_target: str = Field(default="127.0.0.1:50053", description="where inventory_svc is")
    targets: Annotated[str, AfterValidator(_targets)] = Field(
        default="",
        description="other services to serve instead, as JSON: their names and where they are",
    )
    descriptors: str = Field(
        default="",
        description="file with the contracts of GATEWAY_TARGETS, of protoc --descriptor_set_out"
        " --include_imports; empty: the servers are asked, by reflection",
    )
    int64_as_numbers: bool = Field(
        default=True, description="whether 64-bit integers below 2^53 are numbers in JSON"
    )
    decimal_as_numbers: bool = Field(
        default=True, description="whether google.type.Decimal is a number in JSON"
    )
    timeout_s: float = Field(
        default=45, gt=0, le=3600, description="seconds that a call may take at most"
    )
    stream_timeout_s: float = Field(
        default=3600, gt=0, description="seconds that a stream may last at most"
    )
    heartbeat_s: float = Field(
        default=15, gt=0, description="seconds between two signs of life in a quiet event stream"
    )
    body_bytes_max: int = Field(default=1_048_576, ge=1, description="largest body, in bytes")
    body_timeout_s: float = Field(default=10, gt=0, description="seconds that a body may take")
    headers_bytes_max: int = Field(
        default=16_384, ge=256, description="largest headers together, in bytes"
    )
    requests_max: int = Field(
        default=512, ge=1, description="requests served at once; more are refused"
    )
    streams_max: int = Field(
        default=200, ge=1, description="streams served at once; more are refused"
    )
    requests_each_max: int = Field(
        default=128, ge=1, description="requests of one caller that are served at once"
    )
    streams_each_max: int = Field(
        default=20, ge=1, description="streams of one caller that are served at once"
    )
    write_timeout_s: float = Field(
        default=30,
        gt=0,
        description="seconds that a caller may read nothing of an answer before it is left",
    )
    rate_per_s: float = Field(
        default=100, ge=0, description="requests a second that one caller may make; 0: any number"
    )
    rate_burst: int = Field(
        default=200, ge=1, description="requests that a caller may make at once, after a pause"
    )
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        default="",
        description="origins whose pages may call, by spaces, such as https://shop.example;"
        " empty: none",
    )
    metrics_listen: MetricsListen = ""
    docs: bool = Field(default=True, description="whether /docs and /openapi.json are served")
    console: bool = Field(
        default=True, description="whether /console is served; never with GATEWAY_TARGETS"
    )
    shutdown_grace_s: float = Field(
        default=50.0,
        gt=0,
        le=3600,
        description="seconds that running requests may take after SIGTERM",
    )
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="least level of log lines: debug, info, warning or error",
    )
