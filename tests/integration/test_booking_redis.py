"""Redis as the fast path for keys: whatever becomes of it, the answers are the same."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from holdfast.booking.v1 import booking_pb2 as pb
from sqlalchemy import update
from support import redis
from support.bookings import GOOD_CARD, POOR_CARD, Buyer, Stack, confirm_request, stack_on
from support.databases import Databases
from support.redis import PrivateRedis, RedisServer

from booking_svc.domain.errors import PaymentFailed
from booking_svc.persistence import answers
from booking_svc.persistence.answers import RedisAnswers
from booking_svc.persistence.tables import idempotency_keys
from booking_svc.ports import KeptAnswer, OurClaim

private_redis, redis_server = redis.private_redis, redis.redis_server

CALLERS = 50
PATIENT_S = 20.0
IN_USE, REUSED = "IDEMPOTENCY_KEY_IN_USE", "IDEMPOTENCY_KEY_REUSED"
CARDS = pytest.mark.parametrize("card", [GOOD_CARD, POOR_CARD], ids=["confirmed", "declined"])
KEPT = KeptAnswer("f", b"\x00answer")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that a slow machine keeps, for tests in which Redis must be heard."""
    monkeypatch.setattr(answers, "BUDGET_S", PATIENT_S)


@pytest.fixture
async def stack(
    databases: Databases,
    redis_server: RedisServer,
    patience: None,  # noqa: ARG001
) -> AsyncIterator[Stack]:
    async with stack_on(databases, replicas=2, booking={"redis_url": redis_server.url}) as stack:
        yield stack


@pytest.fixture
async def hurried(databases: Databases, private_redis: PrivateRedis) -> AsyncIterator[Stack]:
    """With the budget as it is in earnest, for a Redis that does not answer."""
    async with stack_on(databases, booking={"redis_url": private_redis.url}) as stack:
        yield stack


async def rename_keys(stack: Stack, old: str, new: str) -> None:
    """Hide keys from the database, or bring them back: then only Redis knows them."""
    renamed = update(idempotency_keys).where(idempotency_keys.c.idempotency_key == old)
    await stack.databases["booking_svc"].write(
        lambda connection: connection.execute(renamed.values(idempotency_key=new))
    )


@CARDS
async def test_both_memories_say_the_same(
    stack: Stack, redis_server: RedisServer, card: str
) -> None:
    """Replays from Redis, from the database, and from Redis once more are the same to the byte."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", "A2")
    request = confirm_request(held, card)
    first = await ann.asks(request)
    await rename_keys(stack, "k", "hidden")
    from_redis = await ann.asks(request)
    await rename_keys(stack, "hidden", "k")
    redis_server.flush()
    from_database = await stack.buyer("ann", 1).asks(request)
    await rename_keys(stack, "k", "hidden")
    again = await ann.asks(request)
    await rename_keys(stack, "hidden", "k")
    replays = (from_redis, from_database, again)
    assert [one.same for one in replays] == [first.same] * 3
    assert [one.replayed for one in (first, *replays)] == [False, True, True, True]
    assert stack.provider.charges_asked == 1


async def test_a_booking_that_was_called_off_is_remembered(
    stack: Stack, redis_server: RedisServer
) -> None:
    """What was cancelled before it was confirmed is answered alike by Redis and the database."""
    ann = stack.buyer("ann")
    request = confirm_request(await ann.hold("A1"))
    stack.provider.hold()
    pending = await ann.asks(request, timeout_s=2)
    await ann.cancel(pending.booking.booking_id, timeout_s=2)
    stack.provider.release()
    await ann.sees(pending.booking.booking_id, "CANCELLED")
    redis_server.flush()
    from_database = await ann.asks(request)
    await rename_keys(stack, "k", "hidden")
    from_redis = await ann.asks(request)
    await rename_keys(stack, "hidden", "k")
    assert from_database.booking.status == from_database.booking.CANCELLED
    assert from_database.same == from_redis.same
    assert from_database.replayed
    assert from_redis.replayed


@CARDS
@pytest.mark.parametrize("flushed", [False, True], ids=["kept", "flushed"])
async def test_what_redis_forgets_stays_true(
    stack: Stack,
    redis_server: RedisServer,
    card: str,
    flushed: bool,  # noqa: FBT001
) -> None:
    """Repeats and other requests end alike, with Redis flushed between any two of them or not."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", "A2")
    (other,) = await ann.hold("A3")
    request = confirm_request(held, card, 2026)
    first = await ann.asks(request)
    # The card expires, and the holds are long over.
    stack.clock.move(60 * 86400)
    for asked, expected in (
        (request, first.reason),
        (confirm_request(held[:1], card), REUSED),
        (confirm_request([other], card), REUSED),
        (confirm_request([other], "4111111111111112"), REUSED),
        (request, first.reason),
    ):
        if flushed:
            redis_server.flush()
        answered = await ann.asks(asked)
        assert answered.reason == expected
        assert answered.same == first.same or expected == REUSED
    assert stack.provider.charges_asked == 1


async def test_a_free_seat_and_an_old_key(stack: Stack, redis_server: RedisServer) -> None:
    """With Redis flushed, a request that would succeed is refused if its key was another's."""
    ann = stack.buyer("ann")
    await ann.confirm(await ann.hold("A1"))
    redis_server.flush()
    held = await ann.hold("A2")
    assert (await ann.asks(confirm_request(held))).reason == REUSED
    assert await stack.people.statuses(*held) == ["ACTIVE"]
    assert (await ann.confirm(held, key="another")).status


async def test_a_pending_answer_is_not_kept(stack: Stack, redis_server: RedisServer) -> None:
    """While a booking is PENDING Redis holds no answer, and its repeat is ABORTED all the same."""
    ann = stack.buyer("ann")
    request = confirm_request(await ann.hold("A1"))
    stack.provider.hold()
    pending = await ann.asks(request, timeout_s=2)
    assert pending.booking.status == pending.booking.PENDING
    assert [value[:6] for value in redis_server.values()] == [b"claim:"]
    for replica in (0, 1):
        assert (await stack.buyer("ann", replica).asks(request)).reason == IN_USE
        redis_server.flush()
    stack.provider.release()
    confirmed = await ann.sees(pending.booking.booking_id, "CONFIRMED")
    again = await ann.asks(request)
    assert (again.booking, again.replayed) == (confirmed, True)


async def test_what_is_refused_leaves_no_claim(stack: Stack, redis_server: RedisServer) -> None:
    """A call that is refused before anything is stored leaves Redis empty and its key free."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    for request in (confirm_request(held, expiry_year=2020), confirm_request([7])):
        assert (await ann.asks(request)).reason in ("INVALID_FIELD", "RESERVATION_NOT_FOUND")
        assert redis_server.names() == []
    assert (await ann.confirm(held)).status


@CARDS
async def test_fifty_at_once(stack: Stack, card: str) -> None:
    """Fifty calls with one key at two replicas: one booking, one charge, one answer."""
    anns = [stack.buyer("ann", replica) for replica in (0, 1)]
    request = confirm_request(await anns[0].hold("A1", "A2"), card)
    given = await asyncio.gather(*(anns[call % 2].asks(request) for call in range(CALLERS)))
    final = await anns[0].asks(request)
    told = [one for one in given if one.reason != IN_USE]
    assert {one.same for one in told} == {final.same}
    assert Counter(one.replayed for one in told)[False] == 1
    assert len((await anns[0].mine()).bookings) == 1
    assert stack.provider.charges_asked == len(await stack.payments()) == 1


async def test_a_claim_of_the_dead(stack: Stack, redis_server: RedisServer) -> None:
    """A claim that a dead process left keeps nobody from booking, and gives way to the answer."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    theirs = RedisAnswers(redis_server.url, PATIENT_S)
    assert isinstance(await theirs.look_up_or_claim("ann", "k"), OurClaim)
    await theirs.close()
    assert 0 < redis_server.left_s() <= answers.CLAIM_S
    first = await ann.asks(confirm_request(held))
    assert first.booking.status == first.booking.CONFIRMED
    await rename_keys(stack, "k", "hidden")
    assert (await ann.asks(confirm_request(held))).same == first.same
    await rename_keys(stack, "hidden", "k")


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"\xff\x00 garbage",
        b"claim:",
        b"kept:1:" + bytes(32) + b'{"fingerprint":"","booking":""}',
        [b"a list"],
    ],
    ids=["nothing", "garbage", "half a claim", "a wrong checksum", "another type"],
)
@CARDS
async def test_poison_changes_nothing(
    stack: Stack, redis_server: RedisServer, card: str, poison: bytes | list[bytes]
) -> None:
    """Whatever stands under a key in Redis, new calls and repeats are answered as without it."""
    ann = stack.buyer("ann")
    request = confirm_request(await ann.hold("A1"), card)
    theirs = RedisAnswers(redis_server.url, PATIENT_S)
    await theirs.look_up_or_claim("ann", "k")
    await theirs.close()
    redis_server.put(poison)
    first = await ann.asks(request)
    assert first.reason == ("" if card == GOOD_CARD else "PAYMENT_FAILED")
    redis_server.put(poison)
    again = await ann.asks(request)
    assert again.same == first.same
    assert again.replayed
    assert stack.provider.charges_asked == 1


async def test_an_answer_is_good_for_its_own_key_only(
    stack: Stack, redis_server: RedisServer
) -> None:
    """An answer that was put under another key is not taken for that key's."""
    ann = stack.buyer("ann")
    first, second = await ann.hold("A1", "A2")
    await ann.asks(confirm_request([first]))
    (elsewhere,) = redis_server.values()
    redis_server.flush()
    own = await ann.asks(confirm_request([second]), "other")
    redis_server.put(elsewhere)
    again = await ann.asks(confirm_request([second]), "other")
    assert again.same == own.same


@CARDS
async def test_redis_dies_and_comes_back_empty(
    databases: Databases, private_redis: PrivateRedis, card: str
) -> None:
    """With Redis killed, and started again empty, repeats are answered and bookings are made."""
    async with stack_on(databases, booking={"redis_url": private_redis.url}) as stack:
        ann = stack.buyer("ann")
        request = confirm_request(await ann.hold("A1"), card)
        first = await ann.asks(request, "1")
        for number, event in ((2, private_redis.kill), (3, private_redis.start)):
            event()
            again = await ann.asks(request, "1")
            assert again.same == first.same
            assert again.replayed
            held = await ann.hold(f"A{number}")
            assert (await ann.confirm(held, key=f"{number}")).status
        await until_kept(private_redis, ann, request, "1")


async def test_redis_stands_still(hurried: Stack, private_redis: PrivateRedis) -> None:
    """While Redis is frozen every call is answered, soon and right; afterwards none is mixed up."""
    ann = hurried.buyer("ann")
    held = await ann.hold("A1", "A2", "A3")
    requests = {f"k{number}": confirm_request([one]) for number, one in enumerate(held)}
    first = {key: await ann.asks(request, key) for key, request in requests.items()}
    private_redis.freeze()
    began = time.monotonic()
    try:
        for key in [*requests] * 5:
            assert (await ann.asks(requests[key], key)).same == first[key].same
            if time.monotonic() - began > 2:
                break
    finally:
        private_redis.thaw()
    for _ in range(5):
        answered = await asyncio.gather(*(ann.asks(requests[key], key) for key in requests))
        assert [one.same for one in answered] == [one.same for one in first.values()]
    private_redis.flush()
    await until_kept(private_redis, ann, requests["k0"], "k0")


async def test_a_frozen_redis_costs_little(private_redis: PrivateRedis) -> None:
    """Of forty looks at a Redis that stands still, only the first few wait for it."""
    budget_s = 0.2
    frozen = RedisAnswers(private_redis.url, budget_s)
    private_redis.freeze()
    began = time.monotonic()
    try:
        for number in range(40):
            assert await frozen.look_up_or_claim("ann", f"k{number}") is None
    finally:
        private_redis.thaw()
        await frozen.close()
    assert time.monotonic() - began < 40 * budget_s / 2


async def test_a_wrong_password(databases: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    """With a password that Redis refuses all is as without it, and no log line shows it."""
    server = PrivateRedis("right-password")
    try:
        server.start()
        url = server.url_with("wrong-password")
        async with stack_on(databases, booking={"redis_url": url}) as stack:
            ann = stack.buyer("ann")
            held = await ann.hold("A1")
            first, again = [await ann.asks(confirm_request(held)) for _ in range(2)]
            assert again.same == first.same
            assert again.replayed
    finally:
        server.remove()
    shown = capsys.readouterr()
    assert "redis_gave_no_answer" in shown.out
    assert "password" not in shown.out + shown.err


async def test_how_long_an_answer_is_kept(
    databases: Databases,
    redis_server: RedisServer,
    patience: None,  # noqa: ARG001
) -> None:
    """Redis keeps an answer for its time to live, and never longer than the database its key."""
    told = {
        "redis_url": redis_server.url,
        "idempotency_ttl_s": 10_000,
        "idempotency_retention_s": 15_000,
    }
    async with stack_on(databases, booking=told) as stack:
        ann = stack.buyer("ann")
        request = confirm_request(await ann.hold("A1"))
        await ann.asks(request)
        assert 5_000 < redis_server.left_s() <= 10_000
        redis_server.flush()
        stack.clock.move(10_000)
        await ann.asks(request)
        assert 0 < redis_server.left_s() <= 5_000
        redis_server.flush()
        stack.clock.move(5_000)
        assert (await ann.asks(request)).replayed
        assert [value[:5] for value in redis_server.values()] != [b"kept:"]


async def test_one_claim_of_many(redis_server: RedisServer) -> None:
    """Of fifty that look up a new key at once, in two processes' place, exactly one claims it."""
    clients = [RedisAnswers(redis_server.url, PATIENT_S) for _ in range(2)]
    looks = (clients[call % 2].look_up_or_claim("ann", "k") for call in range(CALLERS))
    claims = [one for one in await asyncio.gather(*looks) if one is not None]
    assert [type(one) for one in claims] == [OurClaim]
    await clients[0].release("ann", "k", OurClaim("somebody else's"))
    assert await clients[1].look_up_or_claim("ann", "k") is None
    await clients[1].release("ann", "k", claims[0])
    assert isinstance(await clients[0].look_up_or_claim("ann", "k"), OurClaim)
    for client in clients:
        await client.close()


async def test_users_and_keys_are_never_mixed_up(redis_server: RedisServer) -> None:
    """However user and key are cut, what is kept for one pair is not seen by another."""
    client = RedisAnswers(redis_server.url, PATIENT_S)
    await client.keep("ann", "1:k", KEPT, 60)
    for owner, key in (("ann1", ":k"), ("an", "n1:k"), ("ann:1", "k"), ("3:ann", "1:k")):
        assert isinstance(await client.look_up_or_claim(owner, key), OurClaim)
    assert await client.look_up_or_claim("ann", "1:k") == KEPT
    assert not any(b"ann" in name for name in redis_server.names())
    await client.close()


async def test_a_refusal_comes_back_whole(redis_server: RedisServer) -> None:
    """A refusal is read as it was written: its kind, text, and facts in their order."""
    client = RedisAnswers(redis_server.url, PATIENT_S)
    refusal = PaymentFailed("Payment declined: ✗", {"paymentId": "pay_1", "errorCode": "X"})
    await client.keep("ann", "k", KeptAnswer("f", refusal), 60)
    found = await client.look_up_or_claim("ann", "k")
    assert isinstance(found, KeptAnswer)
    assert isinstance(found.message, PaymentFailed)
    assert found.message.message == refusal.message
    assert [*found.message.metadata.items()] == [*refusal.metadata.items()]
    await client.close()


async def until_kept(
    server: RedisServer, ann: Buyer, request: pb.ConfirmBookingRequest, key: str
) -> None:
    """Repeat a call until Redis keeps its answer: it was left alone for a moment."""
    async with asyncio.timeout(PATIENT_S):
        while not any(value.startswith(b"kept:") for value in server.values()):
            assert (await ann.asks(request, key)).replayed
            await asyncio.sleep(0.05)
