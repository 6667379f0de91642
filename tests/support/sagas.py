"""Sagas as dialogues, in the style of FTGO: given this reply, expect that call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

import pytest
from structlog.testing import capture_logs

from booking_svc.domain.booking import BookedSeat, Booking, BookingStatus
from booking_svc.ports import ChargeOrder
from booking_svc.saga import machine
from booking_svc.saga.definition import Definition
from booking_svc.saga.machine import Outcome, Saga
from booking_svc.saga.runner import Runner
from booking_svc.usecases.steps import Steps
from chassis.cards import Card
from support.clock import START, ManualClock

CARD = Card("CREDIT_CARD", "4242424242424242", 12, 2030, "123")


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


@dataclass
class _Line:
    action: str
    facts: Mapping[str, object]
    reply: Outcome | Exception | None = None


class NotingClock(ManualClock):
    """Notes how long it was slept on."""

    def __init__(self) -> None:
        super().__init__()
        self.naps_s: list[float] = []

    async def sleep(self, delay_s: float) -> None:
        self.naps_s.append(delay_s)
        await super().sleep(delay_s)


@dataclass
class FakeJournal:
    """Keeps what is recorded; each of `failures` refuses one attempt to record."""

    failures: list[Exception] = field(default_factory=list)
    kept: list[tuple[Saga, Booking]] = field(default_factory=list)

    async def record(self, saga: Saga, booking: Booking) -> Booking:
        if self.failures:
            raise self.failures.pop(0)
        self.kept.append((saga, booking))
        return booking


class Dialogue:
    """A saga against its script: `.expect("take_payment").reply(Done("pay_1")).…ends(CONFIRMED)`.

    The real steps and the real runner speak; the other services only reply.
    """

    def __init__(
        self,
        definition: Definition,
        booking: Booking,
        *,
        chance: Random | None = None,
        card: Card | None = CARD,
    ) -> None:
        self.clock = NotingClock()
        self.journal = FakeJournal()
        self._script: list[_Line] = []
        self._saga = machine.begin(definition, booking.booking_id)
        self._booking, self._card = booking, card
        actions = Steps(self, self).actions()
        self._runner = Runner(actions, self.journal, self.clock, chance or Random(1))

    def expect(self, action: str, **facts: object) -> Self:
        """Next comes a call of this action, with these facts among its arguments."""
        self._script.append(_Line(action, facts))
        return self

    def reply(self, outcome: Outcome | Exception, times: int = 1) -> Self:
        """It comes to this, so many times in a row."""
        line = self._script.pop()
        self._script += [_Line(line.action, line.facts, outcome)] * times
        return self

    async def ends(self, status: BookingStatus) -> Booking:
        """Let it run: all was said as written, and the booking ends so. Gives the booking."""
        booking = await self.runs()
        assert not self._script, f"ended before {self._script[0].action}"
        assert booking.status == status
        assert self.journal.kept[-1][1] == booking
        return booking

    async def runs(self) -> Booking:
        """Let it run, however it ends."""
        try:
            # Captured: to draw the traceback of an error that is expected takes a second.
            with capture_logs():
                return await self._runner.run(self._saga, self._booking, self._card)
        except OffScript as error:
            pytest.fail(str(error))

    # The ports `Payments` and `Inventory`.

    async def charge(self, order: ChargeOrder) -> Outcome:
        return self._say("take_payment", key=order.key, amount_minor=order.amount_minor)

    async def give_back(self, payment_id: str, key: str, reason: str) -> Outcome:
        return self._say("give_back_payment", payment_id=payment_id, key=key, reason=reason)

    async def confirm(self, reservation_ids: Sequence[int], booking_reference: str) -> Outcome:
        return self._say("confirm_seats", ids=reservation_ids, reference=booking_reference)

    async def cancel(self, reservation_ids: Sequence[int], booking_reference: str) -> Outcome:
        return self._say("release_seats", ids=reservation_ids, reference=booking_reference)

    def _say(self, action: str, **facts: object) -> Outcome:
        if not self._script:
            message = f"{action} was called after the dialogue had ended"
            raise OffScript(message)
        line = self._script.pop(0)
        if action != line.action or not line.facts.items() <= facts.items():
            message = f"expected {line.action} {line.facts}, heard {action} {facts}"
            raise OffScript(message)
        if isinstance(line.reply, Exception):
            raise line.reply
        assert line.reply is not None
        return line.reply
