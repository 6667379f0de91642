"""Between messages and domain objects. Nothing else in this service sees a message."""

from collections.abc import Sequence

from holdfast.payment.v1 import payment_pb2 as pb

from chassis.cards import Card
from chassis.events import Event
from chassis.messages import decimal, timestamp
from payment_svc.domain.payment import Payment, Refund
from payment_svc.usecases.process_payment import NewPayment
from payment_svc.usecases.read_payments import PaymentPage
from payment_svc.usecases.refund_payment import NewRefund


def new_payment(request: pb.ProcessPaymentRequest, key: str) -> NewPayment:
    """The payment to take."""
    method = request.payment_method
    return NewPayment(
        key=key,
        amount=request.amount.value,
        currency=request.currency,
        booking_reference=request.booking_reference,
        user_id=request.user_id,
        card=Card(
            type=pb.PaymentMethod.Type.Name(method.type),
            number=method.card_number,
            expiry_month=method.expiry_month,
            expiry_year=method.expiry_year,
            cvv=method.cvv,
        ),
    )


def new_refund(request: pb.RefundPaymentRequest, key: str) -> NewRefund:
    """The refund to make."""
    amount = request.amount.value if request.HasField("amount") else None
    return NewRefund(key, request.payment_id, amount, request.reason)


def payment(value: Payment) -> pb.Payment:
    """A payment as a message."""
    return pb.Payment(
        payment_id=value.payment_id,
        status=value.status,
        amount=decimal(value.amount_minor, value.currency),
        currency=value.currency,
        transaction_id=value.transaction_id,
        processed_at=timestamp(value.processed_at),
        error_code=value.decline_code,
        error_message=value.decline_code.message if value.decline_code else "",
        booking_reference=value.booking_reference,
        user_id=value.user_id,
        payment_method=pb.PaymentMethodSummary(
            type=value.method.type, brand=value.method.brand, last_four=value.method.last_four
        ),
        refunded_amount=decimal(value.refunded_minor, value.currency),
        created_at=timestamp(value.created_at),
    )


def encode(value: Payment) -> bytes:
    """A payment as the payload of an event."""
    return payment(value).SerializeToString()


def payment_event(event: Event, cursor: str) -> pb.PaymentEvent:
    """An event as a message."""
    return pb.PaymentEvent(
        cursor=cursor,
        payment=pb.Payment.FromString(event.payload),
        occurred_at=timestamp(event.occurred_at),
    )


def cancelled(payments: Sequence[Payment]) -> pb.CancelPaymentResponse:
    """The payments of a booking that was called off, as a message."""
    return pb.CancelPaymentResponse(payments=[payment(one) for one in payments])


def payment_page(page: PaymentPage) -> pb.ListPaymentsResponse:
    """A page of payments as a message."""
    return pb.ListPaymentsResponse(
        payments=[payment(one) for one in page.payments], next_page_token=page.next_page_token
    )


def refund(value: Refund) -> pb.Refund:
    """A refund as a message."""
    return pb.Refund(
        refund_id=value.refund_id,
        status=value.status,
        refunded_amount=decimal(value.amount_minor, value.currency),
        currency=value.currency,
        payment_id=value.payment_id,
        reason=value.reason,
        created_at=timestamp(value.created_at),
    )
