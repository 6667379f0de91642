"""What the use cases need from outside, and no more."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis.cards import Card
from chassis.events import Outbox
from chassis.idempotency import Keys
from payment_svc.domain.outcome import Outcome
from payment_svc.domain.payment import Payment, Refund

# Makes the payload of an event from a payment.
Encode = Callable[[Payment], bytes]


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
    """A payment provider. What a call raises counts as Unknown."""

    async def charge(self, charge: Charge) -> Outcome:
        """Take money. Asked again with the same reference it takes no more.

        A final outcome is the same for ever.
        """

    async def lookup(self, reference: str) -> Outcome:
        """What became of the charge of this reference; NotDone if it was never seen."""

    async def void(self, reference: str) -> Outcome:
        """See to it that a charge of this reference does not happen.

        NotDone: it is surely off, also if it comes later. Succeeded: too late, it is taken.
        """

    async def refund(self, order: Return) -> Outcome:
        """Give money back. Asked again with the same reference it gives back no more."""


class Ledger(Protocol):
    """The stored payments and refunds, within one unit of work."""

    @property
    def keys(self) -> Keys:
        """The idempotency keys that were used."""

    @property
    def outbox(self) -> Outbox:
        """The events that are told to others."""

    async def may_charge(self, booking_reference: str) -> bool:
        """Whether a booking was not called off. Nobody calls it off before this unit ends."""

    async def call_off(self, booking_reference: str, reason: str, now: datetime) -> None:
        """Call a booking off for ever, after the units that are storing a payment for it."""

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

    async def payments_of(self, booking_reference: str) -> list[Payment]:
        """All payments of a booking, oldest first."""

    async def due_payments(self, now: datetime, limit: int) -> list[Payment]:
        """Payments whose provider is to be asked by now, and nobody does; the longest due first."""

    async def lease_payment(self, payment_id: str, now: datetime, until: datetime) -> bool:
        """Take a due payment for oneself; false if another has."""

    async def add_refund(self, refund: Refund) -> None:
        """Store a new refund."""

    async def refund(self, refund_id: str) -> Refund | None:
        """A refund, if there is one of this id."""

    async def save_refund(self, refund: Refund) -> None:
        """Store what has changed about a refund."""

    async def open_refunds(self, payment_id: str) -> list[Refund]:
        """The refunds of a payment that are PENDING, oldest first."""

    async def due_refunds(self, now: datetime, limit: int) -> list[Refund]:
        """Refunds whose provider is to be asked by now, and nobody does; the longest due first."""

    async def lease_refund(self, refund_id: str, now: datetime, until: datetime) -> bool:
        """Take a due refund for oneself; false if another has."""
