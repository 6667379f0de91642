"""The door: translate, call one use case, translate back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from holdfast.auth.v1 import access_pb2
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from holdfast.privacy.v1 import privacy_pb2 as privacy
from holdfast.privacy.v1 import privacy_pb2_grpc as privacy_rpc

from chassis import context as call_context
from chassis import tracing
from chassis.access import access_of
from chassis.events import EventFeed
from chassis.idempotency import read_key
from chassis.privacy import Privacy, moment_of
from payment_svc import translate
from payment_svc.ports import Ledger
from payment_svc.usecases.cancel_payment import CancelPayment
from payment_svc.usecases.process_payment import ProcessPayment
from payment_svc.usecases.read_payments import ListKnownCards, ReadPayments
from payment_svc.usecases.refund_payment import RefundPayment
from payment_svc.usecases.webhooks import Webhooks

SERVICE = pb.DESCRIPTOR.services_by_name["PaymentService"]
NAME = SERVICE.full_name
PRIVACY = privacy.DESCRIPTOR.services_by_name["PrivacyService"]
PRIVACY_NAME = PRIVACY.full_name
ACCESS = access_of([SERVICE, PRIVACY], access_pb2.scopes, access_pb2.open)


@dataclass(frozen=True)
class UseCases:
    """What is behind the door."""

    process: ProcessPayment
    refund: RefundPayment
    cancel: CancelPayment
    read: ReadPayments
    webhooks: Webhooks
    events: EventFeed
    known_cards: ListKnownCards


class PaymentServicer(rpc.PaymentServiceServicer):
    """`holdfast.payment.v1.PaymentService`."""

    def __init__(self, use_cases: UseCases) -> None:
        """Serve these."""
        self._do = use_cases

    async def ProcessPayment(self, request: pb.ProcessPaymentRequest, context: Any) -> pb.Payment:
        """See the contract."""
        tracing.note(booking_reference=request.booking_reference)
        key = read_key(context.invocation_metadata(), request.idempotency_key)
        processed = await self._do.process(translate.new_payment(request, key, _caller()))
        if processed.replayed:
            call_context.mark_replayed()
        tracing.note(payment_id=processed.payment.payment_id)
        return translate.payment(processed.payment)

    async def GetPayment(self, request: pb.GetPaymentRequest, context: Any) -> pb.Payment:
        """See the contract."""
        full = request.view == pb.GetPaymentRequest.FULL
        found = await self._do.read.one(request.payment_id, full=full)
        tracing.note(
            payment_id=request.payment_id, booking_reference=found.payment.booking_reference
        )
        return translate.payment_view(found) if full else translate.payment(found.payment)

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, context: Any
    ) -> pb.ListPaymentsResponse:
        """See the contract."""
        tracing.note(booking_reference=request.booking_reference)
        page = await self._do.read.page(
            request.booking_reference, request.page_size, request.page_token
        )
        return translate.payment_page(page)

    async def RefundPayment(self, request: pb.RefundPaymentRequest, context: Any) -> pb.Refund:
        """See the contract."""
        key = read_key(context.invocation_metadata(), request.idempotency_key)
        tracing.note(payment_id=request.payment_id)
        refunded = await self._do.refund(translate.new_refund(request, key, _caller()))
        if refunded.replayed:
            call_context.mark_replayed()
        return translate.refund(refunded.refund)

    async def CancelPayment(
        self, request: pb.CancelPaymentRequest, context: Any
    ) -> pb.CancelPaymentResponse:
        """See the contract."""
        key = read_key(context.invocation_metadata(), request.idempotency_key)
        tracing.note(booking_reference=request.booking_reference)
        cancelled = await self._do.cancel(translate.cancellation(request, key, _caller()))
        if cancelled.replayed:
            call_context.mark_replayed()
        return translate.cancelled(cancelled.payments)

    async def HandleWebhook(
        self, request: pb.HandleWebhookRequest, context: Any
    ) -> pb.HandleWebhookResponse:
        """See the contract."""
        await self._do.webhooks(translate.delivery(request, context.invocation_metadata() or ()))
        return pb.HandleWebhookResponse()

    async def ListTestCards(
        self, request: pb.ListTestCardsRequest, context: Any
    ) -> pb.ListTestCardsResponse:
        """See the contract."""
        return translate.known_cards(self._do.known_cards())

    async def StreamPaymentEvents(
        self, request: pb.StreamPaymentEventsRequest, context: Any
    ) -> AsyncIterator[pb.PaymentEvent]:
        """See the contract."""
        async for event in self._do.events.stream(self._do.events.position(request.cursor)):
            yield translate.payment_event(event, self._do.events.cursor(event))


class PrivacyServicer(privacy_rpc.PrivacyServiceServicer):
    """`holdfast.privacy.v1.PrivacyService`, of payments."""

    def __init__(self, use_case: Privacy[Ledger]) -> None:
        """Serve this use case."""
        self._privacy = use_case

    async def ExportUser(
        self, request: privacy.ExportUserRequest, context: Any
    ) -> AsyncIterator[privacy.UserRecord]:
        """See the contract."""
        async for record in self._privacy.export(request.user_id):
            yield translate.user_record(record)

    async def EraseUser(
        self, request: privacy.EraseUserRequest, context: Any
    ) -> privacy.EraseUserResponse:
        """See the contract."""
        counts = await self._privacy.erase(
            request.user_id,
            request.replacement,
            moment_of(request),
            validate_only=request.validate_only,
        )
        return translate.erased(counts)


def _caller() -> str:
    return call_context.caller().user_id
