"""The port `Inventory` over gRPC."""

from collections.abc import Sequence
from datetime import UTC

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc

from booking_svc.clients.outcomes import outcome_of
from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.domain.reservation import Reservation
from chassis import money
from chassis.channels import Outgoing

SERVICE = pb.DESCRIPTOR.services_by_name["InventoryService"]
# The inventory answers from its own database: longer than this, something is wrong.
TIMEOUT_S = 10.0
REFUSALS = frozenset({"RESERVATION_NOT_FOUND", "RESERVATION_EXPIRED", "RESERVATION_NOT_ACTIVE"})


class InventoryClient:
    """Calls the inventory."""

    def __init__(self, channel: grpc.aio.Channel, outgoing: Outgoing) -> None:
        """Call over this channel."""
        self._stub = rpc.InventoryServiceStub(channel)
        self._outgoing = outgoing

    async def reservations(
        self, reservation_ids: Sequence[int]
    ) -> Done[list[Reservation]] | Refused | Unknown:
        """Read reservations, in the order asked for."""
        request = pb.GetReservationsRequest(ids=reservation_ids)
        call = self._outgoing.call(self._stub.GetReservations, request, timeout_s=TIMEOUT_S)
        outcome = await outcome_of(call, REFUSALS)
        if isinstance(outcome, Done):
            return Done([_reservation(one) for one in outcome.value.reservations])
        return outcome

    async def extend(
        self, reservation_ids: Sequence[int], ttl_s: float
    ) -> Done[None] | Refused | Unknown:
        """Hold the seats for at least so many seconds from now."""
        ttl = Duration()
        ttl.FromMilliseconds(int(ttl_s * 1000))
        request = pb.ExtendReservationsRequest(reservation_ids=reservation_ids, ttl=ttl)
        call = self._outgoing.call(self._stub.ExtendReservations, request, timeout_s=TIMEOUT_S)
        return _without_value(await outcome_of(call, REFUSALS | {"INVALID_FIELD"}))

    async def confirm(
        self, reservation_ids: Sequence[int], booking_reference: str, *, retake: bool
    ) -> Done[None] | Refused | Unknown:
        """Book the seats for a booking; with `retake` also seats that were let go and are free."""
        request = pb.ConfirmReservationsRequest(
            reservation_ids=reservation_ids,
            booking_reference=booking_reference,
            retake_expired=retake,
        )
        call = self._outgoing.call(self._stub.ConfirmReservations, request, timeout_s=TIMEOUT_S)
        return _without_value(await outcome_of(call, REFUSALS))

    async def cancel(
        self, reservation_ids: Sequence[int], booking_reference: str
    ) -> Done[None] | Refused | Unknown:
        """See to it that a booking holds none of the seats."""
        request = pb.CancelReservationsRequest(
            reservation_ids=reservation_ids, booking_reference=booking_reference
        )
        call = self._outgoing.call(self._stub.CancelReservations, request, timeout_s=TIMEOUT_S)
        return _without_value(await outcome_of(call, REFUSALS))


def _without_value(outcome: Done[object] | Refused | Unknown) -> Done[None] | Refused | Unknown:
    return Done(None) if isinstance(outcome, Done) else outcome


def _reservation(message: pb.Reservation) -> Reservation:
    return Reservation(
        reservation_id=message.reservation_id,
        event_id=message.event_id,
        user_id=message.user_id,
        seat_number=message.seat.seat_number,
        price_minor=money.to_minor(message.seat.price.value, message.currency),
        currency=message.currency,
        status=pb.Reservation.Status.Name(message.status),
        expires_at=message.expires_at.ToDatetime(tzinfo=UTC),
    )
