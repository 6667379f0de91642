"""Percent-decoding, strictly: what is no encoding of a text is refused, never guessed at."""

HEX = "0123456789abcdefABCDEF"
BYTES = {f"{a}{b}".encode(): bytes([int(a + b, 16)]) for a in HEX for b in HEX}
# An encoded "/" stays what it is, in the case in which it came.
BYTES_BUT_SLASH = BYTES | {code: b"%" + code for code in (b"2f", b"2F")}


class EncodingError(ValueError):
    """A "%" without two hexadecimal digits, or bytes that are not UTF-8; the text says which."""


def decode(raw: bytes, *, keep_slash: bool = False) -> str:
    """The text that is encoded, with "%2F" kept as it is if that is wanted.

    Raises:
        EncodingError: there is no such text.
    """
    first, *rest = raw.split(b"%")
    if rest:
        table = BYTES_BUT_SLASH if keep_slash else BYTES
        first += b"".join(_decode_start(part, table) for part in rest)
    try:
        return first.decode()
    except UnicodeDecodeError:
        message = "must be UTF-8"
        raise EncodingError(message) from None


def _decode_start(part: bytes, table: dict[bytes, bytes]) -> bytes:
    """What follows a "%"."""
    decoded = table.get(part[:2])
    if decoded is None:
        message = "'%' must be followed by two hexadecimal digits"
        raise EncodingError(message)
    return decoded + part[2:]
