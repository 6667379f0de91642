"""`holdfast cards` and the scenarios of the demo: what a card foretells, and what is made of it."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import Parse
from google.type.decimal_pb2 import Decimal
from holdfast.booking.v1 import booking_pb2 as booking_pb
from holdfast.payment.v1 import payment_pb2 as pb

from chassis.status import ErrorInfo
from cli import calls, cards, desk, main, scenario, walk
from cli.calls import Answer, Refused
from cli.failure import Failure
from cli.scenario import Scenario

REFERENCE = "BK-2026-BCDFGHJKLM"
TOTAL = Decimal(value="150.00")
PLAIN = pb.TestCard(
    name="plain", card_number="4242424242424242", description="succeeds", outcome="CONFIRMED"
)
POOR = pb.TestCard(
    name="poor", token="pm_poor", description="declines, `INSUFFICIENT_FUNDS`", outcome="FAILED"
)
SLOW = pb.TestCard(name="slow", description="", outcome="PENDING for 3 s, then CONFIRMED")
FAILS = pb.TestCard(name="refund-fails", outcome="CONFIRMED; cancelled, it is CANCELLED")
LATE = pb.TestCard(name="late-webhook", outcome="CONFIRMED; the webhook changes nothing")
BUSY = Refused(ErrorInfo(grpc.StatusCode.ABORTED, "IDEMPOTENCY_KEY_IN_USE", {}, "busy"), 0.0)
DECLINED = Refused(
    ErrorInfo(
        grpc.StatusCode.FAILED_PRECONDITION,
        "PAYMENT_FAILED",
        {"bookingReference": REFERENCE},
        "declined",
    ),
    0.0,
)


def booking(status: str) -> booking_pb.Booking:
    return booking_pb.Booking(
        booking_id=5001,
        booking_reference=REFERENCE,
        status=status,
        total_amount=TOTAL,
        currency="USD",
    )


def payment(status: str = "SUCCESS", *refunds: str, **more: Any) -> pb.Payment:
    given_back = "150.00" if "REFUNDED" in (status, *refunds) else "0.00"
    return pb.Payment(
        payment_id="pay_1",
        status=status,
        amount=TOTAL,
        refunded_amount=Decimal(value=given_back),
        refunds=[pb.Refund(status=one) for one in refunds],
        **more,
    )


BACK = payment("REFUNDED", "REFUNDED")


def webhook() -> pb.PaymentLogEntry:
    return pb.PaymentLogEntry(action="WEBHOOK", outcome="SUCCEEDED", status="SUCCESS")


class FakeBuyer:
    """Answers each call by the next of what it was given for it; the last one stays."""

    def __init__(self, *confirmed: Any, cancelled: Any = None, freed: bool = True) -> None:
        self.booking = None
        self.token = ""
        self.freed = freed
        self.confirmed = list(confirmed)
        self.cancelled = cancelled or booking("CANCELLED")
        self.has_cancelled = False
        self.asked: list[tuple[pb.PaymentMethod, str]] = []

    def seats(self) -> dict[str, int]:
        return {"A1": 2, "A2": 1, "A3": 1, "A4": 1}

    def reserve(self, seat_numbers: list[str]) -> list[int]:
        assert seat_numbers == ["A2", "A3"]
        return [7, 8]

    def confirm(
        self, held: list[int], method: pb.PaymentMethod, key: str, _timeout_s: float
    ) -> Answer[booking_pb.Booking]:
        assert held == [7, 8]
        self.asked.append((method, key))
        answer = self.confirmed.pop(0) if self.confirmed[1:] else self.confirmed[0]
        if isinstance(answer, Refused):
            raise answer
        return Answer(answer, replayed=False, took_s=0.0)

    def cancel(self, booking_id: int, _timeout_s: float) -> booking_pb.Booking:
        assert booking_id == 5001
        self.has_cancelled = True
        return self.cancelled

    def require_free(self, seat_numbers: list[str]) -> str:
        if not self.freed:
            message = "not free"
            raise Failure(message)
        return f"{seat_numbers} are free"


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Takes the steps of a scenario; gives why it failed.

    Its payment is as given, the last one for good: `paid`, and `back` once it is cancelled.
    """

    def take(
        card: pb.TestCard,
        buyer: FakeBuyer,
        paid: Sequence[pb.Payment],
        back: Sequence[pb.Payment] = (),
        *,
        watched: tuple[str, ...] = (),
    ) -> str:
        before, after, moments = list(paid), list(back), iter(range(10_000))

        def of_booking(_desk: object, reference: str) -> list[pb.Payment]:
            assert reference == REFERENCE
            left = after if buyer.has_cancelled else before
            return [left.pop(0) if left[1:] else left[0]]

        def booking_of(reference: str) -> booking_pb.Booking:
            assert reference == REFERENCE
            return one.booking if one.booking.booking_id else booking("FAILED")

        def follow(*_: object) -> Iterator[booking_pb.Booking]:
            return map(booking, watched)

        monkeypatch.setattr(time, "monotonic", lambda: float(next(moments)))
        monkeypatch.setattr(scenario.payments, "of_booking", of_booking)
        monkeypatch.setattr(scenario.watch, "follow", follow)
        monkeypatch.setattr(scenario.booking_rpc, "BookingServiceStub", _Stub)
        one = Scenario(buyer, None, card, sleep=lambda _: None)  # type: ignore[arg-type]
        monkeypatch.setattr(one, "_booking_of", booking_of)
        try:
            walk.live(one.steps())
        except Failure as failure:
            return str(failure)
        return ""

    return take


class _Stub:
    """A channel is not needed where the stream is given."""

    def __init__(self, _channel: object) -> None:
        self.WatchBooking = None


Take = Callable[..., str]


def test_a_booking_that_is_confirmed(take: Take, capsys: pytest.CaptureFixture[str]) -> None:
    """Paid, asked for again, read, as foretold, cancelled, given back, freed: in this order."""
    buyer = FakeBuyer(booking("CONFIRMED"))
    assert take(PLAIN, buyer, [payment()], [BACK]) == ""
    shown = capsys.readouterr().out
    titles = [line for line in shown.splitlines() if line[:1].isdigit()]
    assert titles == [
        "1. Hold two seats",
        "2. Pay with its card, and follow the booking until it is settled",
        "3. Send the same request with the same idempotency key",
        "4. Read all that was asked and answered about its payment",
        "5. See that it came as the card foretells",
        "6. Cancel the booking, and follow it until the money is given back",
        "7. Read what was asked and answered since",
        "8. See that the money is given back, once",
        "9. See that its seats are free again",
    ]
    assert shown.count("✓") == 9
    (first, key), again = buyer.asked
    assert (first.card_number, again) == (PLAIN.card_number, (first, key))
    assert "All as it should be" in shown


def test_a_booking_that_is_declined(take: Take, capsys: pytest.CaptureFixture[str]) -> None:
    """A decline with the foretold code is as it should be, and there is nothing to cancel."""
    buyer = FakeBuyer(DECLINED)
    assert take(POOR, buyer, [payment("FAILED", error_code="INSUFFICIENT_FUNDS")]) == ""
    shown = capsys.readouterr().out
    assert "Cancel" not in shown
    assert "6. See that its seats are free again" in shown
    assert buyer.asked[0][0] == pb.PaymentMethod(token="pm_poor")


def test_a_booking_without_an_answer(take: Take, capsys: pytest.CaptureFixture[str]) -> None:
    """A call without an answer is made again with its key, and PENDING is watched till its end."""
    buyer = FakeBuyer(BUSY, booking("PENDING"), booking("CONFIRMED"))
    assert take(SLOW, buyer, [payment()], [BACK], watched=("PENDING", "CONFIRMED")) == ""
    shown = capsys.readouterr().out
    assert shown.index("IDEMPOTENCY_KEY_IN_USE") < shown.index("PENDING     BK-")
    assert shown.count("PENDING     BK-") == 1
    assert shown.index("PENDING     BK-") < shown.index("CONFIRMED   BK-")
    assert len({key for _, key in buyer.asked}) == 1


def test_a_refund_that_fails_first(take: Take, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the first refund fails, the demo waits for the second one."""
    back = [BACK, payment("SUCCESS", "FAILED"), payment("REFUNDED", "FAILED", "REFUNDED")]
    assert take(FAILS, FakeBuyer(booking("CONFIRMED")), [payment()], back) == ""
    assert "its refunds, in order: FAILED, REFUNDED" in capsys.readouterr().out


@pytest.mark.parametrize("comes", [True, False])
def test_a_webhook_that_is_late(
    take: Take, capsys: pytest.CaptureFixture[str], *, comes: bool
) -> None:
    """Where a card is about webhooks, they are waited for; that none comes is said."""
    paid = [payment(), payment(), payment(log=[webhook()] if comes else [])]
    assert take(LATE, FakeBuyer(booking("CONFIRMED")), paid, [BACK]) == ""
    shown = capsys.readouterr().out
    assert ("WEBHOOK" in shown, scenario.NO_WEBHOOK in shown) == (comes, not comes)


@pytest.mark.parametrize(
    ("card", "buyer", "paid", "why"),
    [
        (PLAIN, FakeBuyer(DECLINED), [payment("FAILED")], "CONFIRMED, and not FAILED"),
        (POOR, FakeBuyer(booking("CONFIRMED")), [payment()], "FAILED, and not CONFIRMED"),
        (PLAIN, FakeBuyer(booking("CONFIRMED")), [payment("PENDING")], "SUCCESS, and not PENDING"),
        (
            POOR,
            FakeBuyer(DECLINED),
            [payment("FAILED", error_code="EXPIRED_CARD")],
            "INSUFFICIENT_FUNDS, and not EXPIRED_CARD",
        ),
        (SLOW, FakeBuyer(booking("CONFIRMED")), [payment()], "a booking that is PENDING at first"),
        (PLAIN, FakeBuyer(BUSY), [payment()], "an answer"),
        (
            PLAIN,
            FakeBuyer(booking("CONFIRMED"), booking("CANCELLED")),
            [payment()],
            "the same booking",
        ),
        (PLAIN, FakeBuyer(booking("CONFIRMED")), [payment()], "REFUNDED, and not none; no webhook"),
        (
            FAILS,
            FakeBuyer(booking("CONFIRMED")),
            [payment(), BACK],
            "FAILED, REFUNDED, and not REFUNDED; no webhook came",
        ),
        (
            PLAIN,
            FakeBuyer(booking("CONFIRMED"), cancelled=booking("FAILED")),
            [payment(), BACK],
            "CANCELLED, and not FAILED",
        ),
        (
            PLAIN,
            FakeBuyer(booking("CONFIRMED")),
            [pb.Payment(status="SUCCESS", amount=Decimal(value="300.00"))],
            "a charge of the total",
        ),
        (
            PLAIN,
            FakeBuyer(booking("CONFIRMED")),
            [payment(), pb.Payment(status="REFUNDED", amount=TOTAL, refunds=BACK.refunds)],
            "all of the money",
        ),
        (POOR, FakeBuyer(DECLINED, booking("CONFIRMED")), [payment("FAILED")], "the same booking"),
        (POOR, FakeBuyer(DECLINED, freed=False), [payment("FAILED", error_code=1)], "not free"),
    ],
    ids=[
        "declined", "confirmed", "payment", "code", "never pending", "no answer", "another",
        "not given back", "first refund", "not cancelled", "too much", "not all", "no decline",
        "seats",
    ],
)  # fmt: skip
def test_what_is_not_as_foretold(  # noqa: PLR0913 - fixtures and parameters
    take: Take,
    capsys: pytest.CaptureFixture[str],
    *,
    card: pb.TestCard,
    buyer: FakeBuyer,
    paid: list[pb.Payment],
    why: str,
) -> None:
    """Whatever comes otherwise than foretold fails the demo, with a cross at its step."""
    assert why in take(card, buyer, paid[:1], paid[-1:])
    assert "✗" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("CONFIRMED", "CONFIRMED"),
        ("PENDING for 3 s, then FAILED", "FAILED"),
        ("CONFIRMED; cancelled, it is CANCELLED with the second refund", "CONFIRMED"),
    ],
)
def test_how_a_booking_is_to_end(outcome: str, end: str) -> None:
    """The end of a booking is the first one that its card foretells."""
    assert scenario.foretold(pb.TestCard(outcome=outcome)) == end


def test_a_card_that_foretells_nothing() -> None:
    """A card that does not say how a booking ends cannot be checked, and that is said."""
    with pytest.raises(Failure, match="what becomes of odd has no end: 'nobody knows'"):
        scenario.foretold(pb.TestCard(name="odd", outcome="nobody knows"))


def test_an_unknown_scenario() -> None:
    """An unknown name gives those that there are; a real provider has none."""
    assert scenario.find("poor", [PLAIN, POOR]) is POOR
    with pytest.raises(Failure, match=r"no scenario 'x'\. There are: plain, poor"):
        scenario.find("x", [PLAIN, POOR])
    with pytest.raises(Failure, match=r"no scenarios here\. The provider of this stack is a real"):
        scenario.find("plain", [])


@pytest.mark.parametrize(
    ("there", "shown"),
    [
        ([PLAIN], "plain  4242424242424242         succeeds      CONFIRMED"),
        ([], cards.NONE),
    ],
    ids=["mock", "real"],
)
def test_the_cards(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: list[pb.TestCard],
    shown: str,
) -> None:
    """The cards are a table with a line each, or a sentence that there are none; or JSON."""

    @contextmanager
    def opened(*_: object) -> Iterator[None]:
        yield None

    monkeypatch.setattr(desk, "opened", opened)
    monkeypatch.setattr(cards, "listed", lambda _: there)
    for arguments in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["holdfast", "cards", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.app()
        assert not ended.value.code
        told = capsys.readouterr().out
        if arguments:
            assert list(Parse(told, pb.ListTestCardsResponse()).test_cards) == there
        else:
            assert told.splitlines()[-1] == shown


def test_a_call_that_is_refused(take: Take) -> None:
    """A refusal that no repeat changes ends the demo with it."""
    taken = Refused(ErrorInfo(grpc.StatusCode.FAILED_PRECONDITION, "SEATS", {}, "no"), 0.0)
    with pytest.raises(calls.Refused) as caught:
        take(PLAIN, FakeBuyer(taken), [payment()])
    assert caught.value is taken
