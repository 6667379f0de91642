"""Idempotency, row by row of its table: one key, one booking, one charge, one answer.

All of it by the database alone, and with Redis as the fast path.
"""

from collections.abc import AsyncIterator

import pytest
from support import bookings, redis
from support.bookings import GOOD_CARD, POOR_CARD, Stack, confirm_request, stack_on
from support.databases import Databases

from booking_svc.persistence import answers

private_redis, redis_server = redis.private_redis, redis.redis_server
LONGEST = "k" * 255


@pytest.fixture(params=["database", "redis"])
async def stack(
    request: pytest.FixtureRequest, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stack]:
    told = {}
    if request.param == "redis":
        told["redis_url"] = request.getfixturevalue("redis_server").url
        # A slow machine must hear it too.
        monkeypatch.setattr(answers, "BUDGET_S", 20.0)
    async with stack_on(databases, booking=told) as stack:
        yield stack


@pytest.mark.parametrize("card", [GOOD_CARD, POOR_CARD], ids=["confirmed", "declined"])
async def test_a_repeat_is_answered_byte_for_byte(stack: Stack, card: str) -> None:
    """A success or a decline is answered again the same to the byte, marked, and charged once."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", "A2")
    first = await ann.asks(confirm_request(held, card))
    stack.clock.move(86400)
    again = await ann.asks(confirm_request(held, card))
    assert (first.message or first.status) != b""
    assert again.same == first.same
    assert (first.replayed, again.replayed) == (False, True)
    assert stack.provider.charges_asked == 1


async def test_an_answer_stays_true_after_the_booking_changed(stack: Stack) -> None:
    """What was answered CONFIRMED is answered CONFIRMED again after the booking was cancelled."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    first = await ann.asks(confirm_request(held))
    await ann.cancel(first.booking.booking_id)
    again = await ann.asks(confirm_request(held))
    assert again.same == first.same
    assert again.replayed


@pytest.mark.parametrize("card", [GOOD_CARD, POOR_CARD], ids=["confirmed", "declined"])
async def test_an_answer_outlives_the_card(stack: Stack, card: str) -> None:
    """A repeat is answered the same after the card has expired."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    first = await ann.asks(confirm_request(held, card, 2026))
    stack.clock.move(60 * 86400)
    again = await ann.asks(confirm_request(held, card, 2026))
    assert again.same == first.same


async def test_a_key_whose_first_call_runs(stack: Stack) -> None:
    """While the first call runs, the same request is ABORTED with the time to wait."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    stack.provider.hold()
    first = await ann.asks(confirm_request(held), timeout_s=3)
    again = await ann.asks(confirm_request(held))
    assert (again.code.name, again.reason) == ("ABORTED", "IDEMPOTENCY_KEY_IN_USE")
    assert b"google.rpc.RetryInfo" in again.status
    stack.provider.release()
    confirmed = await ann.sees(first.booking.booking_id, "CONFIRMED")
    assert (await ann.asks(confirm_request(held))).booking == confirmed


@pytest.mark.parametrize("while_running", [False, True], ids=["finished", "running"])
async def test_a_key_of_another_request(stack: Stack, while_running: bool) -> None:  # noqa: FBT001
    """Other seats, another card or another expiry with a used key are refused, at any time."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1", "A2")
    if while_running:
        stack.provider.hold()
    await ann.asks(confirm_request(held), timeout_s=3 if while_running else bookings.WAIT_S)
    for other in (
        confirm_request(held[:1]),
        confirm_request(held[::-1]),
        confirm_request(held, POOR_CARD),
        confirm_request(held, expiry_year=2031),
    ):
        answered = await ann.asks(other)
        assert (answered.code.name, answered.reason) == (
            "INVALID_ARGUMENT",
            "IDEMPOTENCY_KEY_REUSED",
        )
    stack.provider.release()


async def test_a_key_belongs_to_its_user(stack: Stack) -> None:
    """The same key of another user is another key."""
    ann, bob = stack.buyer("ann"), stack.buyer("bob")
    first = await ann.confirm(await ann.hold("A1"))
    second = await bob.confirm(await bob.hold("A2"))
    assert first.booking_id != second.booking_id


@pytest.mark.parametrize(
    ("in_metadata", "in_body"), [("k", ""), ("", "k"), ("k", "k"), (LONGEST, ""), ("", "a b~")]
)
async def test_where_a_key_may_be(stack: Stack, in_metadata: str, in_body: str) -> None:
    """A key is taken from the metadata or from the body; it is the same key in both."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    first = await ann.asks(confirm_request(held, key=in_body), in_metadata)
    elsewhere = await ann.asks(confirm_request(held, key=in_metadata), in_body)
    assert first.booking == elsewhere.booking
    assert elsewhere.replayed


@bookings.on_sqlite
@pytest.mark.parametrize(
    ("in_metadata", "in_body", "reason"),
    [
        ("", "", "IDEMPOTENCY_KEY_REQUIRED"),
        ("k", "another", "IDEMPOTENCY_KEY_INVALID"),
        (LONGEST + "k", "", "IDEMPOTENCY_KEY_INVALID"),
        ("", LONGEST + "k", "IDEMPOTENCY_KEY_INVALID"),
        ("", "tab\tin", "IDEMPOTENCY_KEY_INVALID"),
        ("", "schlüssel", "IDEMPOTENCY_KEY_INVALID"),
        ("", " k", "IDEMPOTENCY_KEY_INVALID"),
    ],
)
async def test_what_is_no_key(stack: Stack, in_metadata: str, in_body: str, reason: str) -> None:
    """No key, two keys, one too long or not printable: INVALID_ARGUMENT, and nothing is booked."""
    ann = stack.buyer("ann")
    held = await ann.hold("A1")
    answered = await ann.asks(confirm_request(held, key=in_body), in_metadata)
    assert (answered.code.name, answered.reason) == ("INVALID_ARGUMENT", reason)
    assert await stack.people.statuses(*held) == ["ACTIVE"]
    assert not (await ann.mine()).bookings
