"""`holdfast watch`: a booking live, one line a change, until it is settled."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import grpc
import typer
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc
from holdfast.errors.v1.reason_pb2 import Reason
from holdfast.payment.v1 import payment_pb2
from rich.text import Text

from cli import calls, desk
from cli.buyer import USER
from cli.desk import Desk
from cli.failure import Failure
from cli.screen import coloured, name_of, out, say
from cli.signing import TOKEN_VARIABLE, Given

SETTLED = (pb.Booking.CONFIRMED, pb.Booking.FAILED, pb.Booking.CANCELLED)
# Between two tries to reach a server that stopped.
RESUBSCRIBE_S = 0.5
STATUS_COLUMNS = len("CANCELLING  ")
GONE = "the server stopped; waiting for it to come back"
BACK = "the server is back"


def watch(
    booking: Annotated[
        str, typer.Argument(help="Its reference, BK-…, or its number.", metavar="BOOKING")
    ],
    user: Annotated[str, typer.Option(help="The user whose booking it is.", metavar="ID")] = USER,
) -> None:
    """Show a booking live, one line a change, until it is settled.

    A line begins with the seconds since the command was started. When the server stops, the
    command waits for it and goes on. Ctrl-C leaves; the booking goes on without you.

    The exit code is 0 if the booking ends CONFIRMED or CANCELLED, and 1 if it FAILED.
    """
    began = time.monotonic()
    with desk.opened(user, "bookings") as here:
        booking_id = _find(here, desk.parse_booking(booking))
        stub, request = rpc.BookingServiceStub(here.channel), pb.WatchBookingRequest
        last = pb.Booking()

        def subscribe() -> Iterator[pb.Booking]:
            return here.listen(stub.WatchBooking, request(booking_id=booking_id))

        def note(text: str) -> None:
            say(_since(began), Text(text, "dim"))

        try:
            with out.status("waiting for the next change; Ctrl-C leaves"):
                for last in follow(subscribe, note, time.sleep):
                    say(_since(began), *line(last))
        except calls.Refused as refused:
            raise _explained(here, refused) from None
    if last.status == pb.Booking.FAILED:
        sys.exit(1)


def follow(
    subscribe: Callable[[], Iterator[pb.Booking]],
    note: Callable[[str], None],
    sleep: Callable[[float], None],
) -> Iterator[pb.Booking]:
    """A booking at each change until it is settled, through stops of the server.

    Raises:
        Refused: it cannot be watched, or nothing answers from the beginning.
    """
    last, gone = pb.Booking(), False
    while last.status not in SETTLED:
        try:
            for booking in subscribe():
                if gone:
                    note(BACK)
                    gone = False
                if booking != last:
                    yield booking
                last = booking
        except calls.Refused as refused:
            stopped = refused.info.code is grpc.StatusCode.UNAVAILABLE
            if not stopped or not last.booking_id:
                raise
            if not gone:
                note(GONE)
            gone = True
        if last.status not in SETTLED:
            sleep(RESUBSCRIBE_S)


def line(booking: pb.Booking) -> Iterator[str | Text]:
    """A booking in one line: where it stands, what it is, and what became of its payment."""
    status = name_of(pb.Booking.Status, booking.status)
    yield coloured(status)
    yield " " * (STATUS_COLUMNS - len(status))
    seats = ", ".join(seat.seat_number for seat in booking.seats)
    total = f"{booking.total_amount.value} {booking.currency}"
    facts = [booking.booking_reference, seats, total]
    if booking.payment_id:
        payment = name_of(payment_pb2.Payment.Status, booking.payment_status)
        facts.append(f"payment {booking.payment_id} {payment}")
    if booking.failure_reason:
        facts.append(f"{name_of(Reason, booking.failure_reason)}: {booking.failure_message}")
    yield " · ".join(facts)


def _find(here: Desk, booking: int | str) -> int:
    if isinstance(booking, int):
        return booking
    listing = rpc.BookingServiceStub(here.channel).ListMyBookings
    request = pb.ListMyBookingsRequest(booking_reference=booking, page_size=1)
    for found in here.ask(listing, request).bookings:
        return found.booking_id
    raise _not_found(here, booking)


def _explained(here: Desk, refused: calls.Refused) -> Exception:
    if refused.info.reason == "BOOKING_NOT_FOUND":
        return _not_found(here, refused.info.metadata.get("bookingId", ""))
    return here.explained(refused)


def _not_found(here: Desk, booking: str) -> Failure:
    if isinstance(here.tokens, Given):
        return Failure(f"the user of the token in {TOKEN_VARIABLE} has no booking {booking}")
    message = f"the user '{here.user}' has no booking {booking}; for another user: --user ID"
    return Failure(message)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:7.1f} s  "
