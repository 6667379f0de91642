"""Calls to another service that does not answer: they fail soon, and leave it alone."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from support.client import refused
from support.serving import serving
from support.tokens import auth_settings

from booking_svc.clients.outcomes import outcome_of
from booking_svc.domain.outcome import Done, Refused, Unknown
from chassis import context as call_context
from chassis.breaker import Breaker
from chassis.channels import Outgoing, judge
from chassis.errors import CircuitOpen, DeadlineTooShort, DomainError, Overloaded
from chassis.server import Hosted
from chassis.tokens import service_token
from payment_svc.servicer import ACCESS, NAME

FAILURES_MAX = 3
OPEN_S = 2.0
LONG_S = 20.0
REQUEST = pb.GetPaymentRequest(payment_id="PAY-1")


class Payments(rpc.PaymentServiceServicer):
    """Answers, fails or hangs, as a test tells it to; counts the calls."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.hangs = False

    async def GetPayment(self, _request: pb.GetPaymentRequest, _context: Any) -> pb.Payment:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return pb.Payment(payment_id="PAY-1")


async def nothing() -> None:
    pass


class Caller:
    """Another service, with a breaker whose clock the test moves."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.now = 0.0
        token = service_token(auth_settings(), "booking_svc", "payments")
        breaker = Breaker(
            "payments",
            failures_max=FAILURES_MAX,
            open_s=OPEN_S,
            judge=judge,
            now=lambda: self.now,
        )
        self.outgoing = Outgoing(pb.DESCRIPTOR.services_by_name["PaymentService"], token, breaker)
        self._method = rpc.PaymentServiceStub(channel).GetPayment

    async def get(self, timeout_s: float = LONG_S) -> pb.Payment:
        return await self.outgoing.call(self._method, REQUEST, timeout_s=timeout_s)

    async def outcome(self, timeout_s: float = LONG_S) -> Done[pb.Payment] | Refused | Unknown:
        return await outcome_of(self.get(timeout_s), frozenset({"OVERLOADED"}))


@pytest.fixture
def payments() -> Payments:
    return Payments()


@pytest.fixture
async def caller(payments: Payments) -> AsyncIterator[Caller]:
    hosted = Hosted(
        name=NAME,
        register=lambda server: rpc.add_PaymentServiceServicer_to_server(payments, server),
        access=ACCESS,
        ready=nothing,
        close=nothing,
    )
    async with serving(hosted) as channel:
        yield Caller(channel)


async def test_who_does_not_answer_is_left_alone(caller: Caller, payments: Payments) -> None:
    """After failures in a row nothing is called, which is Unknown; a trial that works ends it."""
    payments.error = RuntimeError()
    for _ in range(FAILURES_MAX):
        assert await caller.outcome() == Unknown("INTERNAL INTERNAL")
    assert caller.outgoing.is_open
    assert await caller.outcome() == Unknown("circuit open")
    with pytest.raises(CircuitOpen):
        await caller.get()
    assert payments.asked == FAILURES_MAX

    payments.error = None
    caller.now += OPEN_S
    assert isinstance(await caller.outcome(), Done)
    assert isinstance(await caller.outcome(), Done)
    assert not caller.outgoing.is_open


async def test_silence_is_a_failure(caller: Caller, payments: Payments) -> None:
    """Calls that take longer than we wait for them open the circuit."""
    payments.hangs = True
    for _ in range(FAILURES_MAX):
        assert isinstance(await caller.outcome(timeout_s=0.2), Unknown)
    assert caller.outgoing.is_open


async def test_refusals_do_not_open_a_circuit(caller: Caller, payments: Payments) -> None:
    """Who refuses with a reason has answered, however often."""
    error: DomainError = Overloaded("busy")
    payments.error = error
    for _ in range(FAILURES_MAX + 1):
        assert isinstance(await caller.outcome(), Refused)
    assert not caller.outgoing.is_open
    assert payments.asked == FAILURES_MAX + 1


async def test_callers_in_haste_do_not_open_a_circuit(caller: Caller, payments: Payments) -> None:
    """That our own callers had too little time is not held against the other service."""
    payments.hangs = True
    clock = asyncio.get_running_loop().time
    for left_s in (0.3, 0.3, 0.3, 0.0):
        call_context.deadline.set(clock() + left_s)
        with pytest.raises(DeadlineTooShort):
            await caller.get()
    assert not caller.outgoing.is_open


async def test_a_circuit_that_is_open_is_answered_as_unavailable(
    caller: Caller, payments: Payments
) -> None:
    """A caller of ours who needs the other service hears UNAVAILABLE."""
    payments.error = CircuitOpen("the provider", OPEN_S)
    with refused("DEPENDENCY_UNAVAILABLE") as said:
        await caller.get()
    assert said[0].code is grpc.StatusCode.UNAVAILABLE
