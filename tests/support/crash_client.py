"""A buyer who asks again until there is an answer, and writes down what it was."""

import asyncio
import base64
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc.aio
from google.api.httpbody_pb2 import HttpBody
from holdfast.booking.v1 import booking_pb2 as pb
from holdfast.booking.v1 import booking_pb2_grpc as rpc
from holdfast.inventory.v1 import inventory_pb2_grpc as inventory_rpc
from holdfast.payment.v1 import payment_pb2
from holdfast.payment.v1 import payment_pb2_grpc as payment_rpc
from standardwebhooks import Webhook

from chassis.status import from_rpc_error
from support import build
from support.bookings import GOOD_CARD, confirm_request
from support.crash_world import BOOKING, INVENTORY, PAYMENT, World
from support.tokens import metadata_for

ORDER = "ORDER-1"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of the tests").decode()
# However often a process dies meanwhile.
ANSWER_MAX_S = 60.0
CALL_S = 10.0
AGAIN_AFTER_S = 0.05
FINAL = ("CONFIRMED", "FAILED", "CANCELLED")
FAILED = ("PAYMENT_FAILED", "SEATS_LOST")
AGAIN = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    # A connection that broke in the middle of an answer.
    grpc.StatusCode.UNKNOWN,
)


class Client:
    """One user of a world."""

    def __init__(self, world: World, user_id: str = "") -> None:
        self._world = world
        # Worlds may share a Redis, where keys are told apart by their users.
        self._user_id = user_id or f"ann-{uuid.uuid4().hex}"

    async def event(self, *seats: str) -> int:
        stub = inventory_rpc.InventoryServiceStub(self._world.channel(INVENTORY))
        request = build.create_event(seats)
        call = stub.CreateEvent(request, metadata=metadata_for("root", "admin"), timeout=CALL_S)
        return int((await call).event_id)

    async def holds(self, event_id: int, *seats: str, key: str = "hold") -> list[int]:
        """Reserve seats, asking again with the same key."""
        # Too short to pay in: it has to be extended.
        request = build.reserve(event_id, *seats, ttl_s=30)

        async def once() -> Any:
            stub = inventory_rpc.InventoryServiceStub(self._world.channel(INVENTORY))
            metadata = metadata_for(self._user_id, idempotency_key=key)
            return await stub.ReserveSeats(request, metadata=metadata, timeout=CALL_S)

        held = await self._until_answered(once)
        return [one.reservation_id for one in held.reservations]

    async def books(self, reservation_ids: list[int], card: str = GOOD_CARD, key: str = "k") -> str:
        """Book, asking again with the same key; what it was answered in the end."""
        request = confirm_request(reservation_ids, card)

        async def once() -> str | None:
            metadata = metadata_for(self._user_id, idempotency_key=key)
            stub = rpc.BookingServiceStub(self._world.channel(BOOKING))
            try:
                booking = await stub.ConfirmBooking(request, metadata=metadata, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                info = from_rpc_error(error)
                if info.reason not in FAILED:
                    raise
                self._note("FAILED", key=key, bookingReference=info.metadata["bookingReference"])
                return info.reason
            status = pb.Booking.Status.Name(booking.status)
            self._note(status, key=key, bookingId=booking.booking_id)
            return status if status in FINAL else None

        return str(await self._until_answered(once))

    async def first_booking(self) -> int:
        """The id of the only booking, as soon as there is one."""

        async def once() -> int | None:
            stub = rpc.BookingServiceStub(self._world.channel(BOOKING))
            request = pb.ListMyBookingsRequest()
            metadata = metadata_for(self._user_id)
            found = await stub.ListMyBookings(request, metadata=metadata, timeout=CALL_S)
            return found.bookings[0].booking_id if found.bookings else None

        return int(await self._until_answered(once))

    async def cancels(self, booking_id: int) -> str:
        """Cancel, asking again; what it was answered in the end."""
        self._note(None, bookingId=booking_id, cancelled=True)

        async def once() -> str | None:
            stub = rpc.BookingServiceStub(self._world.channel(BOOKING))
            request = pb.CancelBookingRequest(booking_id=booking_id)
            metadata = metadata_for(self._user_id)
            try:
                booking = await stub.CancelBooking(request, metadata=metadata, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                info = from_rpc_error(error)
                if info.reason != "BOOKING_NOT_CANCELLABLE":
                    raise
                return info.reason
            status = pb.Booking.Status.Name(booking.status)
            if status not in FINAL:
                return None
            self._note(status, bookingId=booking_id, cancelled=True)
            return status

        return str(await self._until_answered(once))

    async def pays(self, card: str = GOOD_CARD) -> str:
        """Take a payment as a client of the payment adapter alone; its id."""
        request = payment_pb2.ProcessPaymentRequest(
            amount=build.decimal("75.00"),
            currency="USD",
            booking_reference=ORDER,
            user_id=self._user_id,
            payment_method=confirm_request([], card).payment_method,
            idempotency_key="pay",
        )

        async def once() -> str:
            stub = payment_rpc.PaymentServiceStub(self._world.channel(PAYMENT))
            metadata = metadata_for(self._user_id, "payments")
            paid = await stub.ProcessPayment(request, metadata=metadata, timeout=CALL_S)
            return str(paid.payment_id)

        return str(await self._until_answered(once))

    async def payment(self) -> payment_pb2.Payment:
        """That payment, as it is now."""

        async def once() -> Any:
            stub = payment_rpc.PaymentServiceStub(self._world.channel(PAYMENT))
            request = payment_pb2.ListPaymentsRequest(booking_reference=ORDER)
            metadata = metadata_for(self._user_id, "payments")
            return await stub.ListPayments(request, metadata=metadata, timeout=CALL_S)

        (found,) = (await self._until_answered(once)).payments
        return found

    async def calls_off(self) -> None:
        """Call that order off, asking again."""

        async def once() -> Any:
            stub = payment_rpc.PaymentServiceStub(self._world.channel(PAYMENT))
            request = payment_pb2.CancelPaymentRequest(booking_reference=ORDER)
            metadata = metadata_for(self._user_id, "payments")
            return await stub.CancelPayment(request, metadata=metadata, timeout=CALL_S)

        await self._until_answered(once)

    async def tells(self, event_id: str, reference: str, transaction_id: str) -> None:
        """Deliver a webhook as the mock provider does, again and again until it is taken."""
        told = {"reference": reference, "transaction_id": transaction_id}
        body = json.dumps({"type": "charge.succeeded", "data": told})
        now = datetime.now(UTC)
        signed = (
            ("webhook-id", event_id),
            ("webhook-timestamp", str(int(now.timestamp()))),
            ("webhook-signature", Webhook(WEBHOOK_SECRET).sign(event_id, now, body)),
        )
        request = payment_pb2.HandleWebhookRequest(
            provider="mock", body=HttpBody(data=body.encode())
        )

        async def once() -> Any:
            stub = payment_rpc.PaymentServiceStub(self._world.channel(PAYMENT))
            return await stub.HandleWebhook(request, metadata=signed, timeout=CALL_S)

        await self._until_answered(once)

    async def refunds(self, payment_id: str) -> str:
        """Give it back, asking again; what became of it."""
        return str(await self._until_answered(lambda: self.tries_to_refund(payment_id)))

    async def tries_to_refund(self, payment_id: str) -> str | None:
        """The same, once."""
        stub = payment_rpc.PaymentServiceStub(self._world.channel(PAYMENT))
        request = payment_pb2.RefundPaymentRequest(
            payment_id=payment_id, reason="a test", idempotency_key="back"
        )
        metadata = metadata_for(self._user_id, "payments")
        refund = await stub.RefundPayment(request, metadata=metadata, timeout=CALL_S)
        status = payment_pb2.Refund.Status.Name(refund.status)
        return None if status == "PENDING" else status

    async def _until_answered(self, once: Any) -> Any:
        async with asyncio.timeout(ANSWER_MAX_S):
            while True:
                try:
                    answer = await once()
                except grpc.aio.AioRpcError as error:
                    if error.code() not in AGAIN:
                        raise
                else:
                    if answer is not None:
                        return answer
                await asyncio.sleep(AGAIN_AFTER_S)

    def _note(self, status: str | None, **facts: Any) -> None:
        entry = {"userId": self._user_id, "at": datetime.now(UTC).isoformat(), **facts}
        self._world.answers.append(entry if status is None else {**entry, "status": status})
