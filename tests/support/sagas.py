"""Sagas as dialogues, in the style of FTGO: given this reply, expect that call."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple, Self

import pytest
from structlog.testing import capture_logs

from booking_svc.domain.booking import BookedSeat, Booking, BookingStatus
from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.ports import ChargeOrder
from booking_svc.saga import machine
from booking_svc.saga.definition import Definition
from booking_svc.saga.machine import PATIENCE, Lease, Outcome, Patience, Saga
from booking_svc.saga.runner import Runner, StepRecord
from booking_svc.usecases.steps import Steps, Terms
from chassis.cards import Card
from support.clock import START, ManualClock

CARD = Card("CREDIT_CARD", "4242424242424242", 12, 2030, "123")
LEASE_S = 30.0
OURS = Lease("us", START + timedelta(seconds=LEASE_S))
HELD = Done(None)
TERMS = Terms(give_up_s=900.0, hold_s=120.0, reaccept=False)


def a_booking(**changes: Any) -> Booking:
    """A booking of two seats that has just been stored."""
    given: dict[str, Any] = {
        "booking_id": 5001,
        "booking_reference": "BK-2026-BCDFGHJKLM",
        "user_id": "ann",
        "event_id": 987,
        "currency": "USD",
        "seats": (BookedSeat(1001, "A1", 7500), BookedSeat(1002, "A2", 7500)),
        "created_at": START,
    }
    return Booking(**{**given, **changes})


class OffScript(BaseException):
    """The saga did what the dialogue does not say. Not an `Exception`: no runner survives it."""


# What a call comes to; none: there is no such payment.
Reply = Outcome | Exception | None


@dataclass
class _Line:
    action: str
    facts: Mapping[str, object]
    reply: Reply = None


class NotingClock(ManualClock):
    """Notes how long it was slept on."""

    def __init__(self) -> None:
        super().__init__()
        self.naps_s: list[float] = []

    async def sleep(self, delay_s: float) -> None:
        self.naps_s.append(delay_s)
        await super().sleep(delay_s)


class Kept(NamedTuple):
    """One record of a journal."""

    saga: Saga
    booking: Booking
    step: StepRecord


@dataclass
class FakeJournal:
    """Keeps what is recorded; each of `failures` refuses one attempt to record."""

    failures: list[Exception] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    handed_back: list[Saga] = field(default_factory=list)

    async def record(self, saga: Saga, booking: Booking, step: StepRecord) -> Booking:
        if self.failures:
            raise self.failures.pop(0)
        self.kept.append(Kept(saga, booking, step))
        return booking

    async def hand_back(self, saga: Saga) -> None:
        self.handed_back.append(saga)


class Dialogue:
    """A saga against its script: `.expect("take_payment").reply(Done("pay_1")).…ends(CONFIRMED)`.

    The real steps and the real runner speak; the other services only reply. To hold the seats
    longer is an aside: it comes to `extension`, and is noted in `extended_s`.
    """

    def __init__(  # noqa: PLR0913 - what a dialogue is about
        self,
        definition: Definition,
        booking: Booking,
        *,
        chance: Random | None = None,
        card: Card | None = CARD,
        terms: Terms = TERMS,
        patience: Patience = PATIENCE,
        extension: Done[None] | Refused | Unknown = HELD,
    ) -> None:
        self.clock = NotingClock()
        self.journal = FakeJournal()
        self.stopping = asyncio.Event()
        self.extended_s: list[float] = []
        self._extension = extension
        self._script: list[_Line] = []
        self._saga = machine.begin(definition, booking.booking_id, START, OURS)
        self._booking, self._card = booking, card
        inventory = SimpleNamespace(extend=self.extend, confirm=self.confirm, cancel=self.release)
        payments = SimpleNamespace(charge=self.charge, find=self.find, cancel=self.give_back)
        self._runner = Runner(
            Steps(inventory, payments, self.clock, terms).actions(),
            self.journal,
            self.clock,
            chance or Random(1),
            self.stopping,
            lease_s=LEASE_S,
            patience=patience,
        )

    def expect(self, action: str, **facts: object) -> Self:
        """Next comes a call of this action, with these facts among its arguments."""
        self._script.append(_Line(action, facts))
        return self

    def reply(self, outcome: Reply, times: int = 1) -> Self:
        """It comes to this, so many times in a row."""
        line = self._script.pop()
        self._script += [_Line(line.action, line.facts, outcome)] * times
        return self

    async def ends(self, status: BookingStatus) -> Booking:
        """Let it run: all was said as written, and the booking ends so. Gives the booking."""
        booking = await self.runs()
        assert not self._script, f"ended before {self._script[0].action}"
        assert booking.status == status
        assert self.journal.kept[-1].booking == booking
        return booking

    async def runs(self, stored: Callable[[Booking], None] = lambda _: None) -> Booking:
        """Let it run, however it ends."""
        try:
            # Captured: to draw the traceback of an error that is expected takes a second.
            with capture_logs():
                return await self._runner.run(self._saga, self._booking, self._card, stored)
        except OffScript as error:
            pytest.fail(str(error))

    @property
    def ended(self) -> Saga:
        """The saga as it was recorded last."""
        return self.journal.kept[-1].saga

    # The port `Payments`.

    async def charge(self, order: ChargeOrder) -> Reply:
        return self._say("take_payment", key=order.key, amount_minor=order.amount_minor)

    async def find(self, booking_reference: str, user_id: str) -> Reply:
        return self._say("find_payment", reference=booking_reference, user=user_id)

    async def give_back(self, booking_reference: str, reason: str) -> Reply:
        return self._say("give_back_payment", reference=booking_reference, reason=reason)

    # The port `Inventory`.

    async def extend(self, _ids: Sequence[int], ttl_s: float) -> Outcome:
        self.extended_s.append(ttl_s)
        return self._extension

    async def confirm(self, ids: Sequence[int], booking_reference: str, *, retake: bool) -> Reply:
        return self._say("confirm_seats", ids=ids, reference=booking_reference, retake=retake)

    async def release(self, ids: Sequence[int], booking_reference: str) -> Reply:
        return self._say("release_seats", ids=ids, reference=booking_reference)

    def _say(self, action: str, **facts: object) -> Reply:
        if not self._script:
            message = f"{action} was called after the dialogue had ended"
            raise OffScript(message)
        line = self._script.pop(0)
        if action != line.action or not line.facts.items() <= facts.items():
            message = f"expected {line.action} {line.facts}, heard {action} {facts}"
            raise OffScript(message)
        if isinstance(line.reply, Exception):
            raise line.reply
        return line.reply
