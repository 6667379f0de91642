"""All that an audit looks at, with the indexes that the checks share."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from auditor.findings import Finding
from auditor.tables import Row, Tables

DEAD = ("FAILED", "CANCELLED")
# A saga that is to go on, by itself or by an operator.
OPEN_SAGA = ("RUNNING", "NEEDS_ATTENTION")


@dataclass(frozen=True)
class Books:
    """What a provider took and gave back, in minor units, by our own references."""

    # By `payment_id`.
    taken: Mapping[str, int]
    # By `refund_id`.
    returned: Mapping[str, int]
    # Of both, by reference; empty where they are not known.
    currencies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """The rows of the databases, the provider's books, and what clients wrote down."""

    booking: Tables
    payment: Tables
    inventory: Tables
    # None: the provider is not asked.
    books: Books | None = None
    journal: Sequence[Row] = ()
    # What was seen while the rows were read.
    cards: Sequence[Finding] = ()
    # Whether everything had the time to end.
    settled: bool = False

    @cached_property
    def bookings(self) -> Sequence[Row]:
        """All bookings."""
        return self.booking["bookings"]

    @cached_property
    def payments(self) -> Sequence[Row]:
        """All payments, of bookings and of others."""
        return self.payment["payments"]

    @cached_property
    def refunds(self) -> Sequence[Row]:
        """All refunds."""
        return self.payment["refunds"]

    @cached_property
    def reservations(self) -> Mapping[int, Row]:
        """By id."""
        return _by(self.inventory["reservations"], "reservation_id")

    @cached_property
    def seats(self) -> Mapping[int, Row]:
        """The inventory's, by id."""
        return _by(self.inventory["seats"], "seat_id")

    @cached_property
    def booking_by_id(self) -> Mapping[int, Row]:
        """Bookings by id."""
        return _by(self.bookings, "booking_id")

    @cached_property
    def booking_by_reference(self) -> Mapping[str, Row]:
        """Bookings by reference."""
        return _by(self.bookings, "booking_reference")

    @cached_property
    def payment_by_id(self) -> Mapping[str, Row]:
        """Payments by id."""
        return _by(self.payments, "payment_id")

    @cached_property
    def refund_by_id(self) -> Mapping[str, Row]:
        """Refunds by id."""
        return _by(self.refunds, "refund_id")

    @cached_property
    def payments_of(self) -> Mapping[str, Sequence[Row]]:
        """Payments by booking reference."""
        return grouped(self.payments, lambda one: one["booking_reference"])

    @cached_property
    def refunds_of(self) -> Mapping[str, Sequence[Row]]:
        """Refunds by payment id."""
        return grouped(self.refunds, lambda one: one["payment_id"])

    @cached_property
    def seats_of(self) -> Mapping[int, Sequence[Row]]:
        """The booked seats by booking id."""
        return grouped(self.booking["booking_seats"], lambda one: one["booking_id"])

    @cached_property
    def sagas_of(self) -> Mapping[int, Sequence[Row]]:
        """Sagas by booking id."""
        return grouped(self.booking["sagas"], lambda one: one["booking_id"])

    @cached_property
    def saga_steps(self) -> Sequence[Row]:
        """The timelines of all sagas."""
        return self.booking["saga_steps"]

    @cached_property
    def timelines(self) -> Mapping[tuple[int, str], Sequence[Row]]:
        """The steps of each saga as they began; those of one moment by their attempts."""
        return grouped(
            sorted(
                self.saga_steps, key=lambda one: (one["began_at"], one["attempt"], one["took_ms"])
            ),
            lambda one: (one["booking_id"], one["definition"]),
        )

    @cached_property
    def events_of(self) -> Mapping[str, Sequence[Row]]:
        """What was told, by booking reference."""
        return grouped(self.booking["outbox"], lambda one: one["subject"])

    @cached_property
    def parked(self) -> frozenset[int]:
        """Bookings of which a saga waits for an operator."""
        sagas = self.booking["sagas"]
        return frozenset(one["booking_id"] for one in sagas if one["state"] == "NEEDS_ATTENTION")

    @cached_property
    def by_hand(self) -> frozenset[int]:
        """Bookings of which an operator took a step as done: the databases cannot show it."""
        return frozenset(
            one["booking_id"] for one in self.saga_steps if one["outcome"] == "RESOLVED"
        )

    def is_parked(self, booking_reference: str) -> bool:
        """Whether a reference is that of a booking that is parked."""
        booking = self.booking_by_reference.get(booking_reference)
        return booking is not None and booking["booking_id"] in self.parked

    def total_minor(self, booking: Row) -> int:
        """What all the seats of a booking cost together."""
        return sum(one["price_minor"] for one in self.seats_of.get(booking["booking_id"], ()))

    def due_minor(self, booking: Row) -> int | None:
        """What must have been taken for a booking and not given back; none while it is open."""
        if booking["booking_id"] in self.by_hand:
            return None
        if booking["status"] == "CONFIRMED":
            return self.total_minor(booking)
        return 0 if booking["status"] in DEAD else None


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> Mapping[Any, Sequence[Row]]:
    """Rows by a key; a key of no row is not in it."""
    groups: dict[Any, Any] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    # Most are of one row, and there are many: a tuple is half as large as a list.
    for name, some in groups.items():
        groups[name] = tuple(some)
    return groups


def several(pairs: Iterable[tuple[Any, Any]]) -> Mapping[Any, set[Any]]:
    """The different second values by the first, where there is more than one."""
    first: dict[Any, Any] = {}
    groups: defaultdict[Any, set[Any]] = defaultdict(set)
    for key, value in pairs:
        if first.setdefault(key, value) != value:
            groups[key] |= {first[key], value}
    return dict(groups)


def _by(rows: Iterable[Row], column: str) -> Mapping[Any, Row]:
    return {row[column]: row for row in rows}
