"""What goes on of a request's headers, and what comes back."""

import pytest

from gateway import metadata
from gateway.errors import Invalid


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("plain-key", "plain-key"),
        ('"quoted key"', "quoted key"),
        ('"a \\"b\\" \\\\c"', 'a "b" \\c'),
        ('"open', '"open'),
        ('"bad \\n escape"', '"bad \\n escape"'),
        ('""', ""),
        ("", ""),
    ],
)
def test_a_key_plain_or_quoted(given: str, meant: str) -> None:
    """A key in quotes means what is in them; anything else means itself."""
    assert metadata.unquoted(given) == meant


@pytest.mark.parametrize(
    ("header", "value", "seconds"),
    [
        ("grpc-timeout", "10S", 10), ("grpc-timeout", "1M", 60), ("grpc-timeout", "500m", 0.5),
        ("grpc-timeout", "2000000u", 2), ("grpc-timeout", "99999999H", 100),
        ("x-request-timeout", "0.25", 0.25), ("x-request-timeout", "7", 7),
    ],
)  # fmt: skip
def test_how_long_a_caller_waits(header: str, value: str, seconds: float) -> None:
    """Both headers are read in their own units, and neither goes beyond the most."""
    assert metadata.timeout_s({header: value}, 100) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "S", "-1S", "1.5S", "1D", "123456789S", "1S "])
def test_a_timeout_that_is_none(value: str) -> None:
    """A timeout of gRPC that is not one is refused."""
    with pytest.raises(Invalid):
        metadata.timeout_s({"grpc-timeout": value}, 100)


@pytest.mark.parametrize("value", ["", "-1", "1e3", "nan", "inf", "1_0", "0.1234567"])
def test_seconds_that_are_none(value: str) -> None:
    """A number of seconds is plain digits, with a point at most."""
    with pytest.raises(Invalid):
        metadata.timeout_s({"x-request-timeout": value}, 100)


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\nb", "é"])
def test_a_request_id_of_ones_own(given: str) -> None:
    """What is no request id is not taken over; a new one is made."""
    made = metadata.request_id({"x-request-id": given})
    assert made != given
    assert len(made) == 32


def test_text_that_is_no_text() -> None:
    """A header that is not printable ASCII does not go on."""
    for value in ("a\x00b", "é", "a\tb"):
        with pytest.raises(Invalid):
            metadata.incoming({"authorization": value}, "id", raw=False)


def test_signatures_go_with_bytes_only() -> None:
    """What signs a webhook goes on only to methods that take the bytes that it signs."""
    headers = {"webhook-signature": "v1,x", "stripe-signature": "t=1"}
    assert dict(metadata.incoming(headers, "id", raw=True)) == {"x-request-id": "id", **headers}
    assert dict(metadata.incoming(headers, "id", raw=False)) == {"x-request-id": "id"}


def test_what_comes_back() -> None:
    """Of the metadata of an answer only what is named becomes a header."""
    initial = (("server", "x"), ("x-request-id", "1"))
    trailing = (("idempotent-replayed", "true"), ("grpc-status-details-bin", b"\x00"))
    assert metadata.outgoing(initial, trailing, None) == {
        "x-request-id": "1",
        "idempotent-replayed": "true",
    }
    assert metadata.is_replayed(initial, trailing)
    assert not metadata.is_replayed(initial, None)
