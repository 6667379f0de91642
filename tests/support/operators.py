"""Who looks after the sagas, and what gives them work."""

import asyncio
from typing import Any

from holdfast.booking.v1 import booking_pb2, saga_pb2
from holdfast.booking.v1 import saga_pb2_grpc as rpc
from holdfast.payment.v1 import payment_pb2
from holdfast.payment.v1 import payment_pb2_grpc as payment_rpc

from booking_svc.saga.machine import PATIENCE
from payment_svc.domain.outcome import DeclineCode, Declined
from support.bookings import WAIT_S, Stack
from support.client import As

CONFIRM, CANCEL = "confirm_booking", "cancel_booking"
NO = Declined(DeclineCode.CARD_DECLINED)


class Operator:
    """Somebody with the scope `admin`, at one replica of the booking service."""

    def __init__(self, channel: Any, user_id: str = "olga", scope: str = "admin") -> None:
        self._call = As(rpc.SagaServiceStub(channel), user_id, scope)

    async def page(self, **request: Any) -> saga_pb2.ListSagasResponse:
        return await self._call.ListSagas(saga_pb2.ListSagasRequest(**request))

    async def show(self, booking_id: int, name: str = CANCEL) -> saga_pb2.Saga:
        request = saga_pb2.GetSagaRequest(booking_id=booking_id, name=name)
        return await self._call.GetSaga(request)

    async def retry(self, booking_id: int, name: str = CANCEL) -> saga_pb2.Saga:
        request = saga_pb2.RetrySagaRequest(booking_id=booking_id, name=name)
        return await self._call.RetrySaga(request)

    async def resolve(
        self, booking_id: int, name: str = CANCEL, note: str = "refunded at the desk"
    ) -> saga_pb2.Saga:
        request = saga_pb2.ResolveSagaRequest(booking_id=booking_id, name=name, note=note)
        return await self._call.ResolveSaga(request)

    async def sees(self, booking_id: int, state: str, name: str = CANCEL) -> saga_pb2.Saga:
        """Read a saga until it is in this state."""
        wanted = saga_pb2.Saga.State.Value(state)
        async with asyncio.timeout(WAIT_S):
            while True:
                saga = await self.show(booking_id, name)
                if saga.state == wanted:
                    return saga
                await asyncio.sleep(0.02)


async def operator(stack: Stack, replica: int = 0, **who: str) -> Operator:
    return Operator(await stack.channel(stack.bookings[replica]), **who)


async def cancellation_parked(
    stack: Stack, seat: str = "A1", key: str = "k"
) -> booking_pb2.Booking:
    """A booking of Ann whose refund was refused until its cancellation was parked."""
    ann = stack.buyer("ann")
    booking = await ann.confirm(await ann.hold(seat), key)
    stack.provider.refund_answers = [NO] * PATIENCE.refusals
    await ann.cancel(booking.booking_id)
    await (await operator(stack)).sees(booking.booking_id, "NEEDS_ATTENTION")
    return await ann.get(booking.booking_id)


async def refund_by_hand(stack: Stack, booking: booking_pb2.Booking) -> None:
    """Give the money of a booking back past its saga, as a clerk does."""
    stub = payment_rpc.PaymentServiceStub(await stack.channel(stack.payment))
    request = payment_pb2.RefundPaymentRequest(payment_id=booking.payment_id, reason="BY_HAND")
    await As(stub, "clerk", "payments").RefundPayment(request, idempotency_key="by hand")
