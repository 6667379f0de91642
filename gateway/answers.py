"""Answers over HTTP: bodies, errors and the headers that go with all of them."""

import gzip
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from gateway import status
from gateway.errors import Refusal
from gateway.metadata import outgoing
from gateway.upstream import Failed

JSON = "application/json"
# RFC 9110, section 8.3.1: nothing that could end a header is in it.
MEDIA_TYPE = re.compile(
    r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+(?:[ \t]*;[ \t]*[\x20-\x7e]*)?", re.ASCII
)
BYTES = "application/octet-stream"
GZIP_FROM_BYTES = 1024
GZIP_LEVEL = 5
# For answers that a browser may meet: nothing of them is to be run, framed, guessed or kept.
SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
INTERNAL = HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True)
class Response:
    """An answer that is complete."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    # The body in gzip, where it is made once for many callers.
    gzipped: bytes = b""


def of_message(code: int, body: bytes, headers: Mapping[str, str], kind: str = JSON) -> Response:
    """An answer with a message in it; `kind` may be what a service says that it is."""
    told = kind if MEDIA_TYPE.fullmatch(kind) else BYTES
    return Response(code, body, {"content-type": told, **headers})


def of_refusal(refusal: Refusal) -> Response:
    """What the gateway itself has refused."""
    body = {
        "error": refusal.reason,
        "message": refusal.message,
        "code": refusal.code.name,
        "details": _details(refusal.violations),
    }
    return Response(refusal.status, _json(body), {"content-type": JSON, **refusal.headers})


def of_failure(failure: Failed) -> Response:
    """What a service has refused, or what became of a call to it."""
    code = status.of_refusal(failure.code, failure.reason)
    headers = {"content-type": JSON, **outgoing(failure.trailing)}
    if failure.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(failure.retry_after_s)))
    if code == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(code, _json(error_body(failure)), headers)


def error_body(failure: Failed) -> dict[str, Any]:
    """The body of an error: its reason, its text, its facts, and the fields that are wrong."""
    named = {"error", "message", "code", "details"}
    facts = {name: value for name, value in failure.facts.items() if name not in named}
    return {
        "error": failure.reason,
        "message": failure.message,
        **facts,
        "code": failure.code.name,
        "details": _details((_json_path(path), what) for path, what in failure.violations),
    }


def of_fault(request_id: str) -> Response:
    """A fault of the gateway: what it was stands in the log."""
    body = {
        "error": "INTERNAL",
        "message": "internal error",
        "requestId": request_id,
        "code": "INTERNAL",
        "details": [],
    }
    return Response(INTERNAL, _json(body), {"content-type": JSON})


def compressed(response: Response, accepted: str) -> Response:
    """The same, smaller, if its caller takes that and it is worth it."""
    if len(response.body) < GZIP_FROM_BYTES or not _takes_gzip(accepted):
        return response
    headers = {**response.headers, "content-encoding": "gzip", "vary": "accept-encoding"}
    body = response.gzipped or gzip.compress(response.body, GZIP_LEVEL, mtime=0)
    return Response(response.status, body, headers)


def _takes_gzip(accepted: str) -> bool:
    for one in accepted.lower().split(","):
        name, _, quality = one.strip().partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _json_path(path: str) -> str:
    """A path of the contract as a client writes it: `payment_method.card_number` in camel case."""
    first, *others = path.split("_")
    return first + "".join(one[:1].upper() + one[1:] for one in others)


def _details(violations: Any) -> list[dict[str, str]]:
    return [{"field": path, "description": what} for path, what in violations]


def _json(body: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(body)
