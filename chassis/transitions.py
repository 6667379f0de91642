"""State machines as named values: what is not named is refused."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

State = TypeVar("State", bound=StrEnum)


@dataclass(frozen=True)
class Transition(Generic[State]):
    """One named move from any of its sources to its target."""

    name: str
    sources: frozenset[State]
    target: State

    def apply(self, state: State) -> State:
        """Make the move.

        Raises:
            IllegalTransition: the move is not allowed from this state. A caller
                checks the rule first, so this is a fault of the program.
        """
        if state not in self.sources:
            raise IllegalTransition(self.name, state)
        return self.target


class IllegalTransition(Exception):
    """A move that the state machine does not have."""

    def __init__(self, name: str, state: StrEnum) -> None:
        """Name the move and the state from which it was tried."""
        super().__init__(f"cannot {name} from {state}")
