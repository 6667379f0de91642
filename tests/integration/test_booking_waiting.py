"""Before a booking is made: waiting for the twin of a call, and refusing what would only wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from support import bookings
from support.bookings import GOOD_CARD, POOR_CARD, Buyer, Stack, confirm_request, stack_on, until
from support.databases import Databases

from chassis.channels import Outgoing

IN_USE = "IDEMPOTENCY_KEY_IN_USE"


@pytest.fixture
async def stack(databases: Databases) -> AsyncIterator[Stack]:
    async with stack_on(databases, replicas=2, booking={"sagas_max": 2}) as stack:
        yield stack


class Waits(grpc.aio.UnaryUnaryClientInterceptor):
    """Sends `idempotency-wait` with every call."""

    def __init__(self, word: str) -> None:
        self._word = word

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        details.metadata.add("idempotency-wait", self._word)
        return await continuation(details, request)


@asynccontextmanager
async def waiting(stack: Stack, word: str = "true", replica: int = 0) -> AsyncIterator[Buyer]:
    """Ann, who waits for the twin of her call."""
    address = stack.bookings[replica].address
    async with grpc.aio.insecure_channel(address, interceptors=[Waits(word)]) as channel:
        yield Buyer("ann", stack, channel)


@pytest.mark.parametrize("replica", [0, 1], ids=["the same process", "another"])
@pytest.mark.parametrize("card", [GOOD_CARD, POOR_CARD], ids=["confirmed", "declined"])
async def test_waiting_for_a_twin(stack: Stack, card: str, replica: int) -> None:
    """A caller who asks for it waits while the first call runs, and gets its answer, marked."""
    ann = stack.buyer("ann")
    request = confirm_request(await ann.hold("A1"), card)
    stack.provider.hold()
    first = asyncio.create_task(ann.asks(request))
    await stack.provider.asked()
    async with waiting(stack, replica=replica) as patient:
        twin = asyncio.create_task(patient.asks(request))
        await asyncio.wait({twin}, timeout=0.5)
        assert not twin.done()
        stack.provider.release()
        given, waited = await first, await twin
    assert waited.same == given.same
    assert (given.replayed, waited.replayed) == (False, True)
    assert stack.provider.charges_asked == 1


@pytest.mark.parametrize("replica", [0, 1], ids=["the same process", "another"])
async def test_waiting_in_vain(stack: Stack, replica: int) -> None:
    """A caller whose time ends before the first call does is ABORTED, and may come again."""
    ann = stack.buyer("ann")
    request = confirm_request(await ann.hold("A1"))
    stack.provider.hold()
    first = asyncio.create_task(ann.asks(request))
    await stack.provider.asked()
    async with waiting(stack, replica=replica) as patient:
        assert (await patient.asks(request, timeout_s=3)).reason == IN_USE
        stack.provider.release()
        await first
        assert (await patient.asks(request)).replayed


async def test_waiting_is_for_twins_only(stack: Stack) -> None:
    """Who is the first, or sends another request, does not wait for anybody."""
    async with waiting(stack) as patient:
        held = await patient.hold("A1", "A2")
        assert not (await patient.asks(confirm_request(held[:1]))).replayed
        assert (await patient.asks(confirm_request(held))).reason == "IDEMPOTENCY_KEY_REUSED"


@bookings.on_sqlite
@pytest.mark.parametrize(
    ("word", "reason"), [("false", IN_USE), ("TRUE", "INVALID_FIELD"), ("1", "INVALID_FIELD")]
)
async def test_how_to_ask_for_waiting(stack: Stack, word: str, reason: str) -> None:
    """`false` does not wait; anything but `true` and `false` is refused."""
    ann = stack.buyer("ann")
    request = confirm_request(await ann.hold("A1"))
    stack.provider.hold()
    first = asyncio.create_task(ann.asks(request))
    await stack.provider.asked()
    async with waiting(stack, word) as other:
        assert (await other.asks(request)).reason == reason
    stack.provider.release()
    await first


async def test_no_room_for_more(stack: Stack) -> None:
    """With as many sagas as it may run, a replica refuses a new key, which stays free, at once."""
    ann = stack.buyer("ann")
    held = [await ann.hold(seat) for seat in ("A1", "A2", "A3")]
    answered = await ann.asks(confirm_request(held[0]), "k0")
    stack.provider.hold()
    busy = [asyncio.create_task(ann.asks(confirm_request(one), f"k{one}")) for one in held[1:]]

    async def all_run() -> bool:
        return stack.provider.charges_asked == 3

    await until(all_run)
    # What is answered is answered again, whatever else goes on.
    assert (await ann.asks(confirm_request(held[0]), "k0")).same == answered.same
    late = await ann.hold("A1", event_id=await stack.people.event())
    refused = await ann.asks(confirm_request(late), "late")
    assert (refused.code.name, refused.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    assert b"google.rpc.RetryInfo" in refused.status
    assert await stack.people.statuses(*late) == ["ACTIVE"]
    stack.provider.release()
    await asyncio.gather(*busy)
    assert not (await ann.asks(confirm_request(late), "late")).replayed
    assert len((await ann.mine()).bookings) == 4


async def test_no_payment_can_be_taken(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """While payments are left alone a new key is refused and stays free; an old one is answered."""
    ann = stack.buyer("ann")
    old, new = [confirm_request([one]) for one in await ann.hold("A1", "A2")]
    first = await ann.asks(old, "old")
    with monkeypatch.context() as broken:
        broken.setattr(Outgoing, "is_open", property(lambda _: True))
        refused = await ann.asks(new, "new")
        assert (refused.code.name, refused.reason) == ("UNAVAILABLE", "DEPENDENCY_UNAVAILABLE")
        assert b"google.rpc.RetryInfo" in refused.status
        assert (await ann.asks(old, "old")).same == first.same
    assert not (await ann.asks(new, "new")).replayed
    assert len((await ann.mine()).bookings) == 2


async def test_waiting_ends_at_a_stop(stack: Stack) -> None:
    """Who waits for a call elsewhere is ABORTED when the process is to stop, long before its end.

    The next replica that is asked tells the answer.
    """
    ann = stack.buyer("ann")
    request = confirm_request(await ann.hold("A1"))
    stack.provider.hold()
    first = asyncio.create_task(ann.asks(request))
    await stack.provider.asked()
    async with waiting(stack, replica=1) as patient:
        twin = asyncio.create_task(patient.asks(request))
        await asyncio.wait({twin}, timeout=0.5)
        assert not twin.done()
        async with asyncio.timeout(bookings.GRACE_S / 2):
            await stack.bookings[1].stop()
        assert (await twin).reason == IN_USE
    stack.provider.release()
    given = await first
    assert (await ann.asks(request)).same == given.same
