"""What a provider can answer. Only an explicit answer is a success or a decline."""

from dataclasses import dataclass
from enum import StrEnum


class DeclineCode(StrEnum):
    """Why a provider declined."""

    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    CARD_DECLINED = "CARD_DECLINED"
    EXPIRED_CARD = "EXPIRED_CARD"

    @property
    def message(self) -> str:
        """The same in words, fit to be shown to the payer."""
        return f"Payment declined: {self.value.replace('_', ' ').lower()}"


@dataclass(frozen=True)
class Succeeded:
    """It is done."""

    # The provider's name for what it did.
    transaction_id: str


@dataclass(frozen=True)
class Pending:
    """The provider has it, and will say later what became of it."""


@dataclass(frozen=True)
class Declined:
    """It is not done, and will not be."""

    code: DeclineCode


@dataclass(frozen=True)
class NotDone:
    """Surely nothing was taken or given back. What was asked for may be asked for again."""


@dataclass(frozen=True)
class Unknown:
    """No answer: it may be done or not. Asking again with the same reference is safe."""

    cause: str


Outcome = Succeeded | Pending | Declined | NotDone | Unknown
