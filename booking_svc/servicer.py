"""The door: translate, call one use case, translate back."""

from typing import Any

from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc

from booking_svc import translate
from booking_svc.usecases.cancel_booking import CancelBooking
from booking_svc.usecases.confirm_booking import ConfirmBooking
from booking_svc.usecases.read_bookings import ReadBookings
from chassis import context as call_context
from chassis.errors import DomainError
from chassis.idempotency import require_key

SERVICE = pb.DESCRIPTOR.services_by_name["BookingService"]
NAME = SERVICE.full_name
SCOPES = {f"/{NAME}/{method.name}": frozenset({"bookings"}) for method in SERVICE.methods}


class BookingServicer(rpc.BookingServiceServicer):
    """`holdfast.booking.v1.BookingService`."""

    def __init__(self, confirm: ConfirmBooking, cancel: CancelBooking, read: ReadBookings) -> None:
        """Serve these use cases."""
        self._confirm = confirm
        self._cancel = cancel
        self._read = read

    async def ConfirmBooking(self, request: pb.ConfirmBookingRequest, context: Any) -> pb.Booking:
        """See the contract."""
        key = require_key(context.invocation_metadata(), request.idempotency_key)
        user_id = call_context.caller().user_id
        answer = await self._confirm(translate.booking_request(request, user_id, key))
        if answer.replayed:
            call_context.mark_replayed()
        if isinstance(answer.message, DomainError):
            raise answer.message
        return pb.Booking.FromString(answer.message)

    async def ListMyBookings(
        self, request: pb.ListMyBookingsRequest, context: Any
    ) -> pb.ListMyBookingsResponse:
        """See the contract."""
        user_id = call_context.caller().user_id
        page = await self._read.page(user_id, request.page_size, request.page_token)
        return translate.booking_page(page)

    async def GetBooking(self, request: pb.GetBookingRequest, context: Any) -> pb.Booking:
        """See the contract."""
        user_id = call_context.caller().user_id
        return translate.booking(await self._read.one(user_id, request.booking_id))

    async def CancelBooking(self, request: pb.CancelBookingRequest, context: Any) -> pb.Booking:
        """See the contract."""
        user_id = call_context.caller().user_id
        return translate.booking(await self._cancel(user_id, request.booking_id))
