"""A provider whose own ledger is the truth: what it took and gave back, whatever it answered."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chassis.cards import Method
from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Notice,
    Outcome,
    Pending,
    Succeeded,
)
from payment_svc.ports import Charge, KnownCard, Return
from support.payments import ScriptedProvider, scripted_webhook

NO = Declined(DeclineCode.CARD_DECLINED)


class Decision(StrEnum):
    """What becomes of something that the provider sees for the first time."""

    DONE = "done"
    REFUSED = "refused"
    LATER = "later"
    # Later, and it cannot be called off meanwhile.
    LATER_FIRM = "later, firm"
    # It is not even written down.
    TURNED_AWAY = "turned away"


class Mishap(StrEnum):
    """What becomes of a question, or of its answer, on the way."""

    NONE = "none"
    QUESTION_LOST = "question lost"
    ANSWER_LOST = "answer lost"
    # Whoever asked hears nothing, and the question arrives all the same, when a test lets it.
    QUESTION_LATE = "question late"
    # Both are kept until a test lets them go.
    HELD_BEFORE = "held before"
    HELD_AFTER = "held after"


class State(StrEnum):
    """Where a charge or a refund stands at the provider."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"
    VOIDED = "voided"
    # Given back, and the bank sent it back.
    SENT_BACK = "sent back"


@dataclass
class Taken:
    """A charge in the provider's ledger."""

    charge: Charge
    state: State
    firm: bool = False


@dataclass
class Returned:
    """A refund in the provider's ledger."""

    order: Return
    state: State


@dataclass
class TruthfulProvider:
    """A `Provider` that never says what is not so. Its wires are bad, if a test wants it."""

    charges: dict[str, Taken] = field(default_factory=dict)
    refunds: dict[str, Returned] = field(default_factory=dict)
    # Every event that it has to tell: the arguments of `scripted_webhook`.
    events: list[tuple[str, str, str]] = field(default_factory=list)
    # Questions on their way for too long: each arrives when it is called.
    late: list[Callable[[], object]] = field(default_factory=list)
    # Who waits for a question or an answer that is held.
    held: list[asyncio.Event] = field(default_factory=list)
    # For the next questions, in order; then all goes well.
    mishaps: deque[Mishap] = field(default_factory=deque)
    decision: Decision = Decision.DONE
    # What no honest caller would ask for.
    outrages: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "truthful"

    def known_cards(self) -> Sequence[KnownCard]:
        return ()

    def check(self, charge: Charge, method: Method) -> None:
        pass

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        return ScriptedProvider().read_webhook(headers, body)

    async def charge(self, charge: Charge, method: Method) -> Outcome:  # noqa: ARG002
        decision = self.decision
        return await self._over_the_wire(lambda: self._charged(charge, decision))

    async def lookup(self, charge: Charge) -> Outcome:
        return await self._over_the_wire(lambda: self.charge_outcome(charge.reference))

    async def void(self, charge: Charge) -> Outcome:
        return await self._over_the_wire(lambda: self._voided(charge))

    async def refund(self, order: Return) -> Outcome:
        decision = self.decision
        return await self._over_the_wire(lambda: self._refunded(order, decision))

    def charge_outcome(self, reference: str) -> Outcome:
        taken = self.charges.get(reference)
        match None if taken is None else taken.state:
            case State.DONE:
                return Succeeded(f"txn_{reference}")
            case State.REFUSED:
                return NO
            case State.OPEN:
                return Pending()
        return NotDone()

    def decide_charge(self, reference: str, *, done: bool) -> None:
        """Say of a charge what was to be said later."""
        self.charges[reference].state = State.DONE if done else State.REFUSED
        self._tell(reference, "succeeded" if done else "declined")

    def decide_refund(self, reference: str, *, done: bool) -> None:
        """The same of a refund; one that was done is sent back."""
        refund = self.refunds[reference]
        failed = State.SENT_BACK if refund.state is State.DONE else State.REFUSED
        refund.state = State.DONE if done else failed
        self._tell(reference, "succeeded" if done else "declined")

    def taken(self, reference: str) -> int:
        """How much is taken by a charge, in minor units."""
        found = self.charges.get(reference)
        return found.charge.amount_minor if found and found.state is State.DONE else 0

    def given_back(self, reference: str, *states: State) -> int:
        """How much of a charge is given back: the refunds that are in one of these states."""
        mine = [
            one for one in self.refunds.values() if one.order.transaction_id == f"txn_{reference}"
        ]
        return sum(one.order.amount_minor for one in mine if one.state in states)

    def webhook(self, index: int) -> tuple[dict[str, str], bytes]:
        """One of its events as it is sent."""
        event_id, reference, outcome = self.events[index]
        return scripted_webhook(event_id, reference, outcome)

    def _charged(self, charge: Charge, decision: Decision) -> Outcome:
        if charge.reference not in self.charges and decision is not Decision.TURNED_AWAY:
            states = {Decision.DONE: State.DONE, Decision.REFUSED: State.REFUSED}
            firm = decision is Decision.LATER_FIRM
            state = states.get(decision, State.OPEN)
            self.charges[charge.reference] = Taken(charge, state, firm)
            self._tell_new(charge.reference, state)
        return self.charge_outcome(charge.reference)

    def _voided(self, charge: Charge) -> Outcome:
        known = self.charges.setdefault(charge.reference, Taken(charge, State.VOIDED))
        if known.state is State.OPEN and not known.firm:
            known.state = State.VOIDED
            self._tell(charge.reference, "not_done")
        outcome = self.charge_outcome(charge.reference)
        return NotDone() if isinstance(outcome, Declined) else outcome

    def _refunded(self, order: Return, decision: Decision) -> Outcome:
        known = self.refunds.get(order.reference)
        if known is not None and known.order != order:
            self.outrages.append(f"{order} is not what was asked for first: {known.order}")
        if known is None and decision is Decision.TURNED_AWAY:
            return NotDone()
        if known is None:
            states = {Decision.DONE: State.DONE, Decision.REFUSED: State.REFUSED}
            known = self.refunds[order.reference] = Returned(
                order, states.get(decision, State.OPEN)
            )
            self._watch(order)
            self._tell_new(order.reference, known.state)
        if known.state is State.DONE:
            return Succeeded(f"rtx_{order.reference}")
        return Pending() if known.state is State.OPEN else NO

    def _watch(self, order: Return) -> None:
        """Note it when more is asked back than was taken; a real provider would refuse."""
        charge = order.transaction_id.removeprefix("txn_")
        asked_back = self.given_back(charge, State.DONE, State.OPEN)
        if asked_back > self.taken(charge):
            self.outrages.append(f"{asked_back} asked back of {self.taken(charge)}: {order}")

    def _tell_new(self, reference: str, state: State) -> None:
        """Tell of what came; that it is decided is told apart from that it is begun."""
        self._tell(reference, "pending")
        if state is not State.OPEN:
            self._tell(reference, "succeeded" if state is State.DONE else "declined")

    def _tell(self, reference: str, outcome: str) -> None:
        self.events.append((f"evt_{len(self.events)}", reference, outcome))

    async def _over_the_wire(self, answer: Callable[[], Outcome]) -> Outcome:
        mishap = self.mishaps.popleft() if self.mishaps else Mishap.NONE
        match mishap:
            case Mishap.QUESTION_LOST:
                raise ConnectionError(mishap)
            case Mishap.QUESTION_LATE:
                self.late.append(answer)
                raise ConnectionError(mishap)
            case Mishap.ANSWER_LOST:
                answer()
                raise ConnectionError(mishap)
            case Mishap.HELD_BEFORE:
                await self._hold()
                return answer()
            case Mishap.HELD_AFTER:
                said = answer()
                await self._hold()
                return said
        return answer()

    async def _hold(self) -> None:
        go = asyncio.Event()
        self.held.append(go)
        try:
            await go.wait()
        finally:
            self.held = [one for one in self.held if one is not go]
