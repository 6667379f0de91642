"""What a provider answers, or tells unasked. Only an explicit answer is a success or a decline."""

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

    # The provider's name for what it did: for a charge 1 to 64 characters, by which it goes back.
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

TRANSACTION_ID_LENGTH_MAX = 64
NAMELESS = Unknown("a success without a name that can be kept")


def of_charge(outcome: Outcome) -> Outcome:
    """An outcome of a charge as it counts: what could never be given back is not known as taken."""
    if not isinstance(outcome, Succeeded):
        return outcome
    fits = 1 <= len(outcome.transaction_id) <= TRANSACTION_ID_LENGTH_MAX
    return outcome if fits else NAMELESS


class Answer(StrEnum):
    """An outcome by its name, as it is stored."""

    ASKED = "ASKED"
    SUCCEEDED = "SUCCEEDED"
    PENDING = "PENDING"
    DECLINED = "DECLINED"
    NOT_DONE = "NOT_DONE"
    UNKNOWN = "UNKNOWN"


def answer_of(outcome: Outcome) -> Answer:
    """The name of an outcome."""
    match outcome:
        case Succeeded():
            return Answer.SUCCEEDED
        case Pending():
            return Answer.PENDING
        case Declined():
            return Answer.DECLINED
        case NotDone():
            return Answer.NOT_DONE
    return Answer.UNKNOWN


def detail_of(outcome: Outcome) -> str:
    """What an outcome says beside its name."""
    match outcome:
        case Succeeded(transaction_id):
            return transaction_id
        case Declined(code):
            return code
        case Unknown(cause):
            return cause
    return ""


def outcome_of(answer: Answer, detail: str) -> Outcome:
    """The outcome of a name and a detail: the reverse of the two above."""
    match answer:
        case Answer.SUCCEEDED:
            return Succeeded(detail)
        case Answer.PENDING:
            return Pending()
        case Answer.DECLINED:
            return Declined(DeclineCode(detail))
        case Answer.NOT_DONE:
            return NotDone()
    return Unknown(detail)


@dataclass(frozen=True)
class Notice:
    """What a provider tells unasked about a charge or a refund."""

    # The provider's name for the message: told twice, it is one.
    event_id: str
    # Our name for what it is about: the id of a payment or of a refund.
    reference: str
    outcome: Outcome
