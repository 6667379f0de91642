"""What the gateway itself refuses, before a service is asked.

Refusal
├── Invalid              a field, a parameter or the JSON is wrong
├── NoRoute, WrongMethod
├── TooLarge, HeadersTooLarge, TooSlow, WrongMediaType, NotAcceptable
└── TooMany              more than one caller may ask, or than is served at once
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import ClassVar

from grpc import StatusCode

# As in `chassis.errors`: an answer must not be as large as what it refuses.
MESSAGE_LENGTH_MAX = 300
VIOLATIONS_MAX = 20


class Refusal(Exception):
    """A request that is not passed on. Its text is public."""

    status: ClassVar[HTTPStatus]
    # As a service would have said it.
    code: ClassVar[StatusCode]
    # A value of `holdfast.errors.v1.Reason` where there is one that says it.
    reason: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        violations: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Refuse with a message for people, headers for programs, and the fields that are wrong."""
        super().__init__(message)
        self.message = message[:MESSAGE_LENGTH_MAX]
        self.headers = dict(headers or {})
        self.violations = tuple(violations)[:VIOLATIONS_MAX]


class Invalid(Refusal):
    """One or more fields are wrong, or the body is no JSON."""

    status = HTTPStatus.BAD_REQUEST
    code = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_FIELD"

    def __init__(self, *violations: tuple[str, str]) -> None:
        """Name each, as (its path in JSON, what is wrong with it); the path of the whole is ''."""
        shown = (f"{path}: {what}" if path else what for path, what in violations[:3])
        super().__init__("; ".join(shown), violations=violations)


class NoRoute(Refusal):
    """Nothing is there."""

    status = HTTPStatus.NOT_FOUND
    code = StatusCode.NOT_FOUND
    reason = "NOT_FOUND"

    def __init__(self) -> None:
        """Say no more: a path may be anything."""
        super().__init__("there is nothing at this path")


class WrongMethod(Refusal):
    """Something is there, for other methods."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = StatusCode.UNIMPLEMENTED
    reason = "METHOD_NOT_ALLOWED"

    def __init__(self, allow: Iterable[str]) -> None:
        """Name the methods that are allowed."""
        names = ", ".join(sorted(allow))
        super().__init__(f"allowed here: {names}", headers={"allow": names})


class TooLarge(Refusal):
    """The body is larger than is read."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = StatusCode.INVALID_ARGUMENT
    reason = "BODY_TOO_LARGE"

    def __init__(self, bytes_max: int) -> None:
        """Say how large it may be."""
        super().__init__(f"the body may have {bytes_max} bytes at most")


class HeadersTooLarge(Refusal):
    """The headers are larger than is passed on."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = StatusCode.INVALID_ARGUMENT
    reason = "HEADERS_TOO_LARGE"

    def __init__(self, bytes_max: int) -> None:
        """Say how large they may be."""
        super().__init__(f"the headers may have {bytes_max} bytes at most")


class TooSlow(Refusal):
    """The body did not come in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = StatusCode.DEADLINE_EXCEEDED
    reason = "BODY_TOO_SLOW"

    def __init__(self, timeout_s: float) -> None:
        """Say how long it may take."""
        super().__init__(f"the body must come within {timeout_s:g} s")


class WrongMediaType(Refusal):
    """The body is not of a type that is read here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = StatusCode.INVALID_ARGUMENT
    reason = "UNSUPPORTED_MEDIA_TYPE"

    def __init__(self) -> None:
        """Say which is."""
        super().__init__("the body must be application/json, in UTF-8 and not compressed")


class NotAcceptable(Refusal):
    """The caller wants a type that is not made here."""

    status = HTTPStatus.NOT_ACCEPTABLE
    code = StatusCode.INVALID_ARGUMENT
    reason = "NOT_ACCEPTABLE"

    def __init__(self, made: str) -> None:
        """Say what is."""
        super().__init__(f"the answer is {made}")


class TooMany(Refusal):
    """More than is served at once, or than this caller may ask."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self, retry_after_s: int) -> None:
        """Say when to come again."""
        super().__init__(
            f"too many requests; try again in {retry_after_s} s",
            headers={"retry-after": str(retry_after_s)},
        )
