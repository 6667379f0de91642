"""Tokens for keyset pages: opaque to clients, bound to the list that they came from."""

import base64
import binascii
import hashlib
import re

from chassis.errors import InvalidField

# As long as an id can be, and no longer: a database would refuse a larger number.
NUMBER = re.compile(r"[0-9]{1,16}")


def encode(listing: str, last_key: object) -> str:
    """The token for what comes after `last_key` in a listing."""
    text = f"{_digest(listing)}\n{last_key}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(listing: str, token: str) -> str | None:
    """The last key of the page before; none for an empty token.

    Raises:
        InvalidField: the token is not from this listing.
    """
    if not token:
        return None
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        text = ""
    found, separator, last_key = text.partition("\n")
    if not separator or found != _digest(listing):
        raise InvalidField(("page_token", "is not a token from this list"))
    return last_key


def decode_number(listing: str, token: str) -> int | None:
    """`decode`, for lists that are ordered by a number.

    Raises:
        InvalidField: the token is not from this listing.
    """
    last_key = decode(listing, token)
    if last_key is not None and not NUMBER.fullmatch(last_key):
        raise InvalidField(("page_token", "is not a token from this list"))
    return int(last_key) if last_key is not None else None


def size(asked: int, default: int, most: int) -> int:
    """The page size to use. Too large is cut down and not refused (AIP-158)."""
    return min(asked, most) if asked else default


def _digest(listing: str) -> str:
    # Short, whatever the listing is called; it tells listings apart and hides nothing.
    return hashlib.sha256(listing.encode()).hexdigest()[:8]
