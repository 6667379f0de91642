"""Any order of calls, answers, webhooks and crashes, against a provider that keeps true books.

`HOLDFAST_EXAMPLES=2000 pytest …` looks further, at other orders each time.
"""

import asyncio
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs
from support.payment_truth import (
    Snapshot,
    check_end,
    check_history,
    check_open,
    check_sums,
    check_truth,
    check_ways,
    is_free,
)
from support.payment_world import FAIR, Weather, World, prepare
from support.payments import scripted_webhook
from support.replicas import Flight
from support.truthful import Decision, Mishap, State

from chassis.cards import Card
from chassis.errors import DomainError, IdempotencyKeyInUse, IdempotencyKeyReused
from payment_svc.domain.errors import PaymentNotRefundable, RefundExceedsPayment
from payment_svc.usecases.cancel_payment import Cancellation
from payment_svc.usecases.process_payment import NewPayment
from payment_svc.usecases.refund_payment import NewRefund
from payment_svc.usecases.webhooks import Delivery

LOOK_FURTHER = "HOLDFAST_EXAMPLES"
EXAMPLES = 40
STEPS = 40
ROUNDS_MAX = 30
CARD = Card("CREDIT_CARD", "4111111111111111", 12, 2060, "123")
STATUSES = {Decision.DONE: "SUCCESS", Decision.REFUSED: "FAILED"}

INDEXES = st.integers(0, 30)
BOOKINGS = ["BK-1", "BK-2", "BK-3", "BK-4"]
# Of a payment; none: all that is left.
PARTS = st.lists(st.sampled_from([None, "1", "2", "3", "9"]), min_size=1, max_size=3)
MISHAPS = st.lists(st.sampled_from([Mishap.NONE, *Mishap]), min_size=1, max_size=3).map(tuple)
WEATHER = st.builds(
    Weather,
    at=st.integers(0, 1),
    # A process ends at one of its first seams, or does not.
    cut=st.one_of(*[st.none()] * 4, st.integers(0, 5)),
    mishaps=st.one_of(st.just(()), MISHAPS),
    decision=st.sampled_from([*[Decision.DONE] * 3, *Decision]),
)
# Under which not much is known for certain.
OPEN_WEATHER = st.builds(
    Weather,
    at=st.integers(0, 1),
    mishaps=st.sampled_from([*Mishap]).map(lambda one: (one,)),
    decision=st.sampled_from([Decision.LATER, Decision.LATER_FIRM, Decision.DONE]),
)


@dataclass(frozen=True)
class Paying:
    """What somebody wants to pay. Each has a user of its own, by whom its payment is found."""

    request: NewPayment
    # Whether the booking was called off before it.
    is_late: bool


class PaymentMachine(RuleBasedStateMachine):
    """What may happen, in any order. Whatever is chosen by a number: 0 is the latest."""

    def __init__(self, world: World, logged: list[Any]) -> None:
        super().__init__()
        self.world, self.logged = world, logged
        self.now = Snapshot({}, {}, {}, {})
        self.payings: list[Paying] = []
        self.refundings: list[NewRefund] = []
        self.called_off: set[str] = set()

    @initialize(booking=st.sampled_from(BOOKINGS))
    def begin_well(self, booking: str) -> None:
        """Most of what can go wrong needs a payment that did not."""
        self.wish(booking, 10, FAIR, keyed=True)

    @rule(
        booking=st.sampled_from(BOOKINGS),
        amount=st.integers(3, 10),
        keyed=st.booleans(),
        weather=WEATHER,
    )
    def pay(self, booking: str, amount: int, weather: Weather, *, keyed: bool) -> None:
        self.wish(booking, amount, weather, keyed=keyed)

    @rule(
        booking=st.sampled_from(BOOKINGS),
        weather=WEATHER,
        repeats=st.lists(WEATHER, min_size=1, max_size=2),
    )
    def pay_and_repeat(self, booking: str, weather: Weather, repeats: list[Weather]) -> None:
        request = self.wish(booking, 10, weather, keyed=True)
        for one in repeats:
            self.books_are_right()
            self.repeat(request, one, changed=False)

    @rule(booking=st.sampled_from(BOOKINGS), weather=OPEN_WEATHER, off=OPEN_WEATHER)
    def pay_and_call_off(self, booking: str, weather: Weather, off: Weather) -> None:
        """What is called off before its provider has said what became of it."""
        self.wish(booking, 10, weather, keyed=True)
        self.books_are_right()
        self.call_off(booking, off)

    def wish(self, booking: str, amount: int, weather: Weather, *, keyed: bool) -> NewPayment:
        user, key = f"user-{len(self.payings)}", "key" if keyed else ""
        request = NewPayment(key, str(amount), "JPY", booking, user, CARD, "booking_svc")
        off = booking in self.called_off
        self.payings.append(Paying(request, is_late=off))
        (flight,) = self.world.fly(weather, self.world.replicas[weather.at].process(request))
        assert not isinstance(flight.result, DomainError), flight.result
        if flight.result is not None and not weather.mishaps:
            status = "CANCELLED" if off else STATUSES.get(weather.decision, "PENDING")
            assert flight.result.payment.status == status
        return request

    @precondition(lambda self: any(one.request.key for one in self.payings))
    @rule(which=INDEXES, changed=st.booleans(), weather=WEATHER)
    def pay_again(self, which: int, weather: Weather, *, changed: bool) -> None:
        request = _one_of([one.request for one in self.payings if one.request.key], which)
        self.repeat(request, weather, changed=changed)

    def repeat(self, request: NewPayment, weather: Weather, *, changed: bool) -> None:
        payments = self.now.payments.values()
        found = [one for one in payments if one["user_id"] == request.user_id]
        if changed and found:
            request = replace(request, amount="11")
        may_ask = not found or is_free(found[0], self.world.clock.now())
        (flight,) = self.world.fly(weather, self.world.replicas[weather.at].process(request))
        if flight.result is None or not found:
            return
        if changed:
            assert isinstance(flight.result, IdempotencyKeyReused)
        elif found[0]["status"] == "PENDING" and not may_ask:
            assert isinstance(flight.result, IdempotencyKeyInUse)
        else:
            assert flight.result.replayed
            assert flight.result.payment.payment_id == found[0]["payment_id"]

    @precondition(lambda self: self.now.payments)
    @rule(which=INDEXES, amounts=PARTS, keyed=st.booleans(), weather=WEATHER)
    def refund(
        self, which: int, amounts: list[str | None], weather: Weather, *, keyed: bool
    ) -> None:
        """One, or several at once."""
        requests = self.wish_back(_one_of(self.now.payments, which), amounts, keyed=keyed)
        may = self.may_refund(requests[0])
        work = [self.world.replicas[weather.at].refund(one) for one in requests]
        _check_refusal(self.world.fly(weather, *work)[0], may=may)

    @precondition(lambda self: self.now.payments)
    @rule(
        which=INDEXES,
        amounts=PARTS,
        weather=st.one_of(WEATHER, OPEN_WEATHER),
        repeats=st.booleans(),
    )
    def refund_in_turn(
        self, which: int, amounts: list[str | None], weather: Weather, *, repeats: bool
    ) -> None:
        """Several of one payment, one after another; each is repeated at once, or none."""
        payment_id = _one_of(self.now.payments, which)
        for request in self.wish_back(payment_id, amounts, keyed=True):
            for one in (weather, FAIR) if repeats else (weather,):
                self.ask_back(request, one, changed=False)
                self.books_are_right()

    @precondition(lambda self: any(one.key for one in self.refundings))
    @rule(which=INDEXES, changed=st.booleans(), weather=WEATHER)
    def refund_again(self, which: int, weather: Weather, *, changed: bool) -> None:
        request = _one_of([one for one in self.refundings if one.key], which)
        self.ask_back(request, weather, changed=changed)

    def ask_back(self, request: NewRefund, weather: Weather, *, changed: bool) -> None:
        found = [one for one in self.now.refunds.values() if one["reason"] == request.reason]
        if changed and found:
            request = replace(request, amount="11")
        may = self.may_refund(request)
        may_ask = not found or is_free(found[0], self.world.clock.now())
        (flight,) = self.world.fly(weather, self.world.replicas[weather.at].refund(request))
        if flight.result is None:
            return
        if not found:
            _check_refusal(flight, may=may)
        elif changed:
            assert isinstance(flight.result, IdempotencyKeyReused)
        elif found[0]["status"] == "PENDING" and not may_ask:
            assert isinstance(flight.result, IdempotencyKeyInUse)
        else:
            assert flight.result.replayed
            assert flight.result.refund.refund_id == found[0]["refund_id"]

    @rule(which=INDEXES, weathers=st.lists(WEATHER, min_size=1, max_size=2))
    def cancel(self, which: int, weathers: list[Weather]) -> None:
        """Once or twice, of a booking that may have payments."""
        paid = [one["booking_reference"] for one in self.now.payments.values()]
        booking = _one_of([*BOOKINGS, *paid], which)
        for weather in weathers:
            self.call_off(booking, weather)
            self.books_are_right()

    def call_off(self, booking: str, weather: Weather) -> None:
        replica = self.world.replicas[weather.at]
        writes = replica.transactions.writes
        key = "off" if weather.at else ""
        request = Cancellation(key, booking, "called off", "booking_svc")
        (flight,) = self.world.fly(weather, replica.cancel(request))
        assert not isinstance(flight.result, DomainError), flight.result
        if replica.transactions.writes > writes:
            self.called_off.add(booking)
        if flight.result is not None:
            assert not any(one.status == "PENDING" for one in flight.result.payments)

    @precondition(lambda self: self.world.provider.events)
    @rule(
        which=st.lists(INDEXES, min_size=1, max_size=3),
        weather=WEATHER,
        at_once_again=st.booleans(),
    )
    def webhook(self, which: list[int], weather: Weather, *, at_once_again: bool) -> None:
        """Any events may come, once or again, soon or late."""
        for one in which * (2 if at_once_again else 1):
            count = len(self.world.provider.events)
            self.world.deliver(count - 1 - one % count, weather)
            self.books_are_right()

    @rule(number=INDEXES, outcome=st.sampled_from(["succeeded", "declined"]))
    def webhook_about_nothing(self, number: int, outcome: str) -> None:
        webhook = scripted_webhook(f"evt_stray_{number}", "pay_404", outcome)
        delivery = Delivery(self.world.provider.name, *webhook)
        self.world.fly(FAIR, self.world.replicas[0].webhooks(delivery))

    @precondition(lambda self: self.world.undecided())
    @rule(which=INDEXES, done=st.booleans())
    def decide(self, which: int, *, done: bool) -> None:
        self.world.decide(_one_of(self.world.undecided(), which), done=done)

    @precondition(lambda self: self.world.given_back())
    @rule(which=INDEXES)
    def send_back(self, which: int) -> None:
        """A bank sends back what was given back."""
        self.world.decide(_one_of(self.world.given_back(), which), done=False)

    @precondition(lambda self: self.world.provider.late)
    @rule(which=INDEXES)
    def arrive(self, which: int) -> None:
        """A question that nobody waits for any more reaches the provider."""
        late = self.world.provider.late
        late.pop(which % len(late))()

    @precondition(lambda self: self.world.provider.held)
    @rule(which=INDEXES, weather=WEATHER)
    def let_go(self, which: int, weather: Weather) -> None:
        """What was held on its way arrives; the weather is for what is asked after that."""
        _one_of(self.world.provider.held, which).set()
        self.world.fly(weather)

    @precondition(lambda self: self.now.payments)
    @rule(which=INDEXES, lost=st.booleans(), full=st.booleans(), weather=WEATHER)
    def read(self, which: int, weather: Weather, *, lost: bool, full: bool) -> None:
        payment_id = _one_of(self.now.payments, which)
        reading = self.world.replicas[weather.at].read.one(payment_id, full=full)
        # Nothing is held: a reader who gives up waiting does it by the clock of the machine.
        weather = replace(weather, mishaps=(Mishap.ANSWER_LOST,) if lost else ())
        (flight,) = self.world.fly(weather, reading)
        if flight.result is not None:
            assert flight.result.payment.payment_id == payment_id

    @rule(weather=WEATHER)
    def reconcile(self, weather: Weather) -> None:
        self.world.fly(weather, self.world.replicas[weather.at].reconciler.run_once())

    @rule(weather=WEATHER)
    def retry_webhooks(self, weather: Weather) -> None:
        self.world.fly(weather, self.world.replicas[weather.at].webhooks.run_once())

    @rule(seconds=st.sampled_from([1, 3, 36, 901, 7200]))
    def time_goes_by(self, seconds: int) -> None:
        self.world.clock.move(seconds)

    @rule(at=st.integers(0, 1))
    def crash(self, at: int) -> None:
        self.world.restart(at)

    @invariant()
    def books_are_right(self) -> None:
        before, self.now = self.now, self.world.snapshot()
        check_sums(self.now)
        check_open(self.now)
        check_ways(before, self.now)
        check_history(before, self.now)
        check_truth(self.now, self.world.provider, self.world.told)
        self.check_wishes(before)
        assert [one for one in self.logged if one["log_level"] == "error"] == []
        # Ids of two replicas are in order only from one millisecond to the next.
        self.world.clock.move(0.005)

    def check_wishes(self, before: Snapshot) -> None:
        """Each wish is one payment or refund at most, and none that may not be."""
        payings = {one.request.user_id: one for one in self.payings}
        payments = list(self.now.payments.values())
        assert len({one["user_id"] for one in payments}) == len(payments)
        for one in payments:
            if payings[one["user_id"]].is_late:
                known = self.world.provider.charges.get(one["payment_id"])
                assert one["status"] == "CANCELLED", one
                assert known is None or known.state is State.VOIDED, one
        wished = [one for one in self.now.refunds.values() if one["reason"].startswith("refund-")]
        assert len({one["reason"] for one in wished}) == len(wished)
        for one in wished:
            if one["refund_id"] not in before.refunds:
                now = self.world.clock.now()
                assert before.may_refund(one["payment_id"], one["amount_minor"], now), one

    def wish_back(
        self, payment_id: str, amounts: list[str | None], *, keyed: bool
    ) -> list[NewRefund]:
        """Refunds, each with a reason of its own, by which it is found."""
        names = [f"refund-{len(self.refundings) + number}" for number in range(len(amounts))]
        wished = [
            NewRefund(name if keyed else "", payment_id, amount, name, "booking_svc")
            for name, amount in zip(names, amounts, strict=True)
        ]
        self.refundings += wished
        return wished

    def may_refund(self, request: NewRefund) -> bool:
        amount = None if request.amount is None else int(request.amount)
        return self.now.may_refund(request.payment_id, amount, self.world.clock.now())

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.settle()
        finally:
            self.world.close()

    def settle(self) -> None:
        """With nothing in the way, time brings both ledgers together."""
        self.world.calm()
        for _ in range(ROUNDS_MAX):
            for number, reference in enumerate(self.world.undecided()):
                done = number % 2 == 0 or reference in self.world.provider.refunds
                self.world.decide(reference, done=done)
            self.world.clock.move(7200)
            for worker in (self.world.replicas[0].reconciler, self.world.replicas[0].webhooks):
                self.world.fly(FAIR, worker.run_once())
            self.books_are_right()
            if not self.now.is_open:
                break
        check_end(self.now, self.world.provider, self.called_off)


def _one_of(some: Any, which: int) -> Any:
    found = list(some)
    return found[len(found) - 1 - which % len(found)]


def _check_refusal(flight: Flight, *, may: bool) -> None:
    """A refund that has an answer was refused if it may not be, and only then."""
    refused = isinstance(flight.result, PaymentNotRefundable | RefundExceedsPayment)
    assert flight.result is None or refused is not may, flight.result


@pytest.mark.timeout(0 if LOOK_FURTHER in os.environ else 600)
@pytest.mark.parametrize("part", [1, 2])
def test_any_order_of_things(tmp_path: Path, part: int) -> None:
    """Whatever happens, in any order, the books are right after each step and in the end."""
    examples = int(os.environ.get(LOOK_FURTHER, EXAMPLES))
    profile = settings(
        max_examples=(examples + 1) // 2,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    numbers = iter(range(sys.maxsize))
    with asyncio.Runner() as runner, capture_logs() as logged:
        runner.run(prepare(tmp_path))

        def machine() -> PaymentMachine:
            logged.clear()
            return PaymentMachine(World(runner, tmp_path, next(numbers)), logged)

        made: Any = machine if LOOK_FURTHER in os.environ else seed(part)(machine)
        run_state_machine_as_test(made, settings=profile)
