"""What is forgotten of payments, and when: what nobody can ask for any more.

| what | what it is for | when it goes |
|---|---|---|
| keys | a repeat gets the first payment or refund | by age; not while that is open |
| events | others follow what becomes of payments | by age, the first ones first |
| webhooks | what a provider tells twice takes effect once | by age; not while it is tried again |

Payments, refunds and their log stay: they are the books. So do the fences of bookings: a charge may
come however late, and finds that its booking was called off.
"""

from dataclasses import dataclass

from chassis.clock import Clock
from chassis.retention import Retention, Rule
from chassis.transactions import Transactions
from payment_svc.ports import Ledger


@dataclass(frozen=True)
class Retentions:
    """How long things are kept, in seconds."""

    keys_s: float
    events_s: float
    webhooks_s: float


def retention(
    transactions: Transactions[Ledger], clock: Clock, kept: Retentions
) -> Retention[Ledger]:
    """The work of the worker that forgets."""
    rules = (
        Rule[Ledger]("keys", kept.keys_s, lambda one, *old: one.purge_keys(*old)),
        Rule[Ledger]("events", kept.events_s, lambda one, *old: one.outbox.purge(*old)),
        Rule[Ledger]("webhooks", kept.webhooks_s, lambda one, *old: one.webhooks.purge(*old)),
    )
    return Retention(transactions, clock, rules)
