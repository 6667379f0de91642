"""The door to a database, as use cases see it: a unit of work in, its result out."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

Repository_co = TypeVar("Repository_co", covariant=True)
Result = TypeVar("Result")


class Transactions(Protocol[Repository_co]):
    """Runs units of work over a repository.

    A unit is a function, not a block, so that it can be run again whole when the
    database asks for that (a deadlock, a lost connection), and so that units of
    several requests can share one commit. A unit has no effects but those on its
    repository.
    """

    async def read(self, unit: Callable[[Repository_co], Awaitable[Result]]) -> Result:
        """Run a unit that changes nothing; each statement sees what is committed then.

        Raises:
            DependencyUnavailable: the database cannot be reached.
        """

    async def write(
        self,
        unit: Callable[[Repository_co], Awaitable[Result]],
        landed: Callable[[Repository_co], Awaitable[Result | None]] | None = None,
    ) -> Result:
        """Run a unit as one transaction: all of it is committed when this returns.

        An error of the unit rolls everything back. When the connection is lost at COMMIT,
        `landed` is asked what came of the unit; none means that it was not stored, so it should
        read with a lock, which waits for a commit that is still going on.

        Raises:
            DependencyUnavailable: the database cannot be reached.
            CommitUnknown: it is not known whether the commit went through, or `landed` says no.
        """
