"""Events and their seats."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chassis import money
from chassis.errors import InvalidField


class SeatStatus(StrEnum):
    """Whether a seat can be reserved."""

    AVAILABLE = "AVAILABLE"
    HELD = "HELD"
    BOOKED = "BOOKED"


@dataclass(frozen=True)
class Event:
    """Something that takes place and has seats."""

    event_id: int
    name: str
    currency: str
    seat_count: int
    created_at: datetime


@dataclass(frozen=True)
class Seat:
    """One seat, and who has it."""

    seat_id: int
    event_id: int
    seat_number: str
    price_minor: int
    # The reservation that has it, live or over; none if it was never reserved or was freed.
    reservation_id: int | None = None
    held_until: datetime | None = None
    booked: bool = False

    def status_at(self, now: datetime) -> SeatStatus:
        """Its state at a moment: a hold that is over holds nothing."""
        if self.booked:
            return SeatStatus.BOOKED
        if self.held_until is not None and self.held_until > now:
            return SeatStatus.HELD
        return SeatStatus.AVAILABLE


def read_prices(currency: str, seats: Sequence[tuple[str, str]]) -> list[int]:
    """The prices of new seats, given as (seat number, price in decimals), in minor units.

    Raises:
        InvalidField: an unknown currency, a bad price, or a seat number that occurs
            twice; names them.
    """
    try:
        money.exponent(currency)
    except money.MoneyError as error:
        raise InvalidField(("currency", str(error))) from None
    wrong: list[tuple[str, str]] = []
    prices: list[int] = []
    seen: set[str] = set()
    for index, (seat_number, price) in enumerate(seats):
        if seat_number in seen:
            wrong.append((f"seats[{index}].seat_number", f"{seat_number!r} occurs twice"))
        seen.add(seat_number)
        try:
            prices.append(money.to_minor(price, currency))
        except money.MoneyError as error:
            wrong.append((f"seats[{index}].price", str(error)))
    if wrong:
        raise InvalidField(*wrong)
    return prices
