"""Erasing a person from the bookings, and from the fast copy of what their keys were answered."""

from datetime import datetime

from booking_svc.ports import Answers, Bookings
from chassis.clock import Clock
from chassis.errors import DependencyUnavailable
from chassis.privacy import PAGE, Place, Privacy, Rewrite, require_user_id
from chassis.transactions import Transactions

KEYS = "idempotency_keys"


class BookingPrivacy(Privacy[Bookings]):
    """`Privacy`, and the copies of answers too."""

    def __init__(
        self, transactions: Transactions[Bookings], clock: Clock, rewrite: Rewrite, answers: Answers
    ) -> None:
        """Work on these."""
        super().__init__(transactions, clock, rewrite)
        self._bookings = transactions
        self._answers = answers

    async def erase(
        self,
        user_id: str,
        replacement: str,
        before: datetime | None = None,
        *,
        validate_only: bool = False,
    ) -> dict[str, int]:
        """Erase a person; how many rows that changed, by table.

        Raises:
            DomainError: something of the person is open.
            InvalidField: nobody can have this id, or the replacement is the same.
            DependencyUnavailable: the fast copy cannot be reached; nothing was erased, or all but
                the copies of what was asked meanwhile.
        """
        require_user_id(user_id)
        keys = [] if validate_only else await self._keys(user_id)
        # Their names are known from the keys alone: they go first, and those that somebody asked
        # for again meanwhile go last.
        await self._forget(user_id, keys)
        counts = await super().erase(user_id, replacement, before, validate_only=validate_only)
        await self._forget(user_id, keys)
        return counts

    async def _keys(self, user_id: str) -> list[str]:
        found: list[str] = []
        last: Place | None = None
        while True:
            place = last
            page = await self._bookings.read(
                lambda one: one.personal.records(KEYS, user_id, place, PAGE)  # noqa: B023
            )
            if not page:
                return found
            # Its place is the owner and the key.
            found += [record.place[1] for record in page]
            last = page[-1].place

    async def _forget(self, user_id: str, keys: list[str]) -> None:
        for start in range(0, len(keys), PAGE):
            if not await self._answers.forget(user_id, keys[start : start + PAGE]):
                message = "the copies of answers cannot be deleted now; ask again"
                raise DependencyUnavailable(message)
