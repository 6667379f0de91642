"""Headers in, metadata on; metadata back, headers out. What is not named here stays where it is."""

import random
import re
from collections.abc import Iterable, Mapping

from gateway.errors import HeadersTooLarge, Invalid

Pairs = Iterable[tuple[str, str | bytes]]
Metadata = tuple[tuple[str, str], ...]

PASSED_ON = frozenset({"authorization", "traceparent", "tracestate", "idempotency-wait"})
# Of webhooks: what signs them. They go to methods that take raw bytes, and to no other.
SIGNATURES = frozenset({"webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature"})
OWN_PREFIX = "grpc-metadata-"
GIVEN_BACK = frozenset({"idempotent-replayed", "x-request-id"})

# As the services have it: enough for any scheme, nothing that could forge a log line.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
METADATA_NAME = re.compile(r"[a-z0-9_.-]{1,100}")
# RFC 8941: a string in quotes, with \" and \\ in it.
QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
GRPC_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])")
SECONDS = re.compile(r"\d{1,8}(?:\.\d{1,6})?")
# gRPC servers take 8 KiB of metadata, and refuse some calls with more, as if they were overloaded.
# It counts 32 bytes for each pair, and needs some for its own.
METADATA_BYTES_MAX = 7168
PAIR_BYTES = 32
UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def request_id(headers: Mapping[str, str]) -> str:
    """The caller's name for this request, if it is one, or a new one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def incoming(headers: Mapping[str, str], name: str, *, raw: bool) -> Metadata:
    """The metadata of a call; `name` is its request id, `raw` whether its body is not read here.

    Raises:
        Invalid: a header is no such thing.
        HeadersTooLarge: those that go on are more than a service takes.
    """
    pairs = [("x-request-id", name)]
    wanted = PASSED_ON | SIGNATURES if raw else PASSED_ON
    pairs += [(one, value) for one, value in headers.items() if one in wanted]
    if "idempotency-key" in headers:
        pairs.append(("idempotency-key", unquoted(headers["idempotency-key"])))
    for header, value in headers.items():
        if header.startswith(OWN_PREFIX):
            pairs.append((_own(header), value))
    for header, value in pairs:
        if not (value.isascii() and value.isprintable()):
            raise Invalid((header, "must be printable ASCII"))
    if sum(len(one) + len(value) + PAIR_BYTES for one, value in pairs) > METADATA_BYTES_MAX:
        raise HeadersTooLarge(METADATA_BYTES_MAX)
    return tuple(pairs)


def unquoted(key: str) -> str:
    """An idempotency key as it is meant: a string of RFC 8941, or as it stands."""
    match = QUOTED.fullmatch(key)
    return re.sub(r'\\(["\\])', r"\1", match[1]) if match else key


def timeout_s(headers: Mapping[str, str], most_s: float) -> float:
    """How long the caller will wait, in seconds, and at most `most_s`.

    `Grpc-Timeout` is as in gRPC (`10S`, `500m`), `X-Request-Timeout` in seconds.

    Raises:
        Invalid: it is neither.
    """
    given = [most_s]
    if "grpc-timeout" in headers:
        match = GRPC_TIMEOUT.fullmatch(headers["grpc-timeout"])
        if match is None:
            raise Invalid(("grpc-timeout", "must be a number and a unit, such as 10S or 500m"))
        given.append(int(match[1]) * UNITS_S[match[2]])
    if "x-request-timeout" in headers:
        if not SECONDS.fullmatch(headers["x-request-timeout"]):
            raise Invalid(("x-request-timeout", "must be a number of seconds, such as 10 or 0.5"))
        given.append(float(headers["x-request-timeout"]))
    return min(given)


def outgoing(*metadata: Pairs | None) -> dict[str, str]:
    """The headers of an answer."""
    return {
        name: value
        for pairs in metadata
        for name, value in pairs or ()
        if name in GIVEN_BACK and isinstance(value, str)
    }


def is_replayed(*metadata: Pairs | None) -> bool:
    """Whether an answer is a stored one."""
    return any(
        (name, value) == ("idempotent-replayed", "true")
        for pairs in metadata
        for name, value in pairs or ()
    )


def _own(header: str) -> str:
    name = header.removeprefix(OWN_PREFIX)
    reserved = name.startswith(("grpc-", ":")) or name.endswith("-bin") or name in PASSED_ON
    if reserved or name in SIGNATURES | {"x-request-id", "idempotency-key"}:
        raise Invalid((header, "cannot be given in this way"))
    if not METADATA_NAME.fullmatch(name):
        raise Invalid((header, "is no name of metadata"))
    return name
