"""What is forgotten of the inventory, and when: what nobody can ask for any more.

| what | what it is for | when it goes |
|---|---|---|
| keys | a repeat gets the first reservations | by age |
| reservations | who comes late is told that it is over | by its end; not if it was ever booked |

Keys go first: one that names a reservation must not outlive it. Events, seats and what was booked
stay: they are the books.
"""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.retention import Retention, Rule
from chassis.transactions import Transactions
from inventory_svc.ports import Inventory


@dataclass(frozen=True)
class Retentions:
    """How long things are kept, in seconds."""

    keys_s: float
    # At least as long.
    reservations_s: float


def retention(
    transactions: Transactions[Inventory], clock: Clock, kept: Retentions
) -> Retention[Inventory]:
    """The work of the worker that forgets."""
    rules = (
        Rule[Inventory]("keys", kept.keys_s, lambda one, *old: one.purge_keys(*old)),
        Rule[Inventory](
            "reservations", kept.reservations_s, lambda one, *old: one.purge_reservations(*old)
        ),
    )
    return Retention(transactions, clock, rules)
