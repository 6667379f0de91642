"""A booking that is paid with a test card, step by step, against what the card foretells."""

import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import grpc
from holdfast.booking.v1 import booking_pb2 as booking_pb
from holdfast.booking.v1 import booking_pb2_grpc as booking_rpc
from holdfast.payment.v1 import payment_pb2 as pb
from rich.text import Text

from cli import calls, cards, payment_views, payments, walk, watch
from cli.buyer import AVAILABLE, Buyer, by_card, expect
from cli.desk import Desk
from cli.failure import Failure
from cli.screen import name_of

# Short, so that a booking that takes longer is seen to be PENDING.
PATIENCE_S = 3.0
# Longer than any scenario takes, with a provider that has 25 s to answer.
SETTLED_WITHIN_S = 120.0
# For what comes when the booking is settled already: the latest webhook is 10 s late.
LATE_WITHIN_S = 20.0
LOOK_EVERY_S = 0.5
# What a card foretells has the end of the booking in it, and of what cannot be paid why not.
END = re.compile(r"\b(CONFIRMED|FAILED)\b")
DECLINE = re.compile("|".join(pb.Payment.DeclineCode.keys()[1:]))
PENDING_FIRST = "PENDING for "
# Scenarios that are about what comes later have this in their name.
WEBHOOK, OUT_OF_ORDER, REFUND_FAILS = "webhook", "out-of-order", "refund-fails"
NO_WEBHOOK = "no webhook came: this stack's provider sends none, or they do not arrive"
# What is no answer to a call with a key: the same call gets it later.
NO_ANSWER = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
)


@dataclass
class Scenario:
    """One test card, and how far its booking has got. Each method is a step."""

    buyer: Buyer
    payments: Desk
    card: pb.TestCard
    sleep: Callable[[float], None] = time.sleep
    key: str = field(default_factory=lambda: f"demo-{uuid.uuid4()}")
    seats: list[str] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    booking: booking_pb.Booking = field(default_factory=booking_pb.Booking)
    payment: pb.Payment = field(default_factory=pb.Payment)
    was_pending: bool = False

    def steps(self) -> Iterator[tuple[str, walk.Step]]:
        """The steps, one when those before it are taken: what comes depends on what came."""
        yield from map(_titled, (self.reserve, self.confirm, self.ask_again, self.read, self.check))
        if self.booking.status == booking_pb.Booking.CONFIRMED:
            yield from map(_titled, (self.cancel, self.read_on, self.check_refund))
        yield _titled(self.freed)

    def reserve(self) -> Iterator[str]:
        """Hold two seats."""
        statuses = self.buyer.seats()
        free = [number for number, status in statuses.items() if status == AVAILABLE]
        self.seats = free[:2]
        expect(len(self.seats) == 2, "two free seats; 'make clean' starts anew")  # noqa: PLR2004
        self.held = self.buyer.reserve(self.seats)
        yield f"{' and '.join(self.seats)} are held"

    def confirm(self) -> Iterator[str | Text]:
        """Pay with its card, and follow the booking until it is settled."""
        began, reference = time.monotonic(), ""
        yield f"{self.card.card_number}: {self.card.description}"
        while not self.booking.booking_id:
            expect(time.monotonic() - began < SETTLED_WITHIN_S, "an answer")
            try:
                self.booking = self._ask(PATIENCE_S).message
            except calls.Refused as refused:
                reference = refused.info.metadata.get("bookingReference", "")
                if not reference and refused.info.code not in NO_ANSWER:
                    raise
                yield f"{_since(began)}{refused}"
                if reference:
                    self.booking = self._booking_of(reference)
                else:
                    self.sleep(LOOK_EVERY_S)
        yield from self._follow(began)

    def ask_again(self) -> Iterator[str]:
        """Send the same request with the same idempotency key."""
        try:
            again = self._ask(PATIENCE_S)
            expect(again.message == self.booking, "the same booking")
        except calls.Refused as refused:
            expect(refused.info.reason == "PAYMENT_FAILED", f"its decline, and not {refused}")
            yield f"the same decline, and no second charge: {refused}"
            return
        yield "the same booking, and no second charge"

    def read(self) -> Iterator[str | Text]:
        """Read all that was asked and answered about its payment."""
        has_all = _has_webhooks(self.card)
        self.payment = self._payment_when(has_all, LATE_WITHIN_S)
        yield from payment_views.log(self.payment.log)
        if not has_all(self.payment):
            yield Text(NO_WEBHOOK, "yellow")

    def check(self) -> Iterator[str]:
        """See that it came as the card foretells."""
        status = name_of(booking_pb.Booking.Status, self.booking.status)
        expect(status == foretold(self.card), f"{foretold(self.card)}, and not {status}")
        now = self._booking_of(self.booking.booking_reference)
        expect(now == self.booking, "a booking that stays as it was")
        if self.card.outcome.startswith(PENDING_FIRST):
            expect(self.was_pending, "a booking that is PENDING at first")
        code = DECLINE.search(self.card.description)
        stands = name_of(pb.Payment.Status, self.payment.status)
        if status == "CONFIRMED":
            expect(stands == "SUCCESS", f"a payment that is a SUCCESS, and not {stands}")
            expect(self.payment.amount == self.booking.total_amount, "a charge of the total")
        else:
            expect(stands == "FAILED", f"a payment that has FAILED, and not {stands}")
        if code:
            given = name_of(pb.Payment.DeclineCode, self.payment.error_code)
            expect(given == code[0], f"{code[0]}, and not {given}")
        yield f"foretold: {self.card.outcome}"
        yield f"seen:     {status}; its only payment: {stands}"

    def cancel(self) -> Iterator[str | Text]:
        """Cancel the booking, and follow it until the money is given back."""
        began = time.monotonic()
        try:
            self.booking = self.buyer.cancel(self.booking.booking_id, PATIENCE_S)
        except calls.Refused as refused:
            if refused.info.code not in NO_ANSWER:
                raise
            yield f"{_since(began)}{refused}"
            self.booking.status = booking_pb.Booking.CANCELLING
        yield from self._follow(began)

    def read_on(self) -> Iterator[str | Text]:
        """Read what was asked and answered since."""
        known = len(self.payment.log)
        self.payment = self._payment_when(self._is_given_back, LATE_WITHIN_S)
        yield from payment_views.log(self.payment.log[known:])

    def check_refund(self) -> Iterator[str]:
        """See that the money is given back, once."""
        status = name_of(booking_pb.Booking.Status, self.booking.status)
        expect(status == "CANCELLED", f"CANCELLED, and not {status}")
        wanted, refunds = ", ".join(self._refunds_foretold()), ", ".join(_refunds(self.payment))
        told = any(entry.action == pb.PaymentLogEntry.WEBHOOK for entry in self.payment.log)
        why = "" if told else f"; {NO_WEBHOOK}"
        is_back = self._is_given_back(self.payment)
        expect(is_back, f"refunds that are {wanted}, and not {refunds or 'none'}{why}")
        expect(self.payment.refunded_amount == self.payment.amount, "all of the money")
        yield f"CANCELLED and REFUNDED; its refunds, in order: {refunds}"

    def freed(self) -> Iterator[str]:
        """See that its seats are free again."""
        yield self.buyer.require_free(self.seats)

    def _ask(self, timeout_s: float) -> calls.Answer[booking_pb.Booking]:
        return self.buyer.confirm(self.held, _method(self.card), self.key, timeout_s)

    def _follow(self, began: float) -> Iterator[str | Text]:
        """The booking at each change, until it is settled or its time is over."""
        stub = booking_rpc.BookingServiceStub(self.buyer.booking)
        request = booking_pb.WatchBookingRequest(booking_id=self.booking.booking_id)

        def subscribe() -> Iterator[booking_pb.Booking]:
            left_s = max(0.0, SETTLED_WITHIN_S - (time.monotonic() - began))
            token = self.buyer.token
            return calls.stream(stub.WatchBooking, request, token=token, timeout_s=left_s)

        yield self._line(began)
        if self.booking.status in watch.SETTLED:
            return
        try:
            for booking in watch.follow(subscribe, lambda _: None, self.sleep):
                if booking != self.booking:
                    self.booking = booking
                    yield self._line(began)
        except calls.Refused as refused:
            in_time = refused.info.code is not grpc.StatusCode.DEADLINE_EXCEEDED
            expect(in_time, f"a booking that is settled within {SETTLED_WITHIN_S:.0f} s")
            raise

    def _line(self, began: float) -> Text:
        self.was_pending |= self.booking.status == booking_pb.Booking.PENDING
        return Text.assemble(_since(began), *watch.line(self.booking))

    def _booking_of(self, reference: str) -> booking_pb.Booking:
        listing = booking_rpc.BookingServiceStub(self.buyer.booking).ListMyBookings
        request = booking_pb.ListMyBookingsRequest(booking_reference=reference, page_size=1)
        return calls.call(listing, request, token=self.buyer.token).message.bookings[0]

    def _refunds_foretold(self) -> list[str]:
        """The money is given back at once, or the second time."""
        failed = ["FAILED"] if self.card.name.startswith(REFUND_FAILS) else []
        return [*failed, "REFUNDED"]

    def _is_given_back(self, payment: pb.Payment) -> bool:
        is_refunded = payment.status == pb.Payment.REFUNDED
        return is_refunded and _refunds(payment) == self._refunds_foretold()

    def _payment(self) -> pb.Payment:
        found = payments.of_booking(self.payments, self.booking.booking_reference)
        expect(len(found) == 1, f"one payment, and not {len(found)}")
        return found[0]

    def _payment_when(self, is_so: Callable[[pb.Payment], bool], most_s: float) -> pb.Payment:
        """The payment as soon as this is so of it, or as it is when the time is over."""
        ends_at = time.monotonic() + most_s
        payment = self._payment()
        while not is_so(payment) and time.monotonic() < ends_at:
            self.sleep(LOOK_EVERY_S)
            payment = self._payment()
        return payment


def find(name: str, known: Sequence[pb.TestCard]) -> pb.TestCard:
    """The card of a scenario.

    Raises:
        Failure: there is none of this name; says which there are.
    """
    for card in known:
        if card.name == name:
            return card
    if not known:
        message = f"there are no scenarios here. {cards.NONE}"
        raise Failure(message)
    names = ", ".join(card.name for card in known)
    message = f"there is no scenario {name!r}. There are: {names}"
    raise Failure(message)


def foretold(card: pb.TestCard) -> str:
    """How a booking ends that is paid with a card.

    Raises:
        Failure: the card does not say.
    """
    end = END.search(card.outcome)
    if end is None:
        message = f"what becomes of {card.name} has no end: {card.outcome!r}"
        raise Failure(message)
    return end[0]


def _method(card: pb.TestCard) -> pb.PaymentMethod:
    return by_card(card.card_number) if card.card_number else pb.PaymentMethod(token=card.token)


def _has_webhooks(card: pb.TestCard) -> Callable[[pb.Payment], bool]:
    """Whether a payment was told of unasked all that its card is about."""
    log = pb.PaymentLogEntry
    wanted = {log.SUCCEEDED} if WEBHOOK in card.name else set()
    if OUT_OF_ORDER in card.name:
        wanted.add(log.PENDING)
    return lambda payment: (
        wanted <= {entry.outcome for entry in payment.log if entry.action == log.WEBHOOK}
    )


def _refunds(payment: pb.Payment) -> list[str]:
    return [name_of(pb.Refund.Status, one.status) for one in payment.refunds]


def _titled(step: walk.Step) -> tuple[str, walk.Step]:
    return walk.title(step), step


def _since(began: float) -> str:
    return f"{time.monotonic() - began:5.1f} s  "
