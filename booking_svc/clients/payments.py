"""The port `Payments` over gRPC."""

import grpc.aio
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc

from booking_svc.clients.outcomes import outcome_of
from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.ports import ChargeOrder
from chassis.channels import Outgoing
from chassis.messages import decimal

SERVICE = pb.DESCRIPTOR.services_by_name["PaymentService"]
# A payment in one of these states holds no money.
HOLDS_NOTHING = frozenset({"REFUNDED", "FAILED", "CANCELLED"})


class PaymentClient:
    """Calls the payment adapter."""

    def __init__(self, channel: grpc.aio.Channel, outgoing: Outgoing, timeout_s: float) -> None:
        """Call over this channel; a payment or refund may take `timeout_s` seconds."""
        self._stub = rpc.PaymentServiceStub(channel)
        self._outgoing = outgoing
        self._timeout_s = timeout_s

    async def charge(self, order: ChargeOrder) -> Done[str] | Refused | Unknown:
        """Take money; what comes of it is the payment's id."""
        call = self._outgoing.call(
            self._stub.ProcessPayment,
            _process_request(order),
            timeout_s=self._timeout_s,
            idempotency_key=order.key,
        )
        outcome = await outcome_of(call, frozenset({"INVALID_FIELD"}))
        return _charged(outcome.value) if isinstance(outcome, Done) else outcome

    async def give_back(
        self, payment_id: str, key: str, reason: str
    ) -> Done[None] | Refused | Unknown:
        """See to it that nothing of a payment stays taken."""
        call = self._outgoing.call(
            self._stub.RefundPayment,
            pb.RefundPaymentRequest(payment_id=payment_id, reason=reason),
            timeout_s=self._timeout_s,
            idempotency_key=key,
        )
        outcome = await outcome_of(call, frozenset({"PAYMENT_NOT_REFUNDABLE"}))
        if isinstance(outcome, Done):
            return _given_back(outcome.value)
        # Whoever gave it back before: that nothing stays taken is all that was asked.
        if isinstance(outcome, Refused) and outcome.metadata.get("status") in HOLDS_NOTHING:
            return Done(None)
        return outcome


def _charged(payment: pb.Payment) -> Done[str] | Refused | Unknown:
    if payment.status == pb.Payment.SUCCESS:
        return Done(payment.payment_id)
    if payment.status == pb.Payment.FAILED:
        code = pb.Payment.DeclineCode.Name(payment.error_code)
        facts = {"paymentId": payment.payment_id, "errorCode": code}
        return Refused("PAYMENT_FAILED", payment.error_message, facts)
    return _not_yet("payment", payment.status)


def _given_back(refund: pb.Refund) -> Done[None] | Refused | Unknown:
    if refund.status == pb.Refund.REFUNDED:
        return Done(None)
    if refund.status == pb.Refund.FAILED:
        return Refused("PAYMENT_NOT_REFUNDABLE", "the provider refused the refund")
    return _not_yet("refund", refund.status)


def _not_yet(what: str, status: int) -> Unknown:
    return Unknown(f"the {what} has status {status}")


def _process_request(order: ChargeOrder) -> pb.ProcessPaymentRequest:
    card = order.card
    return pb.ProcessPaymentRequest(
        amount=decimal(order.amount_minor, order.currency),
        currency=order.currency,
        booking_reference=order.booking_reference,
        user_id=order.user_id,
        payment_method=pb.PaymentMethod(
            type=card.type,
            card_number=card.number,
            expiry_month=card.expiry_month,
            expiry_year=card.expiry_year,
            cvv=card.cvv,
        ),
    )
