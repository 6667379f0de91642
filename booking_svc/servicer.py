"""The door: translate, call one use case, translate back."""

from collections.abc import AsyncIterator
from typing import Any

from holdfast.auth.v1 import access_pb2
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc
from holdfast.booking.v1 import saga_pb2
from holdfast.booking.v1 import saga_pb2_grpc as saga_rpc
from holdfast.privacy.v1 import privacy_pb2 as privacy
from holdfast.privacy.v1 import privacy_pb2_grpc as privacy_rpc

from booking_svc import translate
from booking_svc.usecases.cancel_booking import CancelBooking
from booking_svc.usecases.confirm_booking import ConfirmBooking
from booking_svc.usecases.operate_sagas import OperateSagas
from booking_svc.usecases.privacy import BookingPrivacy
from booking_svc.usecases.read_bookings import ReadBookings
from booking_svc.usecases.watch_booking import WatchBooking
from chassis import context as call_context
from chassis import tracing
from chassis.access import access_of
from chassis.errors import DomainError
from chassis.events import EventFeed
from chassis.idempotency import read_wait, require_key
from chassis.privacy import moment_of

SERVICE = pb.DESCRIPTOR.services_by_name["BookingService"]
NAME = SERVICE.full_name
SAGAS = saga_pb2.DESCRIPTOR.services_by_name["SagaService"]
SAGAS_NAME = SAGAS.full_name
PRIVACY = privacy.DESCRIPTOR.services_by_name["PrivacyService"]
PRIVACY_NAME = PRIVACY.full_name
ACCESS = access_of((SERVICE, SAGAS, PRIVACY), access_pb2.scopes, access_pb2.open)


class BookingServicer(rpc.BookingServiceServicer):
    """`holdfast.booking.v1.BookingService`."""

    def __init__(
        self,
        *,
        confirm: ConfirmBooking,
        cancel: CancelBooking,
        read: ReadBookings,
        watch: WatchBooking,
        feed: EventFeed,
    ) -> None:
        """Serve these use cases."""
        self._confirm = confirm
        self._cancel = cancel
        self._read = read
        self._watch = watch
        self._feed = feed

    async def ConfirmBooking(self, request: pb.ConfirmBookingRequest, context: Any) -> pb.Booking:
        """See the contract."""
        key = require_key(context.invocation_metadata(), request.idempotency_key)
        user_id = call_context.caller().user_id
        wait = read_wait(context.invocation_metadata())
        answer = await self._confirm(translate.booking_request(request, user_id, key), wait=wait)
        if answer.replayed:
            call_context.mark_replayed()
        if isinstance(answer.message, DomainError):
            tracing.note(booking_reference=answer.message.metadata.get("bookingReference", ""))
            raise answer.message
        return _seen(pb.Booking.FromString(answer.message))

    async def ListMyBookings(
        self, request: pb.ListMyBookingsRequest, context: Any
    ) -> pb.ListMyBookingsResponse:
        """See the contract."""
        user_id = call_context.caller().user_id
        page = await self._read.page(
            user_id, request.page_size, request.page_token, request.booking_reference
        )
        return translate.booking_page(page)

    async def ListBookings(
        self, request: pb.ListBookingsRequest, context: Any
    ) -> pb.ListBookingsResponse:
        """See the contract."""
        status = translate.booking_status(request.status)
        page = await self._read.all(status, request.page_size, request.page_token)
        return translate.all_bookings_page(page)

    async def GetBooking(self, request: pb.GetBookingRequest, context: Any) -> pb.Booking:
        """See the contract."""
        user_id = call_context.caller().user_id
        return _seen(translate.booking(await self._read.one(user_id, request.booking_id)))

    async def CancelBooking(self, request: pb.CancelBookingRequest, context: Any) -> pb.Booking:
        """See the contract."""
        user_id = call_context.caller().user_id
        return _seen(translate.booking(await self._cancel(user_id, request.booking_id)))

    async def WatchBooking(
        self, request: pb.WatchBookingRequest, context: Any
    ) -> AsyncIterator[pb.Booking]:
        """See the contract."""
        user_id = call_context.caller().user_id
        async for booking in self._watch(user_id, request.booking_id):
            yield _seen(translate.booking(booking))

    async def StreamBookingEvents(
        self, request: pb.StreamBookingEventsRequest, context: Any
    ) -> AsyncIterator[pb.BookingEvent]:
        """See the contract."""
        async for event in self._feed.stream(self._feed.position(request.cursor)):
            yield translate.booking_event(event, self._feed.cursor(event))


class PrivacyServicer(privacy_rpc.PrivacyServiceServicer):
    """`holdfast.privacy.v1.PrivacyService`, of bookings."""

    def __init__(self, use_case: BookingPrivacy) -> None:
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


def _seen(booking: pb.Booking) -> pb.Booking:
    """The booking, after its reference was noted for the log line of this call."""
    tracing.note(booking_reference=booking.booking_reference)
    return booking


class SagaServicer(saga_rpc.SagaServiceServicer):
    """`holdfast.booking.v1.SagaService`."""

    def __init__(self, operate: OperateSagas) -> None:
        """Serve this use case."""
        self._operate = operate

    async def ListSagas(
        self, request: saga_pb2.ListSagasRequest, context: Any
    ) -> saga_pb2.ListSagasResponse:
        """See the contract."""
        page = await self._operate.page(
            translate.saga_state(request.state),
            request.booking_reference,
            request.page_size,
            request.page_token,
        )
        return translate.saga_page(page)

    async def GetSaga(self, request: saga_pb2.GetSagaRequest, context: Any) -> saga_pb2.Saga:
        """See the contract."""
        return translate.saga(await self._operate.one(request.booking_id, request.name))

    async def RetrySaga(self, request: saga_pb2.RetrySagaRequest, context: Any) -> saga_pb2.Saga:
        """See the contract."""
        operator = call_context.caller().user_id
        view = await self._operate.retry(request.booking_id, request.name, operator)
        return translate.saga(view)

    async def ResolveSaga(
        self, request: saga_pb2.ResolveSagaRequest, context: Any
    ) -> saga_pb2.Saga:
        """See the contract."""
        operator = call_context.caller().user_id
        view = await self._operate.resolve(request.booking_id, request.name, request.note, operator)
        return translate.saga(view)
