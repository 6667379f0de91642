"""The mock provider's rules: which card gives which outcome, and what chance decides.

Test cards have the same outcome at any success rate; any other valid number follows it.
"""

from random import Random

from chassis.ids import CROCKFORD, TEXT_LENGTH
from payment_svc.domain.outcome import DeclineCode, Declined, Outcome, Succeeded

# Number, what it always does. None: it always succeeds.
TEST_CARDS: dict[str, DeclineCode | None] = {
    "4242424242424242": None,
    "4000000000009995": DeclineCode.INSUFFICIENT_FUNDS,
    "4000000000000002": DeclineCode.CARD_DECLINED,
    "4000000000000069": DeclineCode.EXPIRED_CARD,
}


def charge_outcome(number: str, success_rate: float, chance: Random) -> Outcome:
    """What becomes of a charge."""
    declines = chance.random() >= success_rate
    code = chance.choice(list(DeclineCode))
    if number in TEST_CARDS:
        forced = TEST_CARDS[number]
        return Declined(forced) if forced else Succeeded(transaction_id(chance))
    return Declined(code) if declines else Succeeded(transaction_id(chance))


def transaction_id(chance: Random) -> str:
    """The provider's name for what it did: `txn_` and 26 letters and digits."""
    return "txn_" + "".join(chance.choices(CROCKFORD, k=TEXT_LENGTH))
