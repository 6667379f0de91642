"""What the use cases need from outside, and no more."""

from dataclasses import dataclass
from typing import Protocol

from chassis.cards import Card
from chassis.idempotency import Keys
from payment_svc.domain.outcome import Outcome
from payment_svc.domain.payment import Payment, Refund


@dataclass(frozen=True)
class Charge:
    """What a provider is asked to take."""

    # Our own name for it: two charges with one reference are one charge.
    reference: str
    amount_minor: int
    currency: str
    card: Card


@dataclass(frozen=True)
class Return:
    """What a provider is asked to give back."""

    # Our own name for it: two returns with one reference are one return.
    reference: str
    # The charge that it belongs to, by the provider's name.
    transaction_id: str
    amount_minor: int
    currency: str


class Provider(Protocol):
    """A payment provider."""

    async def charge(self, charge: Charge) -> Outcome:
        """Take money. Asked again with the same reference it gives the same outcome.

        What it raises counts as Unknown.
        """

    async def refund(self, order: Return) -> Outcome:
        """Give money back. Asked again with the same reference it gives the same outcome.

        What it raises counts as Unknown.
        """


class Ledger(Protocol):
    """The stored payments and refunds, within one unit of work."""

    @property
    def keys(self) -> Keys:
        """The idempotency keys that were used."""

    async def add_payment(self, payment: Payment) -> None:
        """Store a new payment."""

    async def payment(self, payment_id: str) -> Payment | None:
        """A payment, if there is one of this id."""

    async def lock_payment(self, payment_id: str) -> Payment | None:
        """The same, and nobody else changes it or its refunds before this unit ends."""

    async def save_payment(self, payment: Payment) -> None:
        """Store what has changed about a payment."""

    async def payments_before(
        self, payment_id: str | None, booking_reference: str, limit: int
    ) -> list[Payment]:
        """Payments older than one, newest first; of one booking only unless that is empty."""

    async def add_refund(self, refund: Refund) -> None:
        """Store a new refund."""

    async def refund(self, refund_id: str) -> Refund | None:
        """A refund, if there is one of this id."""

    async def save_refund(self, refund: Refund) -> None:
        """Store what has changed about a refund."""
