"""The door: translate, call one use case, translate back."""

from collections.abc import AsyncIterator
from typing import Any

from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc

from chassis import context as call_context
from chassis.events import EventFeed
from chassis.idempotency import read_key
from payment_svc import translate
from payment_svc.usecases.cancel_payment import CancelPayment
from payment_svc.usecases.process_payment import ProcessPayment
from payment_svc.usecases.read_payments import ReadPayments
from payment_svc.usecases.refund_payment import RefundPayment

SERVICE = pb.DESCRIPTOR.services_by_name["PaymentService"]
NAME = SERVICE.full_name
SCOPES = {f"/{NAME}/{method.name}": frozenset({"payments"}) for method in SERVICE.methods}


class PaymentServicer(rpc.PaymentServiceServicer):
    """`holdfast.payment.v1.PaymentService`."""

    def __init__(
        self,
        process: ProcessPayment,
        refund: RefundPayment,
        cancel: CancelPayment,
        read: ReadPayments,
        events: EventFeed,
    ) -> None:
        """Serve these use cases."""
        self._process = process
        self._refund = refund
        self._cancel = cancel
        self._read = read
        self._events = events

    async def ProcessPayment(self, request: pb.ProcessPaymentRequest, context: Any) -> pb.Payment:
        """See the contract."""
        key = read_key(context.invocation_metadata(), request.idempotency_key)
        processed = await self._process(translate.new_payment(request, key))
        if processed.replayed:
            call_context.mark_replayed()
        return translate.payment(processed.payment)

    async def GetPayment(self, request: pb.GetPaymentRequest, context: Any) -> pb.Payment:
        """See the contract."""
        return translate.payment(await self._read.one(request.payment_id))

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, context: Any
    ) -> pb.ListPaymentsResponse:
        """See the contract."""
        page = await self._read.page(
            request.booking_reference, request.page_size, request.page_token
        )
        return translate.payment_page(page)

    async def RefundPayment(self, request: pb.RefundPaymentRequest, context: Any) -> pb.Refund:
        """See the contract."""
        key = read_key(context.invocation_metadata(), request.idempotency_key)
        refunded = await self._refund(translate.new_refund(request, key))
        if refunded.replayed:
            call_context.mark_replayed()
        return translate.refund(refunded.refund)

    async def CancelPayment(
        self, request: pb.CancelPaymentRequest, context: Any
    ) -> pb.CancelPaymentResponse:
        """See the contract."""
        return translate.cancelled(await self._cancel(request.booking_reference, request.reason))

    async def StreamPaymentEvents(
        self, request: pb.StreamPaymentEventsRequest, context: Any
    ) -> AsyncIterator[pb.PaymentEvent]:
        """See the contract."""
        async for event in self._events.stream(self._events.position(request.cursor)):
            yield translate.payment_event(event, self._events.cursor(event))
