"""Idempotency keys: reading them, telling requests apart, remembering who used which.

After draft-ietf-httpapi-idempotency-key-header and AIP-155. A key belongs to one
caller. It is claimed by a unique insert in the transaction of the effect, so that of
two calls with one key exactly one has the effect.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis import context
from chassis.errors import (
    IdempotencyKeyInvalid,
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    InvalidField,
)

METADATA_NAME = "idempotency-key"
WAIT_METADATA_NAME = "idempotency-wait"
# Who knew a key, for the counters: the database decides, and something faster may know it too.
DATABASE = "database"
# Printable ASCII; no space at either end, where transports trim it.
_VALID = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")


@dataclass(frozen=True)
class Claim:
    """One use of a key."""

    owner: str
    key: str
    # Of the request: two requests are the same if and only if these are equal.
    fingerprint: str
    # What the first call made, as its use case wrote it down: an id, or several.
    subject: str
    created_at: datetime

    def require_same_request(self, fingerprint: str) -> None:
        """Refuse a key that was used for something else.

        Raises:
            IdempotencyKeyReused: the fingerprints differ.
        """
        if self.fingerprint != fingerprint:
            raise IdempotencyKeyReused


class Keys(Protocol):
    """The keys that were used."""

    async def claim(self, claim: Claim) -> Claim | None:
        """Claim a key; if it is taken, change nothing and return the first claim."""


def read_key(metadata: Sequence[tuple[str, str | bytes]] | None, in_request: str) -> str:
    """The key of a call, from its metadata or its request; empty if it has none.

    Raises:
        IdempotencyKeyInvalid: not 1 to 255 printable ASCII characters, or two different ones.
    """
    found = {str(value) for name, value in metadata or () if name == METADATA_NAME}
    if in_request:
        found.add(in_request)
    if len(found) > 1:
        message = "metadata and request name different idempotency keys"
        raise IdempotencyKeyInvalid(message)
    key = found.pop() if found else None
    if key is not None and not _VALID.fullmatch(key):
        message = (
            "an idempotency key is 1 to 255 printable ASCII characters, with no space at an end"
        )
        raise IdempotencyKeyInvalid(message)
    if key:
        context.key_source.set(DATABASE)
    return key or ""


def require_key(metadata: Sequence[tuple[str, str | bytes]] | None, in_request: str) -> str:
    """`read_key`, for methods that need one.

    Raises:
        IdempotencyKeyRequired: there is none.
        IdempotencyKeyInvalid: as `read_key`.
    """
    key = read_key(metadata, in_request)
    if not key:
        raise IdempotencyKeyRequired
    return key


def read_wait(metadata: Sequence[tuple[str, str | bytes]] | None) -> bool:
    """Whether a repeat waits for the first call with its key, instead of being ABORTED.

    Raises:
        InvalidField: neither `true` nor `false`.
    """
    found = {str(value) for name, value in metadata or () if name == WAIT_METADATA_NAME}
    if found - {"true", "false"} or len(found) > 1:
        raise InvalidField((WAIT_METADATA_NAME, "must be true or false"))
    return found == {"true"}


def fingerprint(method: str, *parts: object) -> str:
    """A digest of what makes two requests the same: the method and these parts, in order."""
    text = json.dumps([method, *parts], separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
