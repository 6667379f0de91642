"""What the mock provider keeps of a charge, and the rules by which that changes. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Outcome,
    Pending,
    Succeeded,
)
from payment_svc.ports import Charge
from payment_svc.providers.mock_cards import Decision


class ChargeState(StrEnum):
    """Where a charge stands."""

    # Decided, and final from `settles_at` on.
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    # It got lost on its way here: nothing is taken, unless it comes again.
    LOST = "LOST"
    # It was called off, before it came or while it was pending. Nothing is taken, ever.
    VOIDED = "VOIDED"


_S = ChargeState


@dataclass(frozen=True)
class ChargeEntry:
    """One charge in the books."""

    # The client's name for it.
    reference: str
    amount_minor: int
    currency: str
    state: ChargeState
    # What it will be, or would have been, while it is PENDING or LOST.
    transaction_id: str
    decline_code: DeclineCode | None
    created_at: datetime
    settles_at: datetime


@dataclass(frozen=True)
class RefundEntry:
    """One refund in the books. It is given back from the moment it is there."""

    reference: str
    # The charge that it belongs to, by our name.
    transaction_id: str
    amount_minor: int
    currency: str
    # SUCCEEDED, always.
    state: str
    # Our name for the refund.
    refund_id: str
    created_at: datetime


class Books(Protocol):
    """Where the mock provider writes down what it takes and gives back."""

    async def add_charge(self, entry: ChargeEntry) -> tuple[ChargeEntry, bool]:
        """Store a charge, or find the one of this reference; and whether it is new."""

    async def change_charge(
        self, reference: str, change: Callable[[ChargeEntry], ChargeEntry]
    ) -> ChargeEntry | None:
        """Change a charge, if there is one; nobody else changes it in between."""

    async def add_refund(self, entry: RefundEntry) -> RefundEntry:
        """Store a refund, or find the one of this reference."""


def new_charge(charge: Charge, decision: Decision, now: datetime) -> ChargeEntry:
    """The entry of a charge that comes for the first time."""
    outcome, script = decision.outcome, decision.script
    entry = ChargeEntry(
        reference=charge.reference,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        state=_S.LOST if script.loses_charge else _S.PENDING,
        transaction_id=outcome.transaction_id if isinstance(outcome, Succeeded) else "",
        decline_code=outcome.code if isinstance(outcome, Declined) else None,
        created_at=now,
        settles_at=now + timedelta(seconds=script.settles_after_s),
    )
    return settled(entry, now)


def voided_before(reference: str, now: datetime) -> ChargeEntry:
    """The entry of a charge that is called off before it came."""
    return ChargeEntry(reference, 0, "", _S.VOIDED, "", None, now, now)


def settled(entry: ChargeEntry, now: datetime) -> ChargeEntry:
    """The entry as it is by now."""
    if entry.state is not _S.PENDING or now < entry.settles_at:
        return entry
    return replace(entry, state=_S.DECLINED if entry.decline_code else _S.SUCCEEDED)


def charged_again(entry: ChargeEntry, now: datetime) -> ChargeEntry:
    """The entry when its charge comes again."""
    arrived = replace(entry, state=_S.PENDING) if entry.state is _S.LOST else entry
    return settled(arrived, now)


def voided(entry: ChargeEntry, now: datetime) -> ChargeEntry:
    """The entry when its charge is called off, if it is not too late for that."""
    present = settled(entry, now)
    return replace(present, state=_S.VOIDED) if present.state in (_S.PENDING, _S.LOST) else present


def outcome_of(entry: ChargeEntry) -> Outcome:
    """What is told about a charge."""
    match entry.state:
        case _S.SUCCEEDED:
            return Succeeded(entry.transaction_id)
        case _S.DECLINED if entry.decline_code is not None:
            return Declined(entry.decline_code)
        case _S.PENDING:
            return Pending()
    return NotDone()
