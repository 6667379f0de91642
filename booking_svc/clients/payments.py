"""The port `Payments` over gRPC."""

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import grpc.aio
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc

from booking_svc.clients.outcomes import outcome_of
from booking_svc.domain.outcome import Done, Pending, Refused, Unknown
from booking_svc.ports import ChargeOrder, Decision
from chassis.cards import Method, Token
from chassis.channels import Outgoing
from chassis.messages import decimal

SERVICE = pb.DESCRIPTOR.services_by_name["PaymentService"]
# A payment in one of these states holds no money.
HOLDS_NOTHING = frozenset({pb.Payment.REFUNDED, pb.Payment.FAILED, pb.Payment.CANCELLED})
# Somebody may have given a part back before the booking heard that the money was taken.
TAKEN = frozenset({pb.Payment.SUCCESS, pb.Payment.PARTIALLY_REFUNDED})
# A booking has one payment; clients of the payment adapter may have made more in its name.
PAYMENTS_MAX = 100
CALLED_OFF = "the payment was called off"

Charged = Done[str] | Refused | Pending | Unknown


class PaymentClient:
    """Calls the payment adapter."""

    def __init__(self, channel: grpc.aio.Channel, outgoing: Outgoing, timeout_s: float) -> None:
        """Call over this channel; a payment or refund may take `timeout_s` seconds."""
        self._stub = rpc.PaymentServiceStub(channel)
        self._outgoing = outgoing
        self._timeout_s = timeout_s

    async def charge(self, order: ChargeOrder) -> Charged:
        """Take money; what comes of it is the payment's id."""
        call = self._outgoing.call(
            self._stub.ProcessPayment,
            _process_request(order),
            timeout_s=self._timeout_s,
            idempotency_key=order.key,
        )
        outcome = await outcome_of(call, frozenset({"INVALID_FIELD"}))
        return _charged(outcome.value) if isinstance(outcome, Done) else outcome

    async def find(self, booking_reference: str, user_id: str) -> Charged | None:
        """What became of a user's charge for a booking; none if there was none."""
        request = pb.ListPaymentsRequest(
            booking_reference=booking_reference, page_size=PAYMENTS_MAX
        )
        call = self._outgoing.call(self._stub.ListPayments, request, timeout_s=self._timeout_s)
        outcome = await outcome_of(call, frozenset())
        if not isinstance(outcome, Done):
            return outcome
        # Newest first: ours is the first that was made.
        ours = [one for one in outcome.value.payments if one.user_id == user_id]
        return _charged(ours[-1]) if ours else None

    async def cancel(self, booking_reference: str, reason: str) -> Charged:
        """See to it that nothing stays taken for a booking, also by a charge that comes later."""
        call = self._outgoing.call(
            self._stub.CancelPayment,
            pb.CancelPaymentRequest(booking_reference=booking_reference, reason=reason),
            timeout_s=self._timeout_s,
        )
        outcome = await outcome_of(call, frozenset())
        return _cancelled(outcome.value.payments) if isinstance(outcome, Done) else outcome

    async def decisions(self, cursor: str) -> AsyncIterator[Decision]:
        """What becomes of payments, in order, from a cursor on and without end."""
        request = pb.StreamPaymentEventsRequest(cursor=cursor)
        async for event in self._outgoing.stream(self._stub.StreamPaymentEvents, request):
            payment = event.payment
            decided = payment.status != pb.Payment.PENDING
            yield Decision(event.cursor, payment.booking_reference, decided)


def _charged(payment: pb.Payment) -> Charged:
    if payment.status in TAKEN:
        return Done(payment.payment_id)
    if payment.status == pb.Payment.PENDING:
        return Pending(payment.payment_id)
    facts = {"paymentId": payment.payment_id}
    if payment.status == pb.Payment.FAILED:
        facts["errorCode"] = pb.Payment.DeclineCode.Name(payment.error_code)
        return Refused("PAYMENT_FAILED", payment.error_message, facts)
    if payment.status in HOLDS_NOTHING:
        return Refused("PAYMENT_FAILED", CALLED_OFF, facts)
    # Of a newer payment adapter: only a state that is known to hold nothing is a refusal.
    return Unknown(f"{payment.payment_id} has status {payment.status}")


def _cancelled(payments: Sequence[pb.Payment]) -> Charged:
    for payment in payments:
        if payment.status == pb.Payment.PENDING:
            return Unknown(f"{payment.payment_id} is not called off yet")
        if payment.status not in HOLDS_NOTHING:
            return _on_its_way_back(payment)
    states = {payment.status for payment in payments}
    if pb.Payment.REFUNDED in states:
        return Done("REFUNDED")
    return Done("FAILED" if states == {pb.Payment.FAILED} else "CANCELLED")


def _on_its_way_back(payment: pb.Payment) -> Pending | Refused:
    if Decimal(payment.refunded_amount.value) == Decimal(payment.amount.value):
        return Pending(payment.payment_id)
    return Refused("PAYMENT_NOT_REFUNDABLE", "the provider refused the refund")


def _process_request(order: ChargeOrder) -> pb.ProcessPaymentRequest:
    return pb.ProcessPaymentRequest(
        amount=decimal(order.amount_minor, order.currency),
        currency=order.currency,
        booking_reference=order.booking_reference,
        user_id=order.user_id,
        payment_method=_payment_method(order.card),
    )


def _payment_method(card: Method) -> pb.PaymentMethod:
    if isinstance(card, Token):
        return pb.PaymentMethod(type=card.type, token=card.token)
    return pb.PaymentMethod(
        type=card.type,
        card_number=card.number,
        expiry_month=card.expiry_month,
        expiry_year=card.expiry_year,
        cvv=card.cvv,
    )
