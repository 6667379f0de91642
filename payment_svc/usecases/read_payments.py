"""Reading payments."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis import pages
from chassis.transactions import Transactions
from payment_svc.domain.errors import PaymentNotFound
from payment_svc.domain.payment import Payment
from payment_svc.ports import Ledger

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000


@dataclass(frozen=True)
class PaymentPage:
    """Some payments, newest first."""

    payments: Sequence[Payment]
    next_page_token: str


class ReadPayments:
    """Reads payments, one or many."""

    def __init__(self, transactions: Transactions[Ledger]) -> None:
        """Work on these."""
        self._transactions = transactions

    async def one(self, payment_id: str) -> Payment:
        """A payment.

        Raises:
            PaymentNotFound: there is none of this id.
        """
        payment = await self._transactions.read(lambda ledger: ledger.payment(payment_id))
        if payment is None:
            raise PaymentNotFound(payment_id)
        return payment

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
