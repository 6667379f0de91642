"""`holdfast payments`: what was taken and given back, and all that was asked and answered."""

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc

from cli import calls, desk, payment_feed, payment_views
from cli.desk import BOOKING_REFERENCE, Desk
from cli.failure import Failure
from cli.programs import PAYMENT
from cli.screen import out, say, tell

OPERATOR = "operator"
PAGE_SIZE_MAX = 1000
PAYMENT_ID = re.compile(r"pay_[0-9A-Z]{26}")

commands = typer.Typer(
    help="See payments: their refunds, their logs, and what becomes of them, live.",
    no_args_is_help=True,
)

BookingOption = Annotated[
    str, typer.Option(help="Only the payments of this booking, BK-….", metavar="BOOKING")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, as the contract names it.")]


@commands.command("list")
def list_payments(
    booking: BookingOption = "",
    limit: Annotated[int, typer.Option(help="How many to show at most.", min=1)] = 50,
    *,
    as_json: JsonOption = False,
) -> None:
    """List payments, newest first."""
    reference = _parse_reference(booking)
    with _opened() as here:
        found, more = _list(here, reference, limit)
    if as_json:
        _print_json(pb.ListPaymentsResponse(payments=found))
    elif found:
        payment_views.show_list(found)
        if more:
            say(f"There are more than {limit}: --limit N shows more of them.")
    else:
        say(f"There is no payment of {reference}." if reference else "There is no payment.")


@commands.command()
def show(
    payment: Annotated[
        str,
        typer.Argument(help="Its id, pay_…, or its booking's reference, BK-….", metavar="PAYMENT"),
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show a payment with its refunds and its log; of a booking, each payment that it has.

    The log is all that was asked and answered about the payment: when, by whom, what came of it,
    and where the payment stood after it. What is open is asked for before it is shown.

    With --json, the output is the message Payment, or ListPaymentsResponse for a booking.
    """
    payment = payment.strip()
    with _opened() as here:
        is_one = PAYMENT_ID.fullmatch(payment)
        found = [_read(here, payment)] if is_one else _read_of(here, payment)
    if as_json:
        _print_json(found[0] if is_one else pb.ListPaymentsResponse(payments=found))
        return
    for one in found:
        payment_views.show_one(one)


@commands.command()
def watch(
    cursor: Annotated[
        str,
        typer.Option(
            help="Go on after this event. By default from the first one.", metavar="CURSOR"
        ),
    ] = "",
    booking: BookingOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what becomes of payments, one line an event, first what has been and then live.

    When the server stops, the command waits for it and goes on where it was. Ctrl-C ends it,
    with exit code 0, and tells the cursor with which to go on.

    With --json, each line is a message PaymentEvent, with its cursor. What is no event is told
    on the standard error.
    """
    reference = _parse_reference(booking)
    with _opened() as here:
        stub = rpc.PaymentServiceStub(here.channel)
        # What does not answer now was not there; what does not answer later comes back.
        here.ask(stub.ListPayments, pb.ListPaymentsRequest(page_size=1))

        def subscribe(cursor: str) -> Iterator[pb.PaymentEvent]:
            request = pb.StreamPaymentEventsRequest(cursor=cursor)
            return here.listen(stub.StreamPaymentEvents, request)

        def is_back() -> bool:
            return calls.is_serving(here.target)

        show_event = _print_event_json if as_json else payment_views.show_event
        events = payment_feed.follow(subscribe, cursor, is_back, tell, time.sleep)
        try:
            with out.status("waiting for the next event; Ctrl-C leaves"):
                for event in events:
                    if reference in ("", event.payment.booking_reference):
                        show_event(event)
                    cursor = event.cursor
        except KeyboardInterrupt:
            _tell_how_to_go_on(cursor, reference)
        except calls.Refused as refused:
            raise _explained_cursor(refused, cursor) from None


def find(here: Desk, payment_id: str) -> pb.Payment:
    """A payment with its refunds and its log.

    Raises:
        Refused: it cannot be read.
        Failure: nothing answers.
    """
    request = pb.GetPaymentRequest(payment_id=payment_id, view=pb.GetPaymentRequest.FULL)
    return here.ask(rpc.PaymentServiceStub(here.channel).GetPayment, request)


def of_booking(here: Desk, reference: str) -> list[pb.Payment]:
    """The payments of a booking, oldest first, each with its refunds and its log."""
    found, _ = _list(here, reference, PAGE_SIZE_MAX)
    return [find(here, one.payment_id) for one in reversed(found)]


def _opened() -> AbstractContextManager[Desk]:
    return desk.opened(OPERATOR, "payments", PAYMENT)


def _list(here: Desk, reference: str, limit: int) -> tuple[list[pb.Payment], bool]:
    """Payments, and whether there are more of them."""
    listing = rpc.PaymentServiceStub(here.channel).ListPayments
    found: list[pb.Payment] = []
    page = pb.ListPaymentsResponse()
    while True:
        request = pb.ListPaymentsRequest(
            booking_reference=reference,
            page_size=min(limit - len(found), PAGE_SIZE_MAX),
            page_token=page.next_page_token,
        )
        page = here.ask(listing, request)
        found += page.payments
        if not page.next_page_token or len(found) >= limit:
            return found, bool(page.next_page_token)


def _read(here: Desk, payment_id: str) -> pb.Payment:
    try:
        return find(here, payment_id)
    except calls.Refused as refused:
        if refused.info.reason != "PAYMENT_NOT_FOUND":
            raise
        message = f"there is no payment {payment_id}; 'holdfast payments list' shows which are"
        raise Failure(message) from None


def _read_of(here: Desk, booking: str) -> list[pb.Payment]:
    if not BOOKING_REFERENCE.fullmatch(booking):
        message = (
            f"{booking!r} is no payment: give its id, pay_ and 26 letters and digits, or the"
            " reference of its booking, such as BK-2026-…"
        )
        raise Failure(message)
    reference = booking.upper()
    found = of_booking(here, reference)
    if not found:
        message = f"there is no payment of {reference}; 'holdfast payments list' shows which are"
        raise Failure(message)
    return found


def _parse_reference(booking: str) -> str:
    reference = booking.strip().upper()
    if reference and not BOOKING_REFERENCE.fullmatch(reference):
        message = f"--booking {booking!r} is no booking: give its reference, such as BK-2026-…"
        raise Failure(message)
    return reference


def _print_event_json(event: pb.PaymentEvent) -> None:
    _print_json(event, indent=None)


def _print_json(message: Message, indent: int | None = 2) -> None:
    text = MessageToJson(message, indent=indent, always_print_fields_with_no_presence=True)
    typer.echo(text)


def _tell_how_to_go_on(cursor: str, reference: str) -> None:
    if not cursor:
        tell("nothing has happened so far")
        return
    only = f" --booking {reference}" if reference else ""
    tell(f"to go on from here: holdfast payments watch --cursor {cursor}{only}")


def _explained_cursor(refused: calls.Refused, cursor: str) -> Exception:
    if refused.info.reason == "CURSOR_EXPIRED":
        return Failure(
            f"the events after --cursor {cursor!r} are not kept any more: leave it out to begin"
            " with the oldest that are"
        )
    if refused.info.reason != "INVALID_FIELD":
        return refused
    return Failure(f"--cursor {cursor!r} is none of this stream: leave it out to begin anew")
