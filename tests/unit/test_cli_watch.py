"""`holdfast watch`: what follows a booking goes on through stops, and tells each change once."""

from collections.abc import Callable, Iterator, Sequence

import grpc
import pytest
from google.type.decimal_pb2 import Decimal
from holdfast.booking.v1 import booking_pb2 as pb

from chassis.status import ErrorInfo
from cli import desk, watch
from cli.calls import Refused
from cli.failure import Failure

STOPPED = Refused(ErrorInfo(grpc.StatusCode.UNAVAILABLE, "", {}, "gone"), 0.0)
NOT_FOUND = Refused(ErrorInfo(grpc.StatusCode.NOT_FOUND, "BOOKING_NOT_FOUND", {}, "no"), 0.0)


def booking(status: str, **changes: object) -> pb.Booking:
    given = {
        "booking_id": 5001,
        "booking_reference": "BK-2026-BCDFGHJKLM",
        "seats": [pb.Booking.BookedSeat(seat_number="A1")],
        "total_amount": Decimal(value="75.00"),
        "currency": "USD",
    }
    return pb.Booking(status=status, **{**given, **changes})


PENDING, CONFIRMED = booking("PENDING"), booking("CONFIRMED")
CANCELLING = booking("CANCELLING")


def streams(*scripts: Sequence[pb.Booking | Refused]) -> Callable[[], Iterator[pb.Booking]]:
    """A server that answers each subscription by the next script: messages, and how it ends."""
    left = list(scripts)

    def subscribe() -> Iterator[pb.Booking]:
        for one in left.pop(0):
            if isinstance(one, Refused):
                raise one
            yield one

    return subscribe


class Terminal:
    """Notes what is told, in its order, and the naps."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.naps = 0

    def sleep(self, _delay_s: float) -> None:
        self.naps += 1

    def follow(self, subscribe: Callable[[], Iterator[pb.Booking]]) -> list[object]:
        for one in watch.follow(subscribe, self.told.append, self.sleep):
            self.told.append(one)
        return self.told


def test_each_change_is_shown_until_it_is_settled() -> None:
    """A stream that ends with a settled booking is shown message by message, and that is all."""
    terminal = Terminal()
    assert terminal.follow(streams([PENDING, CONFIRMED])) == [PENDING, CONFIRMED]
    assert terminal.naps == 0


def test_a_server_that_comes_back() -> None:
    """A stop is said once, so is the return, and what has not changed meanwhile is not repeated."""
    terminal = Terminal()
    subscribe = streams([PENDING, STOPPED], [STOPPED], [STOPPED], [PENDING, STOPPED], [CONFIRMED])
    assert terminal.follow(subscribe) == [
        PENDING, watch.GONE, watch.BACK, watch.GONE, watch.BACK, CONFIRMED,
    ]  # fmt: skip
    assert terminal.naps == 4


def test_a_stream_that_ends_too_soon() -> None:
    """A stream that ends before its booking is settled is asked for again, after a pause."""
    terminal = Terminal()
    assert terminal.follow(streams([CANCELLING], [booking("CANCELLED")]))[-1].status
    assert terminal.naps == 1


@pytest.mark.parametrize(
    "script", [[STOPPED], [NOT_FOUND], [PENDING, NOT_FOUND]], ids=["nobody", "none", "no more"]
)
def test_what_is_no_stop(script: Sequence[pb.Booking | Refused]) -> None:
    """Nobody there from the beginning, or a refusal, ends the watching with that error."""
    terminal = Terminal()
    with pytest.raises(Refused) as caught:
        terminal.follow(streams(script))
    assert caught.value is script[-1]
    assert terminal.naps == 0


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (PENDING, "PENDING     BK-2026-BCDFGHJKLM · A1 · 75.00 USD"),
        (
            booking("CANCELLED", payment_id="pay_1", payment_status="REFUNDED"),
            "CANCELLED   BK-2026-BCDFGHJKLM · A1 · 75.00 USD · payment pay_1 REFUNDED",
        ),
        (
            booking("FAILED", failure_reason="PAYMENT_FAILED", failure_message="no [money]"),
            "FAILED      BK-2026-BCDFGHJKLM · A1 · 75.00 USD · PAYMENT_FAILED: no [money]",
        ),
    ],
    ids=["pending", "cancelled", "failed"],
)
def test_a_booking_in_a_line(shown: pb.Booking, line: str) -> None:
    """A line says where the booking stands, what it is, and what became of its payment."""
    assert "".join(map(str, watch.line(shown))) == line


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("BK-2026-BCDFGHJKLM", "BK-2026-BCDFGHJKLM"),
        (" bk-2026-bcdfghjklm ", "BK-2026-BCDFGHJKLM"),
        ("5001", 5001),
    ],
)
def test_a_booking_by_reference_or_number(typed: str, meant: int | str) -> None:
    """A booking is named by its reference, in either case, or by its number."""
    assert desk.parse_booking(typed) == meant


@pytest.mark.parametrize("typed", ["", "0", "-5", "BK-", "A1", "12345678901234567", "٣"])
def test_what_names_no_booking(typed: str) -> None:
    """What is neither a reference nor a number is refused before anybody is asked."""
    with pytest.raises(Failure, match="is no booking"):
        desk.parse_booking(typed)
