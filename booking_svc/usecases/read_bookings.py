"""Reading bookings. A user sees the user's own, an operator all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from booking_svc.domain.booking import Booking, BookingStatus
from booking_svc.domain.errors import BookingNotFound
from booking_svc.ports import Bookings
from chassis import pages
from chassis.transactions import Transactions

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000
LISTING = "my bookings"


@dataclass(frozen=True)
class BookingPage:
    """Some bookings, newest first."""

    bookings: Sequence[Booking]
    next_page_token: str


class ReadBookings:
    """Reads bookings, one or many."""

    def __init__(self, transactions: Transactions[Bookings]) -> None:
        """Work on these."""
        self._transactions = transactions

    async def one(self, user_id: str, booking_id: int) -> Booking:
        """A user's booking.

        Raises:
            BookingNotFound: it does not exist or is someone else's.
        """
        booking = await self._transactions.read(lambda bookings: bookings.booking(booking_id))
        if booking is None or booking.user_id != user_id:
            raise BookingNotFound(booking_id)
        return booking

    async def page(
        self, user_id: str, page_size: int, page_token: str, booking_reference: str = ""
    ) -> BookingPage:
        """One page of a user's bookings, newest first; of one reference unless that is empty.

        Raises:
            InvalidField: the page token is not from this list.
        """
        before = pages.decode_number(LISTING, page_token)
        limit = pages.size(page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        found = await self._transactions.read(
            lambda bookings: bookings.bookings_before(before, user_id, booking_reference, limit + 1)
        )
        return _page(found, limit, LISTING)

    async def all(
        self, status: BookingStatus | None, page_size: int, page_token: str
    ) -> BookingPage:
        """One page of everyone's bookings, newest first; in one status unless that is none.

        Raises:
            InvalidField: the page token is not from this list.
        """
        listing = f"bookings {status or ''}"
        before = pages.decode_number(listing, page_token)
        limit = pages.size(page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        found = await self._transactions.read(
            lambda bookings: bookings.all_bookings_before(before, status, limit + 1)
        )
        return _page(found, limit, listing)


def _page(found: Sequence[Booking], limit: int, listing: str) -> BookingPage:
    page, more = found[:limit], len(found) > limit
    return BookingPage(page, pages.encode(listing, page[-1].booking_id) if more else "")
