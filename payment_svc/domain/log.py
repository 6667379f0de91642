"""What was asked and answered about a payment. Entries are only ever added."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from payment_svc.domain.outcome import Answer
from payment_svc.domain.payment import PaymentStatus

# Who acts when nobody has asked for it.
OURSELVES = "payment_svc"


class Action(StrEnum):
    """What an entry is about."""

    CHARGE = "CHARGE"
    LOOKUP = "LOOKUP"
    VOID = "VOID"
    REFUND = "REFUND"
    CANCEL = "CANCEL"
    WEBHOOK = "WEBHOOK"


@dataclass(frozen=True)
class Saying:
    """Something that was asked or answered, before it is stored."""

    actor: str
    action: Action
    answer: Answer
    detail: str = ""
    # The refund that it is about, if it is about one.
    refund_id: str = ""


@dataclass(frozen=True)
class LogEntry:
    """The same, stored."""

    entry_id: int
    payment_id: str
    happened_at: datetime
    # Where the payment stood after it.
    status: PaymentStatus
    saying: Saying
