"""What must hold between the ledger of the payment adapter and that of its provider."""

import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from holdfast.payment.v1 import payment_pb2 as pb

from support.truthful import State, TruthfulProvider

Row = dict[str, Any]
HOLDS = {"SUCCESS", "PARTIALLY_REFUNDED"}
TAKEN = {*HOLDS, "REFUNDED"}
# What may follow a state, at once or after others; anything may follow PENDING.
MAY_FOLLOW = {
    "FAILED": {"FAILED"},
    "CANCELLED": {"CANCELLED", *TAKEN},
    "SUCCESS": TAKEN,
    "PARTIALLY_REFUNDED": TAKEN,
    "REFUNDED": TAKEN,
}
MAY_FOLLOW_REFUND = {"FAILED": {"FAILED"}, "REFUNDED": {"REFUNDED", "FAILED"}}


@dataclass(frozen=True)
class Snapshot:
    """All that is stored, read past the code that is tested."""

    payments: dict[str, Row]
    refunds: dict[str, Row]
    # By payment, oldest first.
    log: dict[str, list[Row]]
    events: dict[int, Row]

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> "Snapshot":
        def rows(query: str) -> list[Row]:
            return [dict(one) for one in connection.execute(query)]

        entries = rows("SELECT * FROM payment_log ORDER BY payment_id, entry_id")
        return cls(
            {one["payment_id"]: one for one in rows("SELECT * FROM payments")},
            {one["refund_id"]: one for one in rows("SELECT * FROM refunds ORDER BY refund_id")},
            {name: list(some) for name, some in groupby(entries, lambda one: one["payment_id"])},
            {one["event_id"]: one for one in rows("SELECT * FROM outbox ORDER BY event_id")},
        )

    @property
    def is_open(self) -> bool:
        """Whether the provider is to be asked about anything."""
        rows = [*self.payments.values(), *self.refunds.values()]
        return any(one["next_ask_at"] for one in rows)

    def refunds_of(self, payment_id: str, *statuses: str) -> list[Row]:
        """Refunds of a payment; in one of these states, if there are any."""
        mine = [one for one in self.refunds.values() if one["payment_id"] == payment_id]
        return [one for one in mine if not statuses or one["status"] in statuses]

    def is_unknown(self, refund: Row, now: datetime) -> bool:
        """Whether nobody knows what became of a refund, as its log tells it."""
        said = [
            one["answer"]
            for one in self.log[refund["payment_id"]]
            if one["refund_id"] == refund["refund_id"] and one["action"] == "REFUND"
        ]
        forsaken = said[-1] == "ASKED" and is_free(refund, now)
        return refund["status"] == "PENDING" and (said[-1] == "UNKNOWN" or forsaken)

    def may_refund(self, payment_id: str, amount: int | None, now: datetime) -> bool:
        """Whether a refund of an amount may begin."""
        payment = self.payments[payment_id]
        left = payment["amount_minor"] - payment["refunded_minor"]
        known = not any(self.is_unknown(one, now) for one in self.refunds_of(payment_id))
        return payment["status"] in HOLDS and left > 0 and (amount or 1) <= left and known


def is_free(row: Row, now: datetime) -> bool:
    """Whether nobody asks about it."""
    return datetime.fromisoformat(row["leased_until"]) <= now.replace(tzinfo=None)


def check_sums(now: Snapshot) -> None:
    """What is given back is what the refunds say, and the status says the same."""
    for name, payment in now.payments.items():
        amounts = Counter[str]()
        for one in now.refunds_of(name):
            amounts[one["status"]] += one["amount_minor"]
        returned, amount = payment["returned_minor"], payment["amount_minor"]
        assert returned == amounts["REFUNDED"], payment
        assert payment["refunded_minor"] == returned + amounts["PENDING"], payment
        assert payment["refunded_minor"] <= amount, payment
        if payment["status"] in {"PENDING", "FAILED", "CANCELLED"}:
            assert returned == 0, payment
        else:
            part = "PARTIALLY_REFUNDED" if returned else "SUCCESS"
            assert payment["status"] == ("REFUNDED" if returned == amount else part), payment
            assert payment["transaction_id"] == f"txn_{name}"


def check_open(now: Snapshot) -> None:
    """Nothing is open that nobody will ask about."""
    for one in [*now.payments.values(), *now.refunds.values()]:
        assert one["status"] != "PENDING" or one["next_ask_at"], one
    for one in now.payments.values():
        off = one["called_off"] or one["status"] == "CANCELLED"
        holds = one["transaction_id"] and one["refunded_minor"] < one["amount_minor"]
        assert not (off and holds) or one["next_ask_at"], one


def check_ways(before: Snapshot, now: Snapshot) -> None:
    """No state is left for one that cannot follow it; an answer is the same for ever."""
    for name, payment in before.payments.items():
        after, was = now.payments[name], payment["status"]
        assert was == "PENDING" or after["status"] in MAY_FOLLOW[was], (payment, after)
        for fact in ("transaction_id", "decline_code", "processed_at", "called_off"):
            assert not payment[fact] or after[fact] == payment[fact], (payment, after)
    for name, refund in before.refunds.items():
        after, was = now.refunds[name], refund["status"]
        assert was == "PENDING" or after["status"] in MAY_FOLLOW_REFUND[was], (refund, after)


def check_history(before: Snapshot, now: Snapshot) -> None:
    """The log and the events only grow, and an event tells of a change, each change."""
    for name, entries in before.log.items():
        assert now.log[name][: len(entries)] == entries, name
    for name, entries in now.log.items():
        told = [one["detail"].split()[0] for one in entries if one["action"] == "WEBHOOK"]
        assert len(set(told)) == len(told), f"{name}: an event took effect twice"
    assert before.events.items() <= now.events.items()
    news = [one for name, one in now.events.items() if name not in before.events]
    for name, after in now.payments.items():
        told_of = [pb.Payment.FromString(one["payload"]) for one in news if one["subject"] == name]
        unlike = _standing(before, name) != _standing(now, name)
        failed = len(before.refunds_of(name, "FAILED")) < len(now.refunds_of(name, "FAILED"))
        assert not told_of or unlike or failed, f"{name}: an event of nothing"
        assert told_of or not unlike, f"{name}: a change without an event"
        if told_of:
            assert pb.Payment.Status.Name(told_of[-1].status) == after["status"], name


def check_truth(now: Snapshot, provider: TruthfulProvider, told: set[str]) -> None:
    """What is settled here is what the provider has done; `told`: the events that came here."""
    assert provider.outrages == []
    assert provider.charges.keys() <= now.payments.keys()
    assert provider.refunds.keys() <= now.refunds.keys()
    for name, payment in now.payments.items():
        known = provider.charges.get(name)
        state = known.state if known else None
        assert provider.given_back(name, State.DONE, State.OPEN) <= provider.taken(name)
        if known and known.state is not State.VOIDED:
            assert known.charge.amount_minor == payment["amount_minor"]
        if payment["transaction_id"]:
            assert state is State.DONE, payment
        elif payment["status"] == "FAILED":
            assert state is State.REFUSED, payment
        elif payment["status"] == "CANCELLED" and not payment["next_ask_at"]:
            assert state in {None, State.VOIDED, State.REFUSED}, payment
        elif payment["status"] != "PENDING":
            assert payment["status"] == "CANCELLED", payment
    for name, refund in now.refunds.items():
        done = provider.refunds.get(name)
        if refund["status"] == "REFUNDED":
            assert done, refund
            late = done.state is State.SENT_BACK and not _is_told(provider, told, name)
            assert done.state is State.DONE or late, refund
        if refund["status"] == "FAILED":
            assert done, refund
            assert done.state in {State.REFUSED, State.SENT_BACK}, refund


def check_end(now: Snapshot, provider: TruthfulProvider, called_off: set[str]) -> None:
    """When all is quiet nothing is open, and both ledgers are one."""
    for one in [*now.payments.values(), *now.refunds.values()]:
        assert one["status"] != "PENDING", one
        assert not one["next_ask_at"], one
    for name, payment in now.payments.items():
        there = provider.taken(name) - provider.given_back(name, State.DONE)
        taken = payment["amount_minor"] if payment["transaction_id"] else 0
        assert there == taken - payment["returned_minor"], payment
        if payment["booking_reference"] in called_off:
            assert there == 0, f"kept for a booking that was called off: {payment}"
            assert payment["status"] in {"FAILED", "CANCELLED", "REFUNDED"}, payment


def _standing(snapshot: Snapshot, name: str) -> tuple[str, int]:
    payment = snapshot.payments.get(name)
    return (payment["status"], payment["returned_minor"]) if payment else ("PENDING", 0)


def _is_told(provider: TruthfulProvider, told: set[str], reference: str) -> bool:
    last = [event_id for event_id, about, _ in provider.events if about == reference][-1]
    return last in told
