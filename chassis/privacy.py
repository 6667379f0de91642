"""A person's data: given out as it is stored, or erased.

What the services share about it. What there is of a person, and what is to be left of it, each
service says for its own tables.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

import structlog

from chassis import context
from chassis.clock import Clock
from chassis.context import is_user_id
from chassis.errors import InvalidField
from chassis.transactions import Transactions

log = structlog.get_logger(__name__)

# Rows that are read at once.
PAGE = 200
# Things that are erased in one transaction, with all that belongs to them; small enough that nobody
# waits for its locks.
BATCH = 100

# When nothing was made yet.
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)

# Makes of a stored message the same without the person, with this id in place of theirs.
Rewrite = Callable[[bytes, str], bytes]
# Where a reading goes on: the values of the last key.
Place = tuple[Any, ...]


def moment_of(request: Any) -> datetime | None:
    """The moment before which an `EraseUserRequest` erases; none for all of it.

    Raises:
        InvalidField: no calendar has it.
    """
    if not request.HasField("before"):
        return None
    try:
        moment: datetime = request.before.ToDatetime(UTC)
    except (OverflowError, ValueError):
        raise InvalidField(("before", "must be a moment of the years 1 to 9999")) from None
    return moment


@dataclass(frozen=True)
class Record:
    """One row of one table."""

    kind: str
    place: Place
    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Which row it is."""
        return "/".join(map(str, self.place))


@dataclass(frozen=True)
class Erasure:
    """A person who is to be erased."""

    user_id: str
    # What stands in place of the id from then on.
    replacement: str
    # Only what was made before that.
    before: datetime
    now: datetime
    rewrite: Rewrite


class PersonalData(Protocol):
    """What a service stores of persons, within one unit of work."""

    @property
    def kinds(self) -> Sequence[str]:
        """The tables in which there may be something."""

    @property
    def parts(self) -> Sequence[str]:
        """What is erased by itself, in this order."""

    async def records(
        self, kind: str, user_id: str, after: Place | None, limit: int
    ) -> list[Record]:
        """What a table has of a person, in order, from a place on."""

    async def count(self, user_id: str) -> dict[str, int]:
        """How many rows each table has of a person; those without any are left out."""

    async def require_over(self, erasure: Erasure) -> None:
        """Refuse while something of the person is open.

        Raises:
            DomainError: it is; names it.
        """

    async def erase(self, part: str, erasure: Erasure, limit: int) -> dict[str, int]:
        """Erase so many things of a part at most; rows by table, none when nothing is left.

        Raises:
            DomainError: one of them is open. Nothing of the batch is erased.
        """


class HasPersonalData(Protocol):
    """A repository with data of persons."""

    @property
    def personal(self) -> PersonalData:
        """What this repository has of persons."""


Repository = TypeVar("Repository", bound=HasPersonalData)


def require_user_id(user_id: str) -> None:
    """Refuse what is nobody's id: MySQL would find `ann` by `ann `, and Redis would not.

    Raises:
        InvalidField: it is.
    """
    if not is_user_id(user_id):
        raise InvalidField(
            ("user_id", "is no user's id: it has spaces at an end, or is unprintable")
        )


class Privacy(Generic[Repository]):
    """Gives out what is stored of a person, and erases it."""

    def __init__(
        self, transactions: Transactions[Repository], clock: Clock, rewrite: Rewrite
    ) -> None:
        """Work on these; `rewrite` knows the messages that are stored."""
        self._transactions = transactions
        self._clock = clock
        self._rewrite = rewrite

    async def export(self, user_id: str) -> AsyncIterator[Record]:
        """Everything that is stored of a person, table by table.

        Raises:
            InvalidField: nobody can have this id.
        """
        require_user_id(user_id)

        async def kinds(one: Repository) -> Sequence[str]:
            return one.personal.kinds

        for kind in await self._transactions.read(kinds):
            page = await self._page(kind, user_id, None)
            while page:
                for record in page:
                    yield record
                page = await self._page(kind, user_id, page[-1].place)

    async def erase(
        self,
        user_id: str,
        replacement: str,
        before: datetime | None = None,
        *,
        validate_only: bool = False,
    ) -> dict[str, int]:
        """Erase a person; how many rows that changed, by table. A repeat goes on where one ended.

        Raises:
            DomainError: something of the person is open.
            InvalidField: nobody can have this id, or the replacement is the same.
        """
        require_user_id(user_id)
        if user_id == replacement:
            raise InvalidField(("replacement", "is the id that it is to replace"))
        now = self._clock.now()
        erasure = Erasure(user_id, replacement, before or FOREVER, now, self._rewrite)
        await self._transactions.read(lambda one: one.personal.require_over(erasure))
        if validate_only:
            return await self._transactions.read(lambda one: one.personal.count(user_id))

        async def parts(one: Repository) -> Sequence[str]:
            return one.personal.parts

        counts: Counter[str] = Counter()
        for part in await self._transactions.read(parts):
            while changed := await self._erase(part, erasure):
                counts.update(changed)
        # Who it was is what must not be told.
        by = context.caller().user_id
        log.info("user_erased", by=by, replacement=replacement, rows=counts.total())
        return dict(counts)

    async def _page(self, kind: str, user_id: str, after: Place | None) -> list[Record]:
        return await self._transactions.read(
            lambda one: one.personal.records(kind, user_id, after, PAGE)
        )

    async def _erase(self, part: str, erasure: Erasure) -> dict[str, int]:
        return await self._transactions.write(lambda one: one.personal.erase(part, erasure, BATCH))
