"""The door: translate, call one use case, translate back."""

from collections.abc import Sequence
from typing import Any

from holdfast.auth.v1 import access_pb2
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc

from chassis import context as call_context
from chassis import tracing
from chassis.access import access_of
from chassis.clock import Clock
from chassis.idempotency import read_key
from inventory_svc import translate
from inventory_svc.domain.reservation import Reservation
from inventory_svc.usecases.events import Events
from inventory_svc.usecases.reservations import Reservations

SERVICE = pb.DESCRIPTOR.services_by_name["InventoryService"]
NAME = SERVICE.full_name
ACCESS = access_of([SERVICE], access_pb2.scopes, access_pb2.open)
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


def _owner() -> str | None:
    """Whose reservations the caller may see: the caller's own, or everyone's (none)."""
    caller = call_context.caller()
    return None if caller.has(EVERYONES) else caller.user_id
