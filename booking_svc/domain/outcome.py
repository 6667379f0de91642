"""What a call to another service can come to. A timeout is Unknown, never Refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value_co = TypeVar("Value_co", covariant=True)


@dataclass(frozen=True)
class Done(Generic[Value_co]):
    """It is done, and this came of it."""

    value: Value_co


@dataclass(frozen=True)
class Refused:
    """It is not done, and will not be: the other service said so."""

    # A value of `holdfast.errors.v1.Reason`.
    reason: str
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unknown:
    """It may be done or not. To ask again with the same key is safe."""

    cause: str


@dataclass(frozen=True)
class Pending:
    """The other service has it and has not decided yet. It will say."""

    # The other service's name for it.
    subject: str


@dataclass(frozen=True)
class GivenUp:
    """It may be done or not, and the time for it is over: it is undone as if it were done."""

    cause: str
