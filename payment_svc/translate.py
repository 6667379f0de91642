"""Between messages and domain objects. Nothing else in this service sees a message."""

from collections.abc import Iterable, Mapping, Sequence

from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.privacy.v1 import privacy_pb2 as privacy

from chassis.events import Event
from chassis.messages import decimal, payment_method, struct, timestamp
from chassis.privacy import Record
from payment_svc.domain.log import LogEntry
from payment_svc.domain.payment import Payment, Refund
from payment_svc.ports import KnownCard
from payment_svc.usecases.cancel_payment import Cancellation
from payment_svc.usecases.process_payment import NewPayment
from payment_svc.usecases.read_payments import PaymentPage, PaymentView
from payment_svc.usecases.refund_payment import NewRefund
from payment_svc.usecases.webhooks import Delivery


def new_payment(request: pb.ProcessPaymentRequest, key: str, caller: str) -> NewPayment:
    """The payment to take."""
    return NewPayment(
        key=key,
        amount=request.amount.value,
        currency=request.currency,
        booking_reference=request.booking_reference,
        user_id=request.user_id,
        method=payment_method(request.payment_method),
        caller=caller,
    )


def new_refund(request: pb.RefundPaymentRequest, key: str, caller: str) -> NewRefund:
    """The refund to make."""
    amount = request.amount.value if request.HasField("amount") else None
    return NewRefund(key, request.payment_id, amount, request.reason, caller)


def cancellation(request: pb.CancelPaymentRequest, key: str, caller: str) -> Cancellation:
    """The booking to call off."""
    return Cancellation(key, request.booking_reference, request.reason, caller)


def delivery(
    request: pb.HandleWebhookRequest, metadata: Iterable[tuple[str, str | bytes]]
) -> Delivery:
    """The webhook that came."""
    headers = {name: value for name, value in metadata if isinstance(value, str)}
    return Delivery(request.provider, headers, request.body.data)


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


def payment_view(value: PaymentView) -> pb.Payment:
    """A payment with its refunds and its log as a message."""
    message = payment(value.payment)
    message.refunds.extend(refund(one) for one in value.refunds)
    message.log.extend(_log_entry(one) for one in value.log)
    return message


def known_cards(cards: Sequence[KnownCard]) -> pb.ListTestCardsResponse:
    """Test cards as a message."""
    return pb.ListTestCardsResponse(
        test_cards=[
            pb.TestCard(
                name=one.name,
                card_number=one.number,
                token=one.token,
                description=one.description,
                outcome=one.outcome,
            )
            for one in cards
        ]
    )


def _log_entry(value: LogEntry) -> pb.PaymentLogEntry:
    return pb.PaymentLogEntry(
        happened_at=timestamp(value.happened_at),
        actor=value.saying.actor,
        action=value.saying.action,
        outcome=value.saying.answer,
        detail=value.saying.detail,
        refund_id=value.saying.refund_id,
        status=value.status,
    )


def without_person(stored: bytes, user_id: str) -> bytes:
    """A stored payment, of this user instead of another, and of no card in particular."""
    message = pb.Payment.FromString(stored)
    message.user_id = user_id
    message.payment_method.ClearField("brand")
    message.payment_method.ClearField("last_four")
    return message.SerializeToString()


def user_record(record: Record) -> privacy.UserRecord:
    """A row of a person's as a message."""
    fields = struct(record.fields, pb.Payment.FromString)
    return privacy.UserRecord(kind=record.kind, name=record.name, fields=fields)


def erased(counts: Mapping[str, int]) -> privacy.EraseUserResponse:
    """Rows by table as a message."""
    rows = [privacy.EraseUserResponse.Count(kind=kind, rows=rows) for kind, rows in counts.items()]
    return privacy.EraseUserResponse(counts=rows)
