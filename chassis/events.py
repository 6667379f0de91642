"""Events that are told to others, in an order, without a gap: as use cases and servers see them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis import pages, tracing
from chassis.bell import Bell
from chassis.errors import CursorExpired, InvalidField
from chassis.transactions import Transactions

# How many are numbered or read at once. An event is a few KiB at most.
BATCH = 200
POLL_S = 0.5


@dataclass(frozen=True)
class Event:
    """Something that happened, stored in the transaction that made it happen."""

    event_id: int
    kind: str
    # What it happened to. The caller holds a lock on it, so that its events come in order.
    subject: str
    payload: bytes
    occurred_at: datetime
    # Its place among all events, given after it was committed; 0: none yet.
    sequence: int = 0


class Outbox(Protocol):
    """The stored events, within one unit of work."""

    async def add(self, event: Event) -> None:
        """Store an event, without a number yet."""

    async def number(self, limit: int) -> int:
        """Give numbers to `limit` events at most, oldest first; how many got one."""

    async def after(self, sequence: int, limit: int) -> list[Event]:
        """Events that are numbered above `sequence`, in order."""

    async def newest(self) -> int:
        """The last number that was given; 0: none yet."""

    async def purge(self, before: datetime, limit: int) -> int:
        """Delete the first events, as long as they are older than `before`, `limit` at most."""


class HasOutbox(Protocol):
    """A repository with an outbox."""

    @property
    def outbox(self) -> Outbox:
        """The events of this repository."""


class EventFeed:
    """Reads events from a cursor on, and never skips one.

    Transactions end in another order than they begin, so no value that is chosen inside of
    them can be a cursor: a reader that has seen 5 would never see a 4 that commits later.
    Events are therefore numbered once they are committed, by one transaction at a time.
    Any replica may do it.
    """

    def __init__(
        self,
        listing: str,
        transactions: Transactions[HasOutbox],
        poll_s: float = POLL_S,
    ) -> None:
        """Read through `transactions`; cursors of another `listing` are refused.

        What other replicas have numbered is found after `poll_s` seconds at the latest.
        """
        self._listing = listing
        self._transactions = transactions
        # Rung for the readers. They have nothing to read yet when an event is merely stored.
        self._numbered = Bell()
        self._poll_s = poll_s

    async def run_once(self) -> bool:
        """Number one batch; true if there may be more.

        The work of a `Worker` with a bell that is rung after a commit that stored events.
        """
        numbered = await self._transactions.write(lambda one: one.outbox.number(BATCH))
        if numbered:
            self._numbered.ring()
        return numbered == BATCH

    async def stream(self, after_sequence: int) -> AsyncIterator[Event]:
        """The events after a number, and then those that come, for ever.

        After 0 it begins with the oldest that is kept.

        Raises:
            CursorExpired: the event after that number is not kept any more.
        """
        last = after_sequence
        await self._require_kept(last)
        while True:
            heard = self._numbered.rings
            events = await self._read(last)
            _require_next(last, events)
            for event in events:
                last = event.sequence
                yield event
            if len(events) < BATCH:
                await self._numbered.wait(self._poll_s, heard)

    def cursor(self, event: Event) -> str:
        """Where to go on after an event. Opaque to clients."""
        return pages.encode(self._listing, event.sequence)

    def position(self, cursor: str) -> int:
        """The number that a cursor stands for; 0, before the first, for an empty one.

        Raises:
            InvalidField: the cursor is not from this feed.
        """
        try:
            return pages.decode_number(self._listing, cursor) or 0
        except InvalidField:
            raise InvalidField(("cursor", "is not a cursor of this stream")) from None

    async def _require_kept(self, after: int) -> None:
        """Find out at once that everything after a number is gone, and not with the next event."""
        if not after:
            return
        # In this order: what had its number before is there to be read, or was deleted.
        newest = await self._transactions.read(lambda one: one.outbox.newest())
        if after < newest and not await self._read(after):
            raise CursorExpired

    async def _read(self, after: int) -> list[Event]:
        with tracing.apart():
            return await self._transactions.read(lambda one: one.outbox.after(after, BATCH))


def _require_next(last: int, events: Sequence[Event]) -> None:
    """Refuse to go on where events are missing: only the first ones are ever deleted."""
    if last and events and events[0].sequence != last + 1:
        raise CursorExpired
