"""When a saga does its next action: at once, after a nap, or later by whoever is free. Pure."""

from dataclasses import dataclass
from random import Random

from booking_svc.domain.outcome import Pending
from booking_svc.saga.machine import Outcome, Saga, may_turn

# Full jitter, so that sagas that failed together do not come back together.
BACKOFF_BASE_S = 0.2
# While it stays in this process, or its seats are held for a time only.
NAP_MAX_S = 10.0
# While it is nobody's and only has something to undo.
REST_MAX_S = 300.0
# 0.2 s doubled this often is past both; a larger exponent would only overflow.
DOUBLINGS_MAX = 12
# After so many naps the trouble is no hiccup, and the saga makes room for others.
NAPS_MAX = 6
# The other service tells when it has decided; this is for when that got lost.
POLL_S = 15.0


@dataclass(frozen=True)
class Pause:
    """How long a saga waits, and whether it leaves its process meanwhile."""

    delay_s: float
    leaves: bool = False


NONE = Pause(0.0)


def pause(saga: Saga, outcome: Outcome, *, has_card: bool, chance: Random) -> Pause:
    """What comes before the next action of a saga, after its last one came to this.

    A card is in memory only: a saga that has one stays where it is while it may be needed. When
    the payment is known and only its provider has not decided, it is not needed any more.
    """
    if isinstance(outcome, Pending):
        if saga.waits > NAPS_MAX:
            return Pause(chance.uniform(POLL_S / 2, POLL_S), leaves=True)
        return Pause(chance.uniform(0, backoff_s(saga.waits, NAP_MAX_S)))
    if not saga.tries:
        return NONE
    leaves = saga.tries > NAPS_MAX and not has_card
    # Before the end of the hold that it has: what may still turn back is in a hurry.
    most_s = REST_MAX_S if leaves and not may_turn(saga) else NAP_MAX_S
    return Pause(chance.uniform(0, backoff_s(saga.tries, most_s)), leaves)


def backoff_s(tries: int, most_s: float) -> float:
    """The longest wait after so many tries, in seconds."""
    return min(most_s, BACKOFF_BASE_S * float(2 ** min(tries, DOUBLINGS_MAX)))
