"""What an operator sees of sagas, and does about those that are parked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from booking_svc.domain.booking import Booking
from booking_svc.domain.errors import SagaNotFound, SagaNotParked
from booking_svc.domain.outcome import Done
from booking_svc.ports import Bookings
from booking_svc.saga import machine
from booking_svc.saga.lessons import learn
from booking_svc.saga.machine import Lease, Saga, State
from booking_svc.saga.runner import StepRecord, Verdict
from booking_svc.usecases.journal import BookingJournal
from booking_svc.usecases.refusals import require_known
from booking_svc.usecases.sagas import Sagas
from chassis import pages
from chassis.clock import Clock
from chassis.errors import InvalidField
from chassis.ids import Ids
from chassis.transactions import Transactions

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000
TIMELINE_MAX = 500
LISTING = "sagas"
OPEN = (State.RUNNING, State.NEEDS_ATTENTION)
UNKNOWN_HERE = "the replica that was asked does not know {}: it waits for one that does"


@dataclass(frozen=True)
class SagaView:
    """A saga as an operator sees it."""

    saga: Saga
    booking_reference: str
    timeline: Sequence[StepRecord] = ()
    # The booking as it is now; none in a list.
    booking: Booking | None = None


@dataclass(frozen=True)
class SagaPage:
    """Some sagas, newest first."""

    sagas: Sequence[SagaView]
    next_page_token: str


class OperateSagas:
    """Shows sagas; retries and resolves those that are parked."""

    def __init__(
        self,
        transactions: Transactions[Bookings],
        sagas: Sagas,
        journal: BookingJournal,
        clock: Clock,
        ids: Ids,
    ) -> None:
        """Work on these."""
        self._transactions = transactions
        self._sagas = sagas
        self._journal = journal
        self._clock = clock
        self._ids = ids

    async def page(
        self, state: State | None, booking_reference: str, page_size: int, page_token: str
    ) -> SagaPage:
        """One page of sagas, newest first, without timelines.

        Raises:
            InvalidField: the page token is not from this list.
        """
        last = _decode(page_token)
        limit = pages.size(page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        found = await self._transactions.read(
            lambda bookings: bookings.sagas.before(last, state, booking_reference, limit + 1)
        )
        page = [SagaView(_told(saga), reference) for saga, reference in found[:limit]]
        return SagaPage(page, _encode(page[-1].saga) if len(found) > limit else "")

    async def one(self, booking_id: int, name: str) -> SagaView:
        """A saga with its timeline and its booking.

        Raises:
            SagaNotFound: there is none of this name.
        """

        async def unit(bookings: Bookings) -> SagaView:
            saga, booking = await _find(bookings, booking_id, name)
            timeline = await bookings.sagas.steps(booking_id, saga.definition, TIMELINE_MAX)
            return SagaView(_told(saga), booking.booking_reference, timeline, booking)

        return await self._transactions.read(unit)

    async def retry(self, booking_id: int, name: str, operator: str) -> SagaView:
        """Let a parked saga try its present action again.

        Raises:
            SagaNotFound, SagaNotParked: as named.
            DependencyUnavailable: this replica does not know the saga's definition.
        """

        async def unit(bookings: Bookings) -> tuple[Saga, Booking]:
            saga, booking = await _find(bookings, booking_id, name)
            going_on = self._reopened(saga)
            await _reopen(bookings, going_on)
            step = self._by_hand(saga, going_on, Verdict.RETRIED, f"by {operator}")
            await bookings.sagas.add_step(self._ids.number(), going_on, step)
            return going_on, booking

        return await self._go_on(*await self._transactions.write(unit))

    async def resolve(self, booking_id: int, name: str, note: str, operator: str) -> SagaView:
        """Take the present action of a parked saga as done, and let it go on from there.

        Raises:
            SagaNotFound, SagaNotParked: as named.
            DependencyUnavailable: this replica does not know the saga's definition.
        """

        async def unit(bookings: Bookings) -> tuple[Saga, Booking]:
            saga, booking = await _find(bookings, booking_id, name)
            open_saga = self._reopened(saga)
            action = machine.action(open_saga) or ""
            done = Done(RESOLVED_VALUES.get(action))
            after = machine.advance(open_saga, done)
            if after.state is not State.RUNNING:
                after = replace(after, lease=Lease("", self._clock.now()))
            booking = learn(booking, action, done, after, self._clock.now())
            booking = self._journal.answered(booking)
            await _reopen(bookings, after)
            step = self._by_hand(saga, open_saga, Verdict.RESOLVED, f"by {operator}: {note}")
            await self._journal.write(bookings, after, booking, step)
            return after, booking

        return await self._go_on(*await self._transactions.write(unit))

    def _reopened(self, saga: Saga) -> Saga:
        require_known(saga.definition)
        if saga.state is not State.NEEDS_ATTENTION:
            raise SagaNotParked(saga.booking_id, saga.definition, saga.state)
        lease = self._sagas.lease()
        return replace(machine.retried(saga), lease=lease, attempt=saga.attempt + 1)

    def _by_hand(self, before: Saga, after: Saga, verdict: Verdict, detail: str) -> StepRecord:
        action = machine.action(after) or ""
        text = detail[: machine.ERROR_LENGTH_MAX]
        return StepRecord(before.step, action, after.attempt, verdict, text, self._clock.now(), 0.0)

    async def _go_on(self, saga: Saga, booking: Booking) -> SagaView:
        self._journal.tell(saga, booking)
        if saga.state is State.RUNNING:
            self._sagas.start(saga, booking)
        return await self.one(saga.booking_id, saga.definition)


# What a step that a person did by hand is taken to have come to.
RESOLVED_VALUES = {"give_back_payment": "REFUNDED"}


async def _find(bookings: Bookings, booking_id: int, name: str) -> tuple[Saga, Booking]:
    saga = await bookings.sagas.find(booking_id, name)
    booking = await bookings.booking(booking_id)
    if saga is None or booking is None:
        raise SagaNotFound(booking_id, name)
    return saga, booking


async def _reopen(bookings: Bookings, saga: Saga) -> None:
    if not await bookings.sagas.reopen(saga):
        # Another operator was faster.
        now, _ = await _find(bookings, saga.booking_id, saga.definition)
        raise SagaNotParked(saga.booking_id, saga.definition, now.state)


def _told(saga: Saga) -> Saga:
    """A saga as it is shown: with what is wrong, if nobody here can go on with it."""
    if machine.knows(saga.definition) or saga.state not in OPEN:
        return saga
    return replace(saga, last_error=UNKNOWN_HERE.format(saga.definition))


def _encode(saga: Saga) -> str:
    return pages.encode(LISTING, f"{saga.booking_id}/{saga.definition}")


def _decode(token: str) -> tuple[int, str] | None:
    text = pages.decode(LISTING, token)
    if text is None:
        return None
    number, _, name = text.partition("/")
    if not number.isdigit():
        raise InvalidField(("page_token", "is not from this list"))
    return int(number), name
