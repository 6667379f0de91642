"""The sagas, as tables. This page is all there is to their order.

Definitions and steps are stored by name, and a saga may be finished by another version of the
program than began it: so a definition that was ever stored never changes. One with a step more,
less or elsewhere is a new one, `confirm_booking/2`, beside the old one, which goes on to its end.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a refusal of a step means."""

    # All that was done before it is undone, in reverse order.
    COMPENSATABLE = "COMPENSATABLE"
    # The same; and when it is done, there is no way back.
    PIVOT = "PIVOT"
    # It is tried again until it is done: it comes after a point of no return.
    RETRIABLE = "RETRIABLE"


@dataclass(frozen=True)
class Step:
    """One step: the action that does it, and the action that undoes it."""

    name: str
    # None: it was done before the saga began.
    do: str | None
    # None: it never needs to be undone.
    undo: str | None
    kind: Kind


@dataclass(frozen=True)
class Definition:
    """A saga: its name and its steps, in order."""

    # With a number behind it from the second of its family on: `confirm_booking/2`.
    name: str
    steps: tuple[Step, ...]


CONFIRM_BOOKING = Definition(
    "confirm_booking",
    (
        Step("hold", do=None, undo="release_seats", kind=Kind.COMPENSATABLE),
        Step("charge", do="take_payment", undo="give_back_payment", kind=Kind.COMPENSATABLE),
        Step("confirm", do="confirm_seats", undo=None, kind=Kind.PIVOT),
    ),
)

CANCEL_BOOKING = Definition(
    "cancel_booking",
    (
        Step("release", do="release_seats", undo=None, kind=Kind.RETRIABLE),
        Step("refund", do="give_back_payment", undo=None, kind=Kind.RETRIABLE),
    ),
)

# What can be finished here; those that are begun are the newest of their families.
DEFINITIONS = {definition.name: definition for definition in (CONFIRM_BOOKING, CANCEL_BOOKING)}
VERSION_MARK = "/"


def family_of(name: str) -> str:
    """What a definition is for, whichever of its versions it is."""
    return name.partition(VERSION_MARK)[0]
