"""What belongs to the call being served: its caller, its deadline, its request id."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

ADMIN = "admin"
# As long as the columns that keep it.
USER_ID_LENGTH_MAX = 128
REPLAYED = ("idempotent-replayed", "true")

request_id: ContextVar[str] = ContextVar("request_id", default="")
# A moment on the clock of the event loop, in seconds; none: no caller is waiting.
deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
# What the answer carries beside the message: pairs of trailing metadata.
answer_metadata: ContextVar[list[tuple[str, str]] | None] = ContextVar(
    "answer_metadata", default=None
)
# Why the call was refused: the reason of its error.
reason: ContextVar[str] = ContextVar("reason", default="")
# Who knows the call's idempotency key; empty: it has none.
key_source: ContextVar[str] = ContextVar("key_source", default="")
_caller: ContextVar["Caller | None"] = ContextVar("caller", default=None)


@dataclass(frozen=True)
class Caller:
    """Who calls, as the token says."""

    user_id: str
    scopes: frozenset[str]

    def has(self, scope: str) -> bool:
        """Whether the token allows what needs this scope."""
        return scope in self.scopes or ADMIN in self.scopes


def is_user_id(text: str) -> bool:
    """Whether this can be the id of a user."""
    # MySQL takes `ann` and `ann ` for the same key.
    fits = 1 <= len(text) <= USER_ID_LENGTH_MAX and text == text.strip()
    # It is shown to people, on terminals that obey control characters.
    return fits and text.isprintable()


def caller() -> Caller:
    """The caller of the call being served.

    Raises:
        LookupError: no authenticated call is being served.
    """
    present = _caller.get()
    if present is None:
        message = "no authenticated call is being served"
        raise LookupError(message)
    return present


def set_caller(value: Caller) -> None:
    """Note the caller of the call being served."""
    _caller.set(value)


def remaining_s(most_s: float) -> float:
    """How long the caller will still wait, in seconds, and at most `most_s`."""
    end = deadline.get()
    if end is None:
        return most_s
    return max(0.0, min(most_s, end - asyncio.get_running_loop().time()))


def mark_replayed() -> None:
    """Say in the answer that it is a stored one."""
    pairs = answer_metadata.get()
    if pairs is not None:
        pairs.append(REPLAYED)
