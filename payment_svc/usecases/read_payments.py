"""Reading payments."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from chassis import pages
from chassis.context import remaining_s
from chassis.tasks import Tasks
from chassis.transactions import Transactions
from payment_svc.domain.errors import PaymentNotFound
from payment_svc.domain.log import LogEntry
from payment_svc.domain.payment import Payment, Refund, RefundStatus
from payment_svc.ports import KnownCard, Ledger, Provider
from payment_svc.usecases.reconciler import Reconciler

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000
LOG_ENTRIES_MAX = 1000
# How long a reader waits for the provider. The answer is stored, whoever waits for it.
PROVIDER_WAIT_S = 2.0
# As much of the caller's time is kept to read the payment again.
KEPT_BACK_S = 0.5


@dataclass(frozen=True)
class PaymentView:
    """A payment, and what was looked for with it."""

    payment: Payment
    refunds: Sequence[Refund] = field(default=())
    log: Sequence[LogEntry] = field(default=())

    @property
    def is_open(self) -> bool:
        """Whether the provider has something to say about it still."""
        open_refund = any(one.status is RefundStatus.PENDING for one in self.refunds)
        return self.payment.is_undecided or open_refund


@dataclass(frozen=True)
class PaymentPage:
    """Some payments, newest first."""

    payments: Sequence[Payment]
    next_page_token: str


class ReadPayments:
    """Reads payments, one or many."""

    def __init__(
        self, transactions: Transactions[Ledger], reconciler: Reconciler, tasks: Tasks
    ) -> None:
        """Work on these; a provider that is asked may answer when the reader has left."""
        self._transactions = transactions
        self._reconciler = reconciler
        self._tasks = tasks

    async def one(self, payment_id: str, *, full: bool) -> PaymentView:
        """A payment; its refunds and its log only if it is to be `full`.

        The provider is asked about what is open of it, and waited for, for a moment.

        Raises:
            PaymentNotFound: there is none of this id.
        """
        found = await self._read(payment_id, full=full)
        if not found.is_open:
            return found
        asking = self._reconciler.look(found.payment, found.refunds)
        task = self._tasks.spawn(asking, f"look at {payment_id}")
        wait_s = max(0.0, remaining_s(PROVIDER_WAIT_S + KEPT_BACK_S) - KEPT_BACK_S)
        await asyncio.wait({task}, timeout=wait_s)
        return await self._read(payment_id, full=full)

    async def _read(self, payment_id: str, *, full: bool) -> PaymentView:
        async def unit(ledger: Ledger) -> PaymentView:
            payment = await ledger.payment(payment_id)
            if payment is None:
                raise PaymentNotFound(payment_id)
            if not full and payment.refunded_minor == payment.returned_minor:
                return PaymentView(payment)
            refunds = await ledger.refunds_of(payment_id)
            log = await ledger.log.of(payment_id, LOG_ENTRIES_MAX) if full else ()
            return PaymentView(payment, refunds, log)

        return await self._transactions.read(unit)

    async def page(self, booking_reference: str, page_size: int, page_token: str) -> PaymentPage:
        """One page of payments, newest first; of one booking only unless that is empty.

        Raises:
            InvalidField: the page token is not from this list.
        """
        listing = f"payments of {booking_reference}"
        before = pages.decode(listing, page_token)
        limit = pages.size(page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        found = await self._transactions.read(
            lambda ledger: ledger.payments_before(before, booking_reference, limit + 1)
        )
        page, more = found[:limit], len(found) > limit
        return PaymentPage(page, pages.encode(listing, page[-1].payment_id) if more else "")


class ListKnownCards:
    """Lists the cards with which the provider can be tested."""

    def __init__(self, provider: Provider) -> None:
        """Ask this one."""
        self._provider = provider

    def __call__(self) -> Sequence[KnownCard]:
        """The cards; none if it takes real money."""
        return self._provider.known_cards()
