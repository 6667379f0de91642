"""The mock provider's rules: which card gives which outcome, and what chance decides.

Test cards have the same outcome at any success rate; any other valid number follows it.
"""

from dataclasses import dataclass
from random import Random

from chassis.ids import CROCKFORD, TEXT_LENGTH
from payment_svc.domain.outcome import DeclineCode, Declined, Succeeded

SETTLES_AFTER_S = 3.0


@dataclass(frozen=True)
class Script:
    """What a test card does."""

    # None: it succeeds.
    declined: DeclineCode | None = None
    # 0: the outcome is there at once; else the charge is pending for so long.
    settles_after_s: float = 0
    # The first charge is taken, and its answer is lost.
    loses_answer: bool = False
    # The first charge is lost on its way, and so there is no answer. A second one arrives.
    loses_charge: bool = False


TEST_CARDS: dict[str, Script] = {
    "4242424242424242": Script(),
    "4000000000009995": Script(DeclineCode.INSUFFICIENT_FUNDS),
    "4000000000000002": Script(DeclineCode.CARD_DECLINED),
    "4000000000000069": Script(DeclineCode.EXPIRED_CARD),
    "4000000000003188": Script(settles_after_s=SETTLES_AFTER_S),
    "4000000000003196": Script(DeclineCode.CARD_DECLINED, settles_after_s=SETTLES_AFTER_S),
    "4000000000003204": Script(loses_answer=True),
    "4000000000003212": Script(loses_charge=True),
}


@dataclass(frozen=True)
class Decision:
    """What becomes of a charge, and how it is told."""

    outcome: Succeeded | Declined
    script: Script


def decide(number: str, success_rate: float, chance: Random) -> Decision:
    """What becomes of a charge."""
    declines = chance.random() >= success_rate
    code = chance.choice(list(DeclineCode))
    by_chance = Script(code if declines else None)
    script = TEST_CARDS.get(number, by_chance)
    if script.declined is not None:
        return Decision(Declined(script.declined), script)
    return Decision(Succeeded(transaction_id(chance)), script)


def transaction_id(chance: Random) -> str:
    """The provider's name for what it did: `txn_` and 26 letters and digits."""
    return "txn_" + "".join(chance.choices(CROCKFORD, k=TEXT_LENGTH))
