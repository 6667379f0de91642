"""The types of `google.protobuf` whose JSON is a text: times, durations, field masks."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from gateway.json_text import refuse

TIMESTAMP = "google.protobuf.Timestamp"
DURATION = "google.protobuf.Duration"
FIELD_MASK = "google.protobuf.FieldMask"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
# From the year 1 to 9999.
_TIMESTAMP_SECONDS = range(-62_135_596_800, 253_402_300_799 + 1)
# 10,000 years.
_DURATION_SECONDS_MAX = 315_576_000_000
_NANOS = 1_000_000_000
_HOURS, _MINUTES = 24, 60

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_SPAN = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_CAMEL_PATHS = re.compile(r"[^,_]+(?:,[^,_]+)*")
_SNAKE_PATH = re.compile(r"(?:[^_A-Z,]|_[a-z])+")
_HUMP = re.compile(r"[A-Z]")
_JOINT = re.compile(r"_([a-z])")


class Unwritable(ValueError):
    """A message holds what has no JSON form: whoever made it is at fault, not the caller."""


def refuse_writing(what: str) -> NoReturn:
    """Raise an `Unwritable`."""
    raise Unwritable(what)


def read_timestamp(message: Any, value: Any) -> None:
    """Set a time as RFC 3339 writes it, with any offset."""
    match = _TIME.fullmatch(value) if type(value) is str else None
    if match is None:
        refuse("must be a time such as 2026-11-16T10:30:00Z")
    *parts, fraction, sign, hours, minutes = match.groups()
    try:
        year, month, day, hour, minute, second = map(int, parts)
        time = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        refuse("is no time that there is")
    seconds = (time - _EPOCH) // _SECOND - _offset(sign, hours, minutes)
    if seconds not in _TIMESTAMP_SECONDS:
        refuse("must be in the years 1 to 9999")
    message.seconds = seconds
    message.nanos = _nanos(fraction)


def read_duration(message: Any, value: Any) -> None:
    """Set a duration, such as `1.5s`."""
    match = _SPAN.fullmatch(value) if type(value) is str else None
    if match is None:
        refuse("must be a duration such as 1.5s")
    sign, whole, fraction = match.groups()
    seconds, nanos = int(whole), _nanos(fraction)
    if seconds > _DURATION_SECONDS_MAX:
        refuse(f"must be within {_DURATION_SECONDS_MAX}s")
    message.seconds = -seconds if sign else seconds
    message.nanos = -nanos if sign else nanos


def read_field_mask(message: Any, value: Any) -> None:
    """Set the paths of a text, from lowerCamelCase."""
    if type(value) is not str or not (value == "" or _CAMEL_PATHS.fullmatch(value)):
        refuse("must be names in lowerCamelCase, with commas between them")
    del message.paths[:]
    if value:
        snake = _HUMP.sub(lambda hump: f"_{hump[0].lower()}", value)
        message.paths.extend(snake.split(","))


def write_timestamp(message: Any) -> str:
    """A time in UTC, with as many digits as it needs: none, 3, 6 or 9."""
    seconds, nanos = message.seconds, message.nanos
    if seconds not in _TIMESTAMP_SECONDS or not 0 <= nanos < _NANOS:
        refuse_writing("a time is not in the years 1 to 9999")
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    return f"{text}{_fraction(nanos)}Z" if nanos else f"{text}Z"


def write_duration(message: Any) -> str:
    """A duration in seconds, with as many digits as it needs: none, 3, 6 or 9."""
    seconds, nanos = message.seconds, message.nanos
    if abs(seconds) > _DURATION_SECONDS_MAX or abs(nanos) >= _NANOS or seconds * nanos < 0:
        refuse_writing("a duration is out of its range")
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def write_field_mask(message: Any) -> str:
    """Its paths in lowerCamelCase, with commas."""
    for path in message.paths:
        if not _SNAKE_PATH.fullmatch(path):
            refuse_writing("a path of a field mask would not be the same when it is read")
    return ",".join(_JOINT.sub(lambda joint: joint[1].upper(), path) for path in message.paths)


def _offset(sign: str | None, hours: str, minutes: str) -> int:
    """In seconds, of a clock that is ahead of UTC or behind it."""
    if sign is None:
        return 0
    if int(hours) >= _HOURS or int(minutes) >= _MINUTES:
        refuse("is no time that there is")
    seconds = (int(hours) * _MINUTES + int(minutes)) * 60
    return -seconds if sign == "-" else seconds


def _nanos(fraction: str | None) -> int:
    return int(fraction.ljust(9, "0")) if fraction else 0


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03}"
    if nanos % 1_000 == 0:
        return f".{nanos // 1_000:06}"
    return f".{nanos:09}"
