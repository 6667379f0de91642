"""What the mock provider keeps of charges and refunds, and the rules by which that changes. Pure.

A charge or a refund that ends later is decided when it comes: `settles_at` says when it turns
into what `decline_code` says, and it is turned when somebody asks.
"""

from collections.abc import Callable, Sequence
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
from payment_svc.ports import Charge, Return
from payment_svc.providers.mock_notices import Fact, WebhookEntry
from payment_svc.providers.mock_scenarios import (
    SETTLES_AFTER_S,
    Decision,
    Fault,
    RefundFault,
    script_of,
)

# Of these the first call does nothing.
LOSES_CHARGE = (Fault.CHARGE_LOST, Fault.SERVER_ERROR)
# Why a refund fails that was accepted: the card is no more.
REFUND_FAILS = DeclineCode.EXPIRED_CARD
# Why a refund is refused: the charge does not hold so much.
REFUND_REFUSED = DeclineCode.INSUFFICIENT_FUNDS


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


class RefundState(StrEnum):
    """Where a refund stands."""

    # Decided, and final from `settles_at` on.
    PENDING = "PENDING"
    # Given back; until `settles_at` only, if it has a `decline_code`.
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


_S, _R = ChargeState, RefundState


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
    # What it is an example of; none: chance decided.
    scenario: str | None = None


@dataclass(frozen=True)
class RefundEntry:
    """One refund in the books."""

    # The client's name for it.
    reference: str
    # The charge that it belongs to, by our name.
    transaction_id: str
    amount_minor: int
    currency: str
    state: RefundState
    # Our name for the refund.
    refund_id: str
    created_at: datetime
    # When it changes; none: it was final at once.
    settles_at: datetime | None = None
    # Why it fails, or has failed.
    decline_code: DeclineCode | None = None


@dataclass(frozen=True)
class Account:
    """A charge and what was given back of it, as it is in the books."""

    # None: the charge is not known here.
    charge: ChargeEntry | None
    refunds: Sequence[RefundEntry]


# The webhooks that tell of a charge that changed from what it was, none if it is new; and of a
# refund that is new.
TellCharge = Callable[[ChargeEntry | None, ChargeEntry], Sequence[WebhookEntry]]
TellRefund = Callable[[RefundEntry], Sequence[WebhookEntry]]


class Books(Protocol):
    """Where the mock provider writes down what it takes and gives back.

    Each change is one transaction with the webhooks that tell of it.
    """

    async def add_charge(self, entry: ChargeEntry, tell: TellCharge) -> tuple[ChargeEntry, bool]:
        """Store a charge, or find the one of this reference; and whether it is new."""

    async def change_charge(
        self, reference: str, change: Callable[[ChargeEntry], ChargeEntry], tell: TellCharge
    ) -> ChargeEntry | None:
        """Change a charge, if there is one; nobody else changes it in between.

        When it is voided, what was to be told of it is dropped: who voids it knows.
        """

    async def give_back(
        self, order: Return, decide: Callable[[Account], RefundEntry], tell: TellRefund
    ) -> RefundEntry:
        """Store what was decided about a refund; nobody else gives back of its charge meanwhile."""

    async def webhook(self, webhook_id: str) -> WebhookEntry | None:
        """A webhook, if there is one of this id."""


def new_charge(charge: Charge, decision: Decision, now: datetime) -> ChargeEntry:
    """The entry of a charge that comes for the first time."""
    outcome, script = decision.outcome, decision.script
    entry = ChargeEntry(
        reference=charge.reference,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        state=_S.LOST if script.fault in LOSES_CHARGE else _S.PENDING,
        transaction_id=outcome.transaction_id if isinstance(outcome, Succeeded) else "",
        decline_code=outcome.code if isinstance(outcome, Declined) else None,
        created_at=now,
        settles_at=now + timedelta(seconds=script.settles_after_s),
        scenario=decision.scenario,
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


def refunded(account: Account, order: Return, refund_id: str, now: datetime) -> RefundEntry:
    """The entry of a refund: the one that is there, as it is by now, or a new one."""
    for one in account.refunds:
        if one.reference == order.reference:
            return refund_settled(one, now)
    entry = RefundEntry(
        reference=order.reference,
        transaction_id=order.transaction_id,
        amount_minor=order.amount_minor,
        currency=order.currency,
        state=_R.SUCCEEDED,
        refund_id=refund_id,
        created_at=now,
    )
    if order.amount_minor > left_minor(account, now):
        return replace(entry, state=_R.FAILED, decline_code=REFUND_REFUSED)
    fault = script_of(account.charge.scenario if account.charge else None).refund_fault
    if fault is RefundFault.NONE or any(map(_was_accepted, account.refunds)):
        return entry
    return replace(
        entry,
        state=_R.PENDING if fault is RefundFault.FAILS else _R.SUCCEEDED,
        settles_at=now + timedelta(seconds=SETTLES_AFTER_S),
        decline_code=REFUND_FAILS,
    )


def refund_settled(entry: RefundEntry, now: datetime) -> RefundEntry:
    """The entry as it is by now."""
    if entry.settles_at is None or now < entry.settles_at:
        return entry
    return replace(entry, state=_R.FAILED if entry.decline_code else _R.SUCCEEDED)


def left_minor(account: Account, now: datetime) -> int:
    """What a charge holds that is neither given back nor promised; 0 if it is not taken."""
    charge = account.charge
    if charge is None or settled(charge, now).state is not _S.SUCCEEDED:
        return 0
    gone = (one for one in account.refunds if refund_settled(one, now).state is not _R.FAILED)
    return charge.amount_minor - sum(one.amount_minor for one in gone)


def refund_outcome_of(entry: RefundEntry) -> Outcome:
    """What is told about a refund."""
    match entry.state:
        case _R.FAILED if entry.decline_code is not None:
            return Declined(entry.decline_code)
        case _R.PENDING:
            return Pending()
    return Succeeded(entry.refund_id)


def _was_accepted(entry: RefundEntry) -> bool:
    """Whether a refund was not refused when it came."""
    return entry.state is not _R.FAILED or entry.settles_at is not None


def charge_webhooks(
    before: ChargeEntry | None, after: ChargeEntry, now: datetime
) -> Sequence[WebhookEntry]:
    """What is told of a charge when it has arrived: all of it, also what is yet to come."""
    if not (before is None or before.state is _S.LOST) or after.state in (_S.LOST, _S.VOIDED):
        return ()
    script = script_of(after.scenario)
    end_at = after.settles_at if after.state is _S.PENDING else now
    end = Fact(
        type="charge.declined" if after.decline_code else "charge.succeeded",
        reference=after.reference,
        happens_at=end_at,
        amount_minor=after.amount_minor,
        currency=after.currency,
        transaction_id=after.transaction_id,
        decline_code=after.decline_code or "",
    )
    told = end.told(now, after_s=script.end_told_after_s, copies=script.webhook_copies)
    if after.state is not _S.PENDING:
        return (told,)
    pending = replace(
        end, type="charge.pending", happens_at=now, transaction_id="", decline_code=""
    )
    return pending.told(now, after_s=script.pending_told_after_s), told


def refund_webhooks(entry: RefundEntry, now: datetime) -> Sequence[WebhookEntry]:
    """What is told of a new refund: all of it, also what is yet to come."""
    moments = [(entry, now)]
    if entry.settles_at is not None:
        moments.append((refund_settled(entry, entry.settles_at), entry.settles_at))
    return [_refund_fact(one, at).told(now) for one, at in moments]


def _refund_fact(entry: RefundEntry, happens_at: datetime) -> Fact:
    return Fact(
        type=f"refund.{entry.state.lower()}",
        reference=entry.reference,
        happens_at=happens_at,
        amount_minor=entry.amount_minor,
        currency=entry.currency,
        transaction_id=entry.refund_id if entry.state is _R.SUCCEEDED else "",
        decline_code=(entry.decline_code or "") if entry.state is _R.FAILED else "",
    )
