"""The door: translate, call one use case, translate back."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from holdfast.auth.v1 import access_pb2
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc
from holdfast.privacy.v1 import privacy_pb2 as privacy
from holdfast.privacy.v1 import privacy_pb2_grpc as privacy_rpc

from chassis import context as call_context
from chassis import tracing
from chassis.access import access_of
from chassis.clock import Clock
from chassis.idempotency import read_key
from chassis.privacy import Privacy, moment_of
from inventory_svc import translate
from inventory_svc.domain.reservation import Reservation
from inventory_svc.ports import Inventory
from inventory_svc.usecases.events import Events
from inventory_svc.usecases.reservations import Reservations

SERVICE = pb.DESCRIPTOR.services_by_name["InventoryService"]
NAME = SERVICE.full_name
PRIVACY = privacy.DESCRIPTOR.services_by_name["PrivacyService"]
PRIVACY_NAME = PRIVACY.full_name
ACCESS = access_of([SERVICE, PRIVACY], access_pb2.scopes, access_pb2.open)
# The scope that opens everyone's reservations.
EVERYONES = "inventory"


class InventoryServicer(rpc.InventoryServiceServicer):
    """`holdfast.inventory.v1.InventoryService`."""

    def __init__(self, events: Events, reservations: Reservations, clock: Clock) -> None:
        """Serve these use cases."""
        self._events = events
        self._reservations = reservations
        self._clock = clock

    async def CreateEvent(self, request: pb.CreateEventRequest, context: Any) -> pb.Event:
        """See the contract."""
        key = read_key(context.invocation_metadata(), request.idempotency_key)
        user_id = call_context.caller().user_id
        created = await self._events.create(user_id, key, translate.new_event(request))
        if created.replayed:
            call_context.mark_replayed()
        return translate.event(created.event)

    async def ListEvents(
        self, request: pb.ListEventsRequest, context: Any
    ) -> pb.ListEventsResponse:
        """See the contract."""
        return translate.event_page(await self._events.page(request.page_size, request.page_token))

    async def ListSeats(self, request: pb.ListSeatsRequest, context: Any) -> pb.ListSeatsResponse:
        """See the contract."""
        page = await self._events.seats(request.event_id, request.page_size, request.page_token)
        return translate.seat_page(page)

    async def ReserveSeats(
        self, request: pb.ReserveSeatsRequest, context: Any
    ) -> pb.ReserveSeatsResponse:
        """See the contract."""
        key = read_key(context.invocation_metadata(), request.idempotency_key)
        user_id = call_context.caller().user_id
        held = await self._reservations.reserve(translate.seat_request(request, user_id, key))
        if held.replayed:
            call_context.mark_replayed()
        return pb.ReserveSeatsResponse(reservations=self._messages(held.reservations))

    async def GetReservations(
        self, request: pb.GetReservationsRequest, context: Any
    ) -> pb.GetReservationsResponse:
        """See the contract."""
        found = await self._reservations.get(request.ids, _owner())
        return pb.GetReservationsResponse(reservations=self._messages(found))

    async def ExtendReservations(
        self, request: pb.ExtendReservationsRequest, context: Any
    ) -> pb.ExtendReservationsResponse:
        """See the contract."""
        ttl_s = translate.ttl(request)
        held = await self._reservations.extend(request.reservation_ids, ttl_s, _owner())
        return pb.ExtendReservationsResponse(reservations=self._messages(held))

    async def ConfirmReservations(
        self, request: pb.ConfirmReservationsRequest, context: Any
    ) -> pb.ConfirmReservationsResponse:
        """See the contract."""
        tracing.note(booking_reference=request.booking_reference)
        held = await self._reservations.confirm(
            request.reservation_ids,
            request.booking_reference,
            retake_expired=request.retake_expired,
        )
        return pb.ConfirmReservationsResponse(reservations=self._messages(held))

    async def CancelReservations(
        self, request: pb.CancelReservationsRequest, context: Any
    ) -> pb.CancelReservationsResponse:
        """See the contract."""
        tracing.note(booking_reference=request.booking_reference)
        held = await self._reservations.cancel(request.reservation_ids, request.booking_reference)
        return pb.CancelReservationsResponse(reservations=self._messages(held))

    def _messages(self, held: Sequence[Reservation]) -> list[pb.Reservation]:
        return translate.reservations(held, self._clock.now())


class PrivacyServicer(privacy_rpc.PrivacyServiceServicer):
    """`holdfast.privacy.v1.PrivacyService`, of the inventory."""

    def __init__(self, use_case: Privacy[Inventory]) -> None:
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


def _owner() -> str | None:
    """Whose reservations the caller may see: the caller's own, or everyone's (none)."""
    caller = call_context.caller()
    return None if caller.has(EVERYONES) else caller.user_id
