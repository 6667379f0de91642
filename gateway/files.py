"""Files for browsers, as answers that are made once: with a tag, compressed, and with a policy."""

import gzip
import hashlib
from http import HTTPStatus

from gateway.answers import GZIP_LEVEL, Response

# These change with a release only.
KEPT = "public, max-age=86400"
# What a browser has is asked about again, and mostly not sent again.
ASKED_AGAIN = "no-cache"


def made(body: bytes, kind: str, kept: str, policy: str) -> Response:
    """A file of a type, for how long it is kept, and what it may load."""
    headers = {
        "content-type": kind,
        "content-security-policy": policy,
        "cache-control": kept,
        # Weak: it may be sent compressed.
        "etag": f'W/"{hashlib.sha256(body).hexdigest()[:32]}"',
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
    }
    return Response(HTTPStatus.OK, body, headers, gzip.compress(body, GZIP_LEVEL, mtime=0))


def unless_known(found: Response | None, if_none_match: str) -> Response | None:
    """The same, without its body if its reader has it already."""
    if found is None or not _is_known(found.headers["etag"], if_none_match):
        return found
    return Response(HTTPStatus.NOT_MODIFIED, b"", found.headers)


def _is_known(etag: str, if_none_match: str) -> bool:
    known = [one.strip() for one in if_none_match.split(",")]
    return "*" in known or etag in known or etag.removeprefix("W/") in known
