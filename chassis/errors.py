"""The errors that callers see, and the tree under which services add their own.

    DomainError
    ├── InvalidField                     the request breaks a rule of the contract
    ├── TokenMissing, TokenInvalid, TokenExpired, ScopeMissing
    ├── IdempotencyKeyRequired, …Invalid, …InUse, …Reused
    ├── Overloaded, DependencyUnavailable, CircuitOpen, CommitUnknown
    ├── DeadlineTooShort, CursorExpired, Internal
    └── each service's domain/errors.py

An error says what kind it is, why (a value of `holdfast.errors.v1.Reason`), and what a
program needs to know about it. It knows nothing of gRPC: `chassis.status` turns it into
a status, in one place. Its message is public: it goes to the caller as it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import ClassVar, TypeVar

Row = TypeVar("Row", bound=tuple[str, ...])

# An error travels in the trailing metadata, which gRPC begins to refuse at 8 KiB, and its text
# goes there twice.
MESSAGE_LENGTH_MAX = 300
NAMES_BYTES_MAX = 2000
VIOLATIONS_BYTES_MAX = 3000
VIOLATIONS_SHOWN = 3


class Kind(Enum):
    """What a caller can do about an error. The names are those of the gRPC codes."""

    INVALID_ARGUMENT = auto()
    UNAUTHENTICATED = auto()
    PERMISSION_DENIED = auto()
    NOT_FOUND = auto()
    FAILED_PRECONDITION = auto()
    ABORTED = auto()
    RESOURCE_EXHAUSTED = auto()
    UNAVAILABLE = auto()
    DEADLINE_EXCEEDED = auto()
    INTERNAL = auto()


class DomainError(Exception):
    """A refusal with a reason. Every subclass names its kind and its reason."""

    kind: ClassVar[Kind]
    reason: ClassVar[str]
    # How long a caller should wait before the same call, in seconds; none: do not repeat it.
    retry_after_s: float | None = None
    # (field, what is wrong with it), for InvalidField.
    violations: tuple[tuple[str, str], ...] = ()

    def __init__(self, message: str, metadata: Mapping[str, object] | None = None) -> None:
        """Refuse with a public message and facts for programs, keyed in lowerCamelCase."""
        super().__init__(message)
        self.message = message[:MESSAGE_LENGTH_MAX]
        self.metadata = {key: str(value) for key, value in (metadata or {}).items()}


class InvalidField(DomainError):
    """One or more fields of the request break a rule."""

    kind = Kind.INVALID_ARGUMENT
    reason = "INVALID_FIELD"

    def __init__(self, *violations: tuple[str, str]) -> None:
        """Name the bad fields, as (path in the request, what is wrong with it).

        All of them, or as many as fit an answer.
        """
        self.violations = tuple(_within(violations, VIOLATIONS_BYTES_MAX))
        shown = [f"{field}: {what}" for field, what in violations[:VIOLATIONS_SHOWN]]
        more = len(violations) - len(shown)
        super().__init__("; ".join([*shown, f"and {more} more"] if more else shown))


class TokenMissing(DomainError):
    """The call carries no bearer token."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_MISSING"

    def __init__(self) -> None:
        """Say where the token goes."""
        super().__init__("this call needs the metadata 'authorization: Bearer <token>'")


class TokenInvalid(DomainError):
    """The token cannot be trusted. Which check failed is not said."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_INVALID"

    def __init__(self) -> None:
        """Say no more than that."""
        super().__init__("the token is not valid here")


class TokenExpired(DomainError):
    """The token was good, and its time is over."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_EXPIRED"

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("the token has expired; get a new one")


class ScopeMissing(DomainError):
    """The token does not allow this method."""

    kind = Kind.PERMISSION_DENIED
    reason = "SCOPE_MISSING"

    def __init__(self, scopes: frozenset[str]) -> None:
        """Name the scopes of which one would be enough."""
        names = " ".join(sorted(scopes))
        super().__init__(f"the token needs one of these scopes: {names}", {"scopes": names})


class IdempotencyKeyRequired(DomainError):
    """The method needs a key and got none."""

    kind = Kind.INVALID_ARGUMENT
    reason = "IDEMPOTENCY_KEY_REQUIRED"

    def __init__(self) -> None:
        """Say where the key goes."""
        super().__init__("this call needs an idempotency key, in the metadata 'idempotency-key'")


class IdempotencyKeyInvalid(DomainError):
    """The key is malformed, or given twice and not the same."""

    kind = Kind.INVALID_ARGUMENT
    reason = "IDEMPOTENCY_KEY_INVALID"


class IdempotencyKeyInUse(DomainError):
    """The first call with this key is still running."""

    kind = Kind.ABORTED
    reason = "IDEMPOTENCY_KEY_IN_USE"
    retry_after_s = 1.0

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("a call with this idempotency key is still running; retry it in a moment")


class IdempotencyKeyReused(DomainError):
    """The key belongs to a different request."""

    kind = Kind.INVALID_ARGUMENT
    reason = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("this idempotency key was used for a different request; use a new one")


class Overloaded(DomainError):
    """More work than the server takes on. Nothing was done."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"
    retry_after_s = 1.0


class DependencyUnavailable(DomainError):
    """A database or another service cannot be reached."""

    kind = Kind.UNAVAILABLE
    reason = "DEPENDENCY_UNAVAILABLE"
    retry_after_s = 1.0


class CircuitOpen(DependencyUnavailable):
    """Another service did not answer for a while and is left alone; it was not called."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        """Name who does not answer, and when it will be tried again."""
        super().__init__(f"{name} does not answer, and is left alone for a moment")
        self.retry_after_s = retry_after_s


class DeadlineTooShort(DomainError):
    """The caller's time is over, or too little of it is left to begin."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = "DEADLINE_TOO_SHORT"

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("the deadline of the call is over or too short; ask again with more time")


class RequestTooSlow(DeadlineTooShort):
    """A call was opened, and its request did not come."""

    def __init__(self, within_s: float) -> None:
        """Say how long it may take."""
        DomainError.__init__(self, f"the request must come within {within_s:g} s of its call")


class CursorExpired(DomainError):
    """What came after a cursor of a stream is not kept any more."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CURSOR_EXPIRED"

    def __init__(self) -> None:
        """Say how to go on."""
        super().__init__(
            "events after this cursor are not kept any more; read how things stand, and begin"
            " without a cursor"
        )


class CommitUnknown(DependencyUnavailable):
    """The database was lost at COMMIT: what was to be stored may be stored or not."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("the database was lost while storing this; repeat with the same key")


class Internal(DomainError):
    """A fault of the server. The details are in the log, under the request id."""

    kind = Kind.INTERNAL
    reason = "INTERNAL"

    def __init__(self, request_id: str) -> None:
        """Give the caller what the operator needs to find it."""
        super().__init__("internal error", {"requestId": request_id})


def joined(names: Iterable[object]) -> str:
    """Names separated by commas, whole ones only: all of them, or as many as fit an answer."""
    return ",".join(name for (name,) in _within(((str(one),) for one in names), NAMES_BYTES_MAX))


def _within(rows: Iterable[Row], bytes_max: int) -> Iterator[Row]:
    total = 0
    for row in rows:
        total += sum(len(text.encode()) + 1 for text in row)
        if total > bytes_max:
            return
        yield row
