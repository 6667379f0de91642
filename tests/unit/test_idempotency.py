"""Idempotency keys: where they are read, which are refused, and what makes requests the same."""

import pytest
from support.clock import START

from chassis.errors import IdempotencyKeyInvalid, IdempotencyKeyRequired, IdempotencyKeyReused
from chassis.idempotency import Claim, fingerprint, read_key, require_key

NAME = "idempotency-key"
BAD = IdempotencyKeyInvalid


@pytest.mark.parametrize(
    ("metadata", "in_request", "key"),
    [
        ((), "", ""),
        (None, "", ""),
        (((NAME, "k"),), "", "k"),
        ((), "k", "k"),
        (((NAME, "k"),), "k", "k"),
        (((NAME, "k"), (NAME, "k")), "", "k"),
        ((("other", "k"),), "", ""),
        (((NAME, "two words"),), "", "two words"),
        (((NAME, "k" * 255),), "", "k" * 255),
        (((NAME, "k" * 256),), "", BAD),
        (((NAME, ""),), "", BAD),
        (((NAME, " k"),), "", BAD),
        (((NAME, "k "),), "", BAD),
        ((), " ", BAD),
        ((), "ключ", BAD),
        ((), "a\nb", BAD),
        ((), "a\x7fb", BAD),
        (((NAME, "k"),), "other", BAD),
        (((NAME, "k"), (NAME, "other")), "", BAD),
    ],
)
def test_where_a_key_is_read(metadata: object, in_request: str, key: object) -> None:
    """A key is 1 to 255 printable ASCII characters, in metadata or request, and one only."""
    if key is BAD:
        with pytest.raises(IdempotencyKeyInvalid):
            read_key(metadata, in_request)
    else:
        assert read_key(metadata, in_request) == key


def test_a_key_that_is_needed_and_not_there() -> None:
    """A method that needs a key says so when there is none."""
    with pytest.raises(IdempotencyKeyRequired):
        require_key((), "")
    assert require_key((), "k") == "k"


@pytest.mark.parametrize(
    "other",
    [("M", 1, "2"), ("M", "1", 2), ("M", 12), ("M", [1, 2]), ("M", 2, 1), ("N", 1, 2), ("M",)],
)
def test_different_requests_have_different_fingerprints(other: tuple[object, ...]) -> None:
    """Method, order, types and borders of the parts all count."""
    assert fingerprint(*other) != fingerprint("M", 1, 2)
    assert fingerprint("M", 1, 2) == fingerprint("M", 1, 2)


def test_a_key_stays_with_its_request() -> None:
    """A claim accepts its own fingerprint and refuses another."""
    claim = Claim("ann", "k", "f", "1", START)
    claim.require_same_request("f")
    with pytest.raises(IdempotencyKeyReused):
        claim.require_same_request("g")
