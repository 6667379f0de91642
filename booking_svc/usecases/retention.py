"""What is forgotten of bookings, and when: what nobody can ask for any more.

| what | what it is for | when it goes |
|---|---|---|
| keys | a repeat gets the first answer | by age; not while its booking or a saga of it is open |
| events | others follow what becomes of bookings | by age, the first ones first |
| history | people see what a saga did | by age of the last step; not of an open saga, nor what a
  person did |

Bookings, their seats, sagas and claims stay: they are the books, and a claim keeps a reservation
from being sold again by whoever read it long ago.
"""

from dataclasses import dataclass

from booking_svc.ports import Bookings
from chassis.clock import Clock
from chassis.retention import Retention, Rule
from chassis.transactions import Transactions


@dataclass(frozen=True)
class Retentions:
    """How long things are kept, in seconds."""

    keys_s: float
    events_s: float
    history_s: float


def retention(
    transactions: Transactions[Bookings], clock: Clock, kept: Retentions
) -> Retention[Bookings]:
    """The work of the worker that forgets."""
    rules = (
        Rule[Bookings]("keys", kept.keys_s, lambda one, *old: one.purge_keys(*old)),
        Rule[Bookings]("events", kept.events_s, lambda one, *old: one.outbox.purge(*old)),
        Rule[Bookings]("history", kept.history_s, lambda one, *old: one.sagas.purge_steps(*old)),
    )
    return Retention(transactions, clock, rules)
