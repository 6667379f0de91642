"""The actions that the saga tables name: safe to repeat, by whichever process.

A call carries a key of our own, made of the booking reference and the step, never the
client's key.
"""

from dataclasses import dataclass
from datetime import timedelta

from booking_svc.domain.booking import Booking
from booking_svc.domain.outcome import Done, GivenUp, Pending, Refused, Unknown
from booking_svc.ports import ChargeOrder, Inventory, Payments
from booking_svc.saga.runner import Action, Errand
from chassis.clock import Clock

Charged = Done[str] | Refused | Pending | Unknown


@dataclass(frozen=True)
class Terms:
    """What a deployment says about payments that take long."""

    # From when on an open payment is called off, in seconds after the booking was asked for.
    give_up_s: float
    # How long the seats are held beyond each attempt, in seconds.
    hold_s: float
    # Whether a payment that came too late for the hold gets the seats if they are still free.
    reaccept: bool


class Steps:
    """Calls the inventory and the payment adapter for a booking."""

    def __init__(
        self, inventory: Inventory, payments: Payments, clock: Clock, terms: Terms
    ) -> None:
        """Call these."""
        self._inventory = inventory
        self._payments = payments
        self._clock = clock
        self._terms = terms

    def actions(self) -> dict[str, Action]:
        """Every action, by the name that the tables use."""
        return {
            "take_payment": self.take_payment,
            "give_back_payment": self.give_back_payment,
            "confirm_seats": self.confirm_seats,
            "release_seats": self.release_seats,
        }

    async def take_payment(self, errand: Errand) -> Charged | GivenUp:
        """Charge the card with the total; while that is open, keep the seats, up to a limit."""
        outcome = await self._charge(errand)
        if isinstance(outcome, Done | Refused | GivenUp):
            return outcome
        booking, terms = errand.booking, self._terms
        if self._clock.now() >= booking.created_at + timedelta(seconds=terms.give_up_s):
            return GivenUp(f"no outcome in {terms.give_up_s:g} s")
        extended = await self._inventory.extend(booking.reservation_ids, terms.hold_s)
        if isinstance(extended, Refused) and not terms.reaccept:
            return GivenUp(f"the seats cannot be held longer: {extended.reason}")
        return outcome

    async def give_back_payment(self, errand: Errand) -> Charged:
        """See to it that no money stays taken, whatever became of the charge."""
        booking = errand.booking
        reason = booking.failure.reason if booking.failure else "BOOKING_CANCELLED"
        return await self._payments.cancel(booking.booking_reference, reason)

    async def confirm_seats(self, errand: Errand) -> Done[None] | Refused | Unknown:
        """Book the seats."""
        booking = errand.booking
        return await self._inventory.confirm(
            booking.reservation_ids, booking.booking_reference, retake=self._terms.reaccept
        )

    async def release_seats(self, errand: Errand) -> Done[None] | Refused | Unknown:
        """Free the seats."""
        booking = errand.booking
        return await self._inventory.cancel(booking.reservation_ids, booking.booking_reference)

    async def _charge(self, errand: Errand) -> Charged | GivenUp:
        booking = errand.booking
        if errand.card is None:
            return await self._what_became(booking)
        order = ChargeOrder(
            key=f"{booking.booking_reference}/charge",
            booking_reference=booking.booking_reference,
            user_id=booking.user_id,
            amount_minor=booking.total_minor,
            currency=booking.currency,
            card=errand.card,
        )
        return await self._payments.charge(order)

    async def _what_became(self, booking: Booking) -> Charged | GivenUp:
        """What came of a charge that another process sent, or did not: the card went with it."""
        found = await self._payments.find(booking.booking_reference, booking.user_id)
        if found is None:
            # It may still be on its way: to undo it is to have it refused when it comes.
            return GivenUp("the process that had the card is gone, and nothing was charged")
        return found
