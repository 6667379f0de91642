"""Creating events, listing them and their seats."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis import pages
from chassis.clock import Clock
from chassis.idempotency import Claim, fingerprint
from chassis.ids import Ids
from chassis.transactions import Transactions
from inventory_svc.domain.errors import EventNotFound
from inventory_svc.domain.event import Event, Seat, read_prices
from inventory_svc.ports import Inventory

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000
EVENTS_PAGE_SIZE_DEFAULT = 50
LISTING = "events"


@dataclass(frozen=True)
class NewEvent:
    """An event to create; seats as (seat number, price in decimals)."""

    name: str
    currency: str
    seats: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Created:
    """An event, and whether the key named it before."""

    event: Event
    replayed: bool


@dataclass(frozen=True)
class EventPage:
    """Some events, newest first."""

    events: Sequence[Event]
    next_page_token: str


@dataclass(frozen=True)
class SeatPage:
    """Some seats of an event, as of a moment."""

    event: Event
    seats: Sequence[Seat]
    as_of: datetime
    next_page_token: str


class Events:
    """The use cases about events."""

    def __init__(self, transactions: Transactions[Inventory], clock: Clock, ids: Ids) -> None:
        """Work on these."""
        self._transactions = transactions
        self._clock = clock
        self._ids = ids

    async def create(self, user_id: str, key: str, new: NewEvent) -> Created:
        """Create an event with its seats; a repeat with the same key returns the first.

        Raises:
            InvalidField: the currency, a price or a seat number is not right.
            IdempotencyKeyReused: the key belongs to another request.
        """
        prices = read_prices(new.currency, new.seats)
        digest = fingerprint("CreateEvent", new.name, new.currency, *new.seats)

        async def unit(inventory: Inventory) -> Created:
            event = Event(
                self._ids.number(), new.name, new.currency, len(new.seats), self._clock.now()
            )
            claim = Claim(user_id, key, digest, str(event.event_id), event.created_at)
            earlier = await inventory.keys.claim(claim) if key else None
            if earlier is not None:
                earlier.require_same_request(digest)
                first = await _require_event(inventory, int(earlier.subject))
                return Created(first, replayed=True)
            await inventory.add_event(event, self._seats(event, new, prices))
            return Created(event, replayed=False)

        return await self._transactions.write(unit)

    async def page(self, page_size: int, page_token: str) -> EventPage:
        """One page of the events, newest first.

        Raises:
            InvalidField: the page token is not from this list.
        """
        before = pages.decode_number(LISTING, page_token)
        limit = pages.size(page_size, EVENTS_PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        found = await self._transactions.read(
            lambda inventory: inventory.events_before(before, limit + 1)
        )
        page, more = found[:limit], len(found) > limit
        return EventPage(page, pages.encode(LISTING, page[-1].event_id) if more else "")

    async def seats(self, event_id: int, page_size: int, page_token: str) -> SeatPage:
        """One page of the seats of an event, in the order in which they were created.

        Raises:
            EventNotFound: there is no such event.
            InvalidField: the page token is not from this list.
        """
        listing = f"seats of {event_id}"
        after = pages.decode_number(listing, page_token) or 0
        limit = pages.size(page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)

        async def unit(inventory: Inventory) -> SeatPage:
            event = await _require_event(inventory, event_id)
            found = await inventory.seats_after(event_id, after, limit + 1)
            page, more = found[:limit], len(found) > limit
            token = pages.encode(listing, page[-1].seat_id) if more else ""
            return SeatPage(event, page, self._clock.now(), token)

        return await self._transactions.read(unit)

    def _seats(self, event: Event, new: NewEvent, prices: Sequence[int]) -> list[Seat]:
        rows = zip(self._ids.numbers(len(prices)), new.seats, prices, strict=True)
        return [
            Seat(seat_id, event.event_id, seat_number, price)
            for seat_id, (seat_number, _), price in rows
        ]


async def _require_event(inventory: Inventory, event_id: int) -> Event:
    event = await inventory.event(event_id)
    if event is None:
        raise EventNotFound(event_id)
    return event
