"""The auditor's checks on rows in memory: journals, cards, and that the order does not matter."""

from collections.abc import Mapping
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audited import (
    CALLED_OFF,
    CONFIRMED,
    DECLINED,
    GONE,
    REFERENCES,
    World,
    evidence,
    world,
)

from auditor.cards import card_numbers
from auditor.examine import Report, report_on
from auditor.findings import Code


def examined(rows: World, *more: Mapping[str, Any], settled: bool = True) -> Report:
    """What is found in these rows, with more answers that clients wrote down."""
    return report_on(evidence(rows, *more, settled=settled))


def codes(*more: Mapping[str, Any]) -> set[Code]:
    return {one.code for one in examined(world(), *more).findings}


def told(status: str, booking_id: int = CONFIRMED, **entry: Any) -> dict[str, Any]:
    return {"userId": "ann", "bookingId": booking_id, "status": status, **entry}


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (told("CONFIRMED"), set()),
        (told("PENDING"), set()),
        (told("FAILED", DECLINED), set()),
        (told("CONFIRMED", GONE), set()),
        (told("CANCELLED", CALLED_OFF), set()),
        (told("CANCELLED"), {Code.ANSWER_BROKEN}),
        (told("FAILED"), {Code.ANSWER_BROKEN}),
        (told("CONFIRMED", DECLINED), {Code.ANSWER_BROKEN}),
        (told("CONFIRMED", CALLED_OFF), {Code.ANSWER_BROKEN}),
        (told("FAILED", GONE), {Code.ANSWER_BROKEN}),
        (told("PENDING", 7), {Code.ANSWER_LOST}),
        ({**told("CONFIRMED"), "bookingId": None, "bookingReference": "BK"}, {Code.ANSWER_LOST}),
        (told("CONFIRMED", key="k-g"), {Code.ANSWERED_TWICE, Code.ANSWERED_FOR_ANOTHER}),
        (told("CANCELLED", GONE, key="k-g"), {Code.ANSWERED_TWICE}),
        (told("PENDING", key="k-k"), set()),
        (told("CANCELLED", GONE, key="k-g", cancelled=True), set()),
        (told("CONFIRMED", key="k-purged"), set()),
        (told("CONFIRMED", key="k-g", userId="bob"), set()),
    ],
)
def test_an_answer_stays_true(entry: dict[str, Any], found: set[Code]) -> None:
    """What a client was told is compared with what is there, and with what its key was told."""
    assert codes(entry) == found


def test_a_booking_that_a_client_gave_up_may_be_cancelled() -> None:
    """CONFIRMED may become CANCELLED when a journal says that this was asked for, and only then."""
    was_confirmed = told("CONFIRMED", CALLED_OFF)
    assert codes(was_confirmed) == {Code.ANSWER_BROKEN}
    asked = {"bookingReference": REFERENCES[CALLED_OFF], "cancelled": True}
    assert codes(was_confirmed, asked) == set()


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "card 4242-4242-4242-4242, please",
        "x4222222222222x",
        "378282246310005",
        "3782 822463 10005",
        "5555555555554444",
        "2223003122003222",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "6304000000000000",
    ],
)
def test_a_card_number_is_seen(text: str) -> None:
    """The number of a card of every large network is seen, as typed and as printed."""
    assert len(card_numbers(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        # A wrong check digit; a moment; no network's beginning; too long; parts of other words.
        "4242424242424241",
        "idem_user123_20261116103000",
        "2026-11-16 10:30:00.000000",
        "1000000000000008",
        "42424242424242424242424",
        "4242-4242 4242-4242",
        "pay_01K9ZJ7Q2R4242424242",
        "f" * 64,
    ],
)
def test_what_is_no_card_number_is_not_seen(text: str) -> None:
    """Moments, ids and other digits are not taken for cards."""
    assert card_numbers(text) == []


def test_a_digest_is_no_card() -> None:
    """Digits in a digest or in a UUID are not taken for a card, whatever they add up to."""
    seeds = [str(seed).encode() for seed in range(20_000)]
    assert [one for one in seeds if card_numbers(sha256(one).hexdigest())] == []
    assert [one for one in seeds if card_numbers(str(UUID(bytes=sha256(one).digest()[:16])))] == []


def test_an_id_of_ours_is_no_card() -> None:
    """A number that passes for a card's is none where a booking has it for its id."""
    assert card_numbers(str(GONE)) == [str(GONE)]
    rows = world()
    rows["booking"]["bookings"][0]["failure_message"] = f"{GONE} was cancelled"
    assert examined(rows).findings == []
    rows["booking"]["bookings"][0]["failure_message"] = "374100000000014 was cancelled"
    assert examined(rows).findings != []


def test_a_card_is_not_shown() -> None:
    """A finding about a card shows its last four digits and no more."""
    rows = world()
    rows["payment"]["refunds"][0]["reason"] = "4242424242424242"
    (finding,) = examined(rows).findings
    assert "4242" in str(finding)
    assert "42424242" not in str(finding)


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random: Random) -> None:
    """The same rows in any order make the same report, to the letter."""
    rows = spoiled_world()
    expected = examined(rows)
    assert len({one.code for one in expected.findings}) > 10
    for tables in rows.values():
        for some in tables.values():
            random.shuffle(some)
    assert examined(rows) == expected


def spoiled_world() -> World:
    """Much is wrong with it: all bookings are confirmed, and all charges are one."""
    rows = world()
    for booking in rows["booking"]["bookings"]:
        booking["status"] = "CONFIRMED"
    for seat in rows["booking"]["booking_seats"]:
        seat["reservation_id"] = min(seat["reservation_id"], 1031)
    for step in rows["booking"]["saga_steps"]:
        step["outcome"] = "DONE"
        step["attempt"] = 3 - step["attempt"]
    for event in rows["booking"]["outbox"]:
        event["sequence"] = event["sequence"] or 2
    for payment in rows["payment"]["payments"]:
        payment["booking_reference"] = REFERENCES[CONFIRMED]
    return rows
