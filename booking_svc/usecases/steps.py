"""The actions that the saga tables name: one call each, safe to repeat.

Each call carries a key of our own, made of the booking reference and the step, never
the client's key.
"""

from booking_svc.domain.outcome import Done, Refused, Unknown
from booking_svc.ports import ChargeOrder, Inventory, Payments
from booking_svc.saga.runner import Action, Errand


class Steps:
    """Calls the inventory and the payment adapter for a booking."""

    def __init__(self, inventory: Inventory, payments: Payments) -> None:
        """Call these."""
        self._inventory = inventory
        self._payments = payments

    def actions(self) -> dict[str, Action]:
        """Every action, by the name that the tables use."""
        return {
            "take_payment": self.take_payment,
            "give_back_payment": self.give_back_payment,
            "confirm_seats": self.confirm_seats,
            "release_seats": self.release_seats,
        }

    async def take_payment(self, errand: Errand) -> Done[str] | Refused | Unknown:
        """Charge the card with the total."""
        booking = errand.booking
        if errand.card is None:
            return Unknown("the card is gone: it is kept in memory only")
        order = ChargeOrder(
            key=f"{booking.booking_reference}/charge",
            booking_reference=booking.booking_reference,
            user_id=booking.user_id,
            amount_minor=booking.total_minor,
            currency=booking.currency,
            card=errand.card,
        )
        return await self._payments.charge(order)

    async def give_back_payment(self, errand: Errand) -> Done[None] | Refused | Unknown:
        """Give back all of the payment; under a new key after each refusal, which is final."""
        booking = errand.booking
        reason = booking.failure.reason if booking.failure else "BOOKING_CANCELLED"
        key = f"{booking.booking_reference}/give-back/{errand.refusals}"
        return await self._payments.give_back(booking.payment_id, key, reason)

    async def confirm_seats(self, errand: Errand) -> Done[None] | Refused | Unknown:
        """Book the seats."""
        booking = errand.booking
        return await self._inventory.confirm(booking.reservation_ids, booking.booking_reference)

    async def release_seats(self, errand: Errand) -> Done[None] | Refused | Unknown:
        """Free the seats."""
        booking = errand.booking
        return await self._inventory.cancel(booking.reservation_ids, booking.booking_reference)
