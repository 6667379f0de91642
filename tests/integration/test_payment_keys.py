"""One key, one payment, one charge: repeated, lost, left alone or cut off in the middle."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from holdfast.payment.v1 import payment_pb2 as pb
from support.client import As, reason_of, refused, replayed
from support.clock import START, ManualClock
from support.databases import Databases, url_of
from support.payments import (
    NUMBER,
    Payments,
    ScriptedProvider,
    give_back,
    process,
    refused_fields,
    retry_after_s,
    serving_payments,
    silence,
    status,
)

from chassis.errors import DependencyUnavailable, DomainError, Overloaded
from payment_svc.domain.outcome import DeclineCode, Declined, Unknown

SUCCEEDED = {"ProcessPayment": "SUCCESS", "RefundPayment": "REFUNDED"}
METHODS = pytest.mark.parametrize("method", list(SUCCEEDED))
Call = Callable[..., Any]


@pytest.fixture
async def payments(databases: Databases, clock: ManualClock) -> AsyncIterator[Payments]:
    async with serving_payments(await databases.fresh("payment_svc"), clock) as payments:
        yield payments


async def caller_of(payments: Payments, method: str) -> tuple[Call, Message]:
    """A method and a request for it: to pay, or to give back half of what was paid before."""
    request: Message = process()
    if method == "RefundPayment":
        request = give_back((await payments.pay()).payment_id, "75.00")
        await payments.provider.question()
        payments.provider.journal.clear()
    return getattr(payments.caller, method), request


def id_of(answer: Any) -> str:
    return answer.refund_id if hasattr(answer, "refund_id") else answer.payment_id


@METHODS
@pytest.mark.parametrize("answer", [None, Declined(DeclineCode.CARD_DECLINED)], ids=["ok", "no"])
async def test_a_repeat_gets_the_first_answer(
    payments: Payments, clock: ManualClock, method: str, answer: Declined | None
) -> None:
    """A finished key replays its answer, success or decline, says so, and asks nobody."""
    call, request = await caller_of(payments, method)
    payments.provider.answers.append(answer)
    first = call(request, idempotency_key="k")
    assert not await replayed(first)
    clock.move(3600)
    again = call(request, idempotency_key="k")
    assert await replayed(again)
    assert await first == await again
    assert status(await first) == ("FAILED" if answer else SUCCEEDED[method])
    assert len(payments.provider.journal) == 1


async def test_an_old_card_replays_too(payments: Payments, clock: ManualClock) -> None:
    """A repeat whose card has expired since the first call still gets its payment."""
    november = {"expiry_month": START.month, "expiry_year": START.year}
    payments.provider.answers.append(ConnectionError("lost"))
    first = await payments.pay(key="k", **november)
    clock.move(31 * 24 * 3600)
    again = await payments.pay(key="k", **november)
    assert (again.payment_id, status(again)) == (first.payment_id, "SUCCESS")
    with refused_fields("payment_method.expiry_year"):
        await payments.pay(key="new", **november)


OTHERS: dict[str, Any] = {
    "amount": "150.01",
    "currency": "EUR",
    "booking": "BK-2",
    "card_number": "4242424242424242",
    "expiry_year": 2031,
    "type": "DEBIT_CARD",
}


async def test_a_key_belongs_to_one_request(payments: Payments) -> None:
    """A key that was used for another payment is refused; nothing is taken."""
    await payments.pay(key="k")
    for field, value in OTHERS.items():
        with refused("IDEMPOTENCY_KEY_REUSED"):
            await payments.pay(key="k", **{field: value})
    assert len(payments.provider.journal) == 1


async def test_a_refund_does_not_share_its_key(payments: Payments) -> None:
    """A key of a refund of another amount, or for another reason, is refused for a refund."""
    paid = await payments.pay()
    await payments.refund(paid, "10.00", key="r")
    other_reason = give_back(paid.payment_id, "10.00")
    other_reason.reason = "GOODWILL"
    for other in (give_back(paid.payment_id, "20"), give_back(paid.payment_id), other_reason):
        with refused("IDEMPOTENCY_KEY_REUSED"):
            await payments.caller.RefundPayment(other, idempotency_key="r")
    assert (await payments.now(paid)).refunded_amount.value == "10.00"


async def test_each_payment_has_its_own_keys(payments: Payments) -> None:
    """One key is a payment, and a refund of each payment, and none of them is in another's way."""
    paid = [await payments.pay(key="k"), await payments.pay(booking="BK-2")]
    refunds = [await payments.refund(one, "10.00", key="k") for one in paid]
    assert [one.payment_id for one in refunds] == [one.payment_id for one in paid]
    assert len({one.refund_id for one in refunds}) == 2
    assert [(await payments.now(one)).refunded_amount.value for one in paid] == ["10.00", "10.00"]


async def test_the_same_amount_is_the_same_request(payments: Payments) -> None:
    """150, 150.0 and 150.00 are one amount: a repeat may write it differently, a refund's too."""
    ids = {(await payments.pay(key="k", amount=text)).payment_id for text in ("150", "150.0")}
    assert len(ids) == 1
    paid = await payments.pay(key="k")
    refunds = {(await payments.refund(paid, one, key="r")).refund_id for one in ("0.50", "0.5")}
    assert len(refunds) == 1
    assert (await payments.now(paid)).refunded_amount.value == "0.50"


@METHODS
async def test_a_key_does_not_belong_to_the_token(payments: Payments, method: str) -> None:
    """Two callers with one key and one request get one answer, whatever their tokens say."""
    call, request = await caller_of(payments, method)
    other: As = payments.called_by("shop")
    first = await call(request, idempotency_key="k")
    again = getattr(other, method)(request, idempotency_key="k")
    assert await replayed(again)
    assert await again == first
    assert len(payments.provider.journal) == 1


async def test_a_key_belongs_to_who_pays(payments: Payments) -> None:
    """The same key for another user is another payment; so is each call without a key."""
    theirs = process()
    theirs.user_id = "bob"
    answers = [
        await payments.pay(key="k"),
        await payments.caller.ProcessPayment(theirs, idempotency_key="k"),
        await payments.pay(),
        await payments.pay(),
    ]
    assert len({one.payment_id for one in answers}) == 4
    assert len(payments.provider.journal) == 4


@METHODS
async def test_a_key_that_is_running(payments: Payments, method: str) -> None:
    """While the first call runs its key is IN_USE, with a time to wait; it is asked once."""
    call, request = await caller_of(payments, method)
    payments.provider.hold()
    first = asyncio.create_task(_answer(call, request))
    await payments.provider.question()
    with pytest.raises(grpc.RpcError) as caught:
        await call(request, idempotency_key="k")
    assert reason_of(caught.value) == "IDEMPOTENCY_KEY_IN_USE"
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert retry_after_s(caught.value) == 1
    payments.provider.release()
    assert status(await first) == SUCCEEDED[method]
    assert len(payments.provider.journal) == 1


@METHODS
@pytest.mark.parametrize(
    "lost",
    [ConnectionError("lost"), Unknown("502"), silence],
    ids=["raises", "does not know", "is silent"],
)
async def test_unknown_is_a_state(
    databases: Databases, clock: ManualClock, method: str, lost: Any
) -> None:
    """Without an answer it is PENDING, and a repeat asks again by the same reference."""
    database = await databases.fresh("payment_svc")
    async with serving_payments(database, clock, provider_timeout_s=0.2) as payments:
        call, request = await caller_of(payments, method)
        payments.provider.answers.append(lost)
        first = await call(request, idempotency_key="k")
        assert status(first) == "PENDING"
        again = await call(request, idempotency_key="k")
    assert (id_of(again), status(again)) == (id_of(first), SUCCEEDED[method])
    assert [one.reference for one in payments.provider.journal] == [id_of(first)] * 2
    assert payments.provider.journal[0] == payments.provider.journal[1]


@METHODS
async def test_a_caller_that_leaves(payments: Payments, method: str) -> None:
    """A call whose caller leaves in the middle is finished all the same, once."""
    call, request = await caller_of(payments, method)
    payments.provider.hold()
    leaving = call(request, idempotency_key="k")
    asked = await payments.provider.question()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    # On the same connection: when this is answered, the server knows that the caller left.
    with refused("PAYMENT_NOT_FOUND"):
        await payments.caller.RefundPayment(give_back("pay_404"))
    payments.provider.release()
    await payments.work_done()
    again = call(request, idempotency_key="k")
    assert await replayed(again)
    assert (id_of(await again), status(await again)) == (asked.reference, SUCCEEDED[method])
    assert len(payments.provider.journal) == 1


@METHODS
async def test_a_process_that_died(databases: Databases, clock: ManualClock, method: str) -> None:
    """What a dead process left open is taken over by a repeat, when its lease is over."""
    database = await databases.fresh("payment_svc")
    provider = ScriptedProvider()
    async with serving_payments(database, clock, provider, grace_s=0) as payments:
        call, request = await caller_of(payments, method)
        provider.hold()
        cut_off = asyncio.create_task(_answer(call, request))
        asked = await provider.question()
    assert isinstance((await asyncio.gather(cut_off, return_exceptions=True))[0], BaseException)
    provider.release()
    async with serving_payments(databases.open(url_of(database)), clock, provider) as payments:
        call = getattr(payments.caller, method)
        clock.move(34.999999)
        with refused("IDEMPOTENCY_KEY_IN_USE"):
            await call(request, idempotency_key="k")
        assert len(provider.journal) == 1
        clock.move(0.000001)
        answer = await call(request, idempotency_key="k")
    assert (id_of(answer), status(answer)) == (asked.reference, SUCCEEDED[method])
    assert provider.journal == [asked] * 2


@METHODS
@pytest.mark.parametrize("first_answer", [ConnectionError("lost"), None], ids=["lost", "late"])
async def test_a_first_call_that_wakes_up(
    payments: Payments, clock: ManualClock, method: str, first_answer: Exception | None
) -> None:
    """Whoever takes over is alone for a lease; what the first call learns late changes nothing."""
    call, request = await caller_of(payments, method)
    payments.provider.hold()
    payments.provider.answers.append(first_answer)
    first = asyncio.create_task(_answer(call, request))
    await payments.provider.question()
    clock.move(60)
    second = asyncio.create_task(_answer(call, request))
    await payments.provider.question()
    with refused("IDEMPOTENCY_KEY_IN_USE"):
        await call(request, idempotency_key="k")
    payments.provider.release()
    assert id_of(await first) == id_of(await second)
    assert status(await second) == SUCCEEDED[method]
    (stored,) = (await payments.caller.ListPayments(pb.ListPaymentsRequest())).payments
    assert stored.refunded_amount.value == ("75.00" if method == "RefundPayment" else "0.00")


async def test_a_bad_key(payments: Payments) -> None:
    """A key that is not 1 to 255 printable characters, or a second one, is refused at once."""
    request = process()
    for in_request, in_metadata in (("k" * 256, ""), (" k", ""), ("k\x7f", ""), ("k", "other")):
        request.idempotency_key = in_request
        with refused("IDEMPOTENCY_KEY_INVALID"):
            await payments.caller.ProcessPayment(request, idempotency_key=in_metadata)
    assert payments.provider.journal == []


async def test_a_key_in_the_request(payments: Payments) -> None:
    """A key in the request is the same as one in the metadata."""
    request = process()
    request.idempotency_key = "k"
    first = await payments.caller.ProcessPayment(request)
    again = await payments.pay(key="k", card_number=NUMBER)
    assert again == first


async def _answer(call: Call, request: Message) -> Any:
    return await call(request, idempotency_key="k")


@pytest.mark.parametrize("error", [Overloaded("busy"), DependencyUnavailable("gone")], ids=repr)
async def test_a_known_answer_is_never_dropped(
    payments: Payments, monkeypatch: pytest.MonkeyPatch, error: DomainError
) -> None:
    """What the provider has answered is written until it is stored, and it is asked only once."""
    write, failures = payments.database.write, [error] * 3

    async def write_later(*arguments: Any) -> Any:
        if payments.provider.journal and failures:
            raise failures.pop()
        return await write(*arguments)

    monkeypatch.setattr(payments.database, "write", write_later)
    taken = await payments.pay()
    assert (status(taken), failures) == ("SUCCESS", [])
    assert len(payments.provider.journal) == 1


async def test_a_cancellation_with_a_key(payments: Payments) -> None:
    """A repeated cancellation says that it is one and tells how things are now."""
    await payments.pay()
    request = pb.CancelPaymentRequest(booking_reference="BK-1", reason="UNDONE")
    first = payments.caller.CancelPayment(request, idempotency_key="c")
    assert not await replayed(first)
    again = payments.caller.CancelPayment(request, idempotency_key="c")
    assert await replayed(again)
    assert await again == await first


async def test_a_cancellation_with_the_key_of_another(payments: Payments) -> None:
    """A cancellation with a key that was used with another reason is refused, and does nothing."""
    for booking in ("BK-1", "BK-2"):
        request = pb.CancelPaymentRequest(booking_reference=booking, reason="UNDONE")
        await payments.caller.CancelPayment(request, idempotency_key="c")
    other = pb.CancelPaymentRequest(booking_reference="BK-1", reason="CHANGED")
    with refused("IDEMPOTENCY_KEY_REUSED"):
        await payments.caller.CancelPayment(other, idempotency_key="c")
    for key in ("x" * 256, " c"):
        with refused("IDEMPOTENCY_KEY_INVALID"):
            await payments.caller.CancelPayment(other, idempotency_key=key)


@pytest.mark.parametrize("token", [NUMBER, f"{NUMBER[:4]}-{NUMBER[4:8]}_{NUMBER[8:]}"])
async def test_a_card_number_is_no_token(payments: Payments, token: str) -> None:
    """A card number in the place of a token is refused: a key would keep a digest of it."""
    none = {"card_number": "", "expiry_month": 0, "expiry_year": 0, "cvv": ""}
    with refused_fields("payment_method.token"):
        await payments.pay(key="k", token=token, **none)
    assert status(await payments.pay(key="k", token="pm_4111", **none)) == "SUCCESS"
