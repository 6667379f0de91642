"""What the use cases need from outside, and no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis.cards import Method
from chassis.events import Outbox
from chassis.idempotency import Keys
from chassis.privacy import HasPersonalData
from payment_svc.domain.log import LogEntry
from payment_svc.domain.outcome import Notice, Outcome
from payment_svc.domain.payment import Payment, Refund
from payment_svc.domain.webhook import Webhook

# Makes the payload of an event from a payment.
Encode = Callable[[Payment], bytes]


@dataclass(frozen=True)
class Charge:
    """What a provider is asked to take. The means of payment goes with it once, and is not kept."""

    # Our own name for it: two charges with one reference are one charge.
    reference: str
    amount_minor: int
    currency: str
    # When it was first asked for: what providers forget, they forget by age.
    asked_at: datetime


@dataclass(frozen=True)
class Return:
    """What a provider is asked to give back."""

    # Our own name for it: two returns with one reference are one return.
    reference: str
    # The charge that it belongs to, by the provider's name.
    transaction_id: str
    amount_minor: int
    currency: str
    # When it was first asked for.
    asked_at: datetime


@dataclass(frozen=True)
class KnownCard:
    """A card with which a provider does something that is known beforehand."""

    # A short name of it.
    name: str
    number: str
    # The token that stands for it.
    token: str
    # What the provider does.
    description: str
    # What becomes of a booking that is paid with it.
    outcome: str


class Provider(Protocol):
    """A payment provider. What a call raises counts as Unknown."""

    @property
    def name(self) -> str:
        """Its name in settings, in the log of a payment, and in the route of its webhooks."""

    def known_cards(self) -> Sequence[KnownCard]:
        """Cards to test it with; none if it takes real money."""

    def check(self, charge: Charge, method: Method) -> None:
        """Refuse what it could not charge, before anything is stored.

        Raises:
            InvalidField: a means of payment, a currency or an amount that it does not take.
        """

    async def charge(self, charge: Charge, method: Method) -> Outcome:
        """Take money. Asked again with the same reference it takes no more.

        A final outcome is the same for ever.
        """

    async def lookup(self, charge: Charge) -> Outcome:
        """What became of a charge; NotDone if it was never seen. It takes nothing."""

    async def void(self, charge: Charge) -> Outcome:
        """See to it that a charge does not happen.

        NotDone: it is surely off, also if it comes later. Succeeded: too late, it is taken.
        """

    async def refund(self, order: Return) -> Outcome:
        """Give money back. Asked again with the same reference it gives back no more.

        Succeeded is not for ever: a bank may send the money back, and then it is Declined.
        """

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """What a webhook says; none: nothing about a payment of ours.

        `headers` have lower-case names. Pure: it asks nobody.

        Raises:
            WebhookRefused: it cannot be trusted.
        """


@dataclass(frozen=True)
class Lease:
    """The right of one process to ask about something that is open."""

    # It must be due by then,
    due_by: datetime
    # and nobody may have had it since then.
    free_since: datetime
    until: datetime


class Log(Protocol):
    """What was said about payments, within one unit of work."""

    async def add(self, entry: LogEntry) -> None:
        """Store a new entry."""

    async def of(self, payment_id: str, limit: int) -> list[LogEntry]:
        """The last entries of a payment, oldest first."""


class Webhooks(Protocol):
    """The events that providers have told, within one unit of work."""

    async def add(self, webhook: Webhook) -> bool:
        """Store an event; false if it is there already."""

    async def due(self, now: datetime, limit: int) -> list[Webhook]:
        """Events to be tried again by now; the longest due first."""

    async def save(self, before: Webhook, after: Webhook) -> bool:
        """Store what came of a try; false if another has tried it meanwhile."""

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete events from before a moment that are not tried again, `limit` at most."""


@dataclass(frozen=True)
class Counted:
    """Some payments or refunds, counted."""

    count: int
    # When the first of them was asked for; none: there are none.
    oldest: datetime | None


class Ledger(HasPersonalData, Protocol):
    """The stored payments and refunds, within one unit of work."""

    @property
    def keys(self) -> Keys:
        """The idempotency keys that were used."""

    @property
    def outbox(self) -> Outbox:
        """The events that are told to others."""

    @property
    def log(self) -> Log:
        """What was said about each payment."""

    @property
    def webhooks(self) -> Webhooks:
        """What providers have told unasked."""

    async def purge_keys(self, before: datetime, limit: int) -> int:
        """Delete keys older than `before`, `limit` at most, and say how many.

        Not the key of what a provider is still to be asked about.
        """

    async def census(self) -> tuple[Counted, Counted]:
        """The payments, and the refunds, about which providers are still to be asked."""

    async def may_charge(self, booking_reference: str) -> bool:
        """Whether a booking was not called off, nor its payer erased, before this unit ends."""

    async def is_called_off(self, booking_reference: str) -> bool:
        """Whether a booking was called off. Somebody may do so at the same moment."""

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

    async def lease_payment(self, payment_id: str, lease: Lease) -> bool:
        """Take an open payment for oneself; false if another has, or it is not due."""

    async def add_refund(self, refund: Refund) -> None:
        """Store a new refund."""

    async def refund(self, refund_id: str) -> Refund | None:
        """A refund, if there is one of this id."""

    async def save_refund(self, refund: Refund) -> None:
        """Store what has changed about a refund."""

    async def refunds_of(self, payment_id: str) -> list[Refund]:
        """All refunds of a payment, oldest first."""

    async def due_refunds(self, now: datetime, limit: int) -> list[Refund]:
        """Refunds whose provider is to be asked by now, and nobody does; the longest due first."""

    async def lease_refund(self, refund_id: str, lease: Lease) -> bool:
        """Take an open refund for oneself; false if another has, or it is not due.

        One of which nothing was heard is unknown from then on.
        """
