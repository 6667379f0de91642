"""What is kept of the databases: the columns that the checks use, in rows of few bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import make_dataclass
from typing import Any

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]

KEY = "owner idempotency_key subject"
# By database and table. Of other tables and columns, only card numbers are looked for.
USED = {
    "booking": {
        "bookings": "booking_id booking_reference user_id event_id currency created_at status"
        " payment_id failure_reason confirmed_at cancelled_at answer",
        "booking_seats": "booking_id reservation_id seat_number price_minor",
        "reservation_claims": "reservation_id booking_id",
        "sagas": "booking_id definition step state attempt last_error",
        "saga_steps": "booking_id definition step action attempt outcome began_at took_ms",
        "outbox": "kind subject sequence occurred_at",
        "outbox_counter": "last_sequence",
        "idempotency_keys": KEY,
    },
    "payment": {
        "payments": "payment_id booking_reference user_id currency amount_minor status"
        " refunded_minor returned_minor transaction_id next_ask_at",
        "refunds": "refund_id payment_id amount_minor currency status",
        "booking_fences": "booking_reference called_off_at reason",
        "outbox": "sequence",
        "outbox_counter": "last_sequence",
        "idempotency_keys": KEY,
    },
    "inventory": {
        "events": "event_id",
        "seats": "seat_id event_id seat_number reservation_id booked",
        "reservations": "reservation_id event_id user_id seat_id seat_number price_minor currency"
        " status booking_reference",
        "idempotency_keys": KEY,
    },
    "provider": {
        "provider_charges": "reference amount_minor currency state decline_code settles_at",
        "provider_refunds": "reference amount_minor currency state decline_code settles_at",
    },
}
# Columns that books of an older version do not have: there they are NULL.
ADDED = frozenset({"provider_refunds.decline_code", "provider_refunds.settles_at"})
# Of these the checks ask only whether there is one: True, or None.
WHETHER = frozenset(
    {
        "answer", "confirmed_at", "cancelled_at",
        "transaction_id", "next_ask_at", "called_off_at",
    }
)  # fmt: skip
# Of these hardly two rows have the same value.
UNSHARED = frozenset({"idempotency_key", "sequence"})


class Slim(Mapping[str, Any]):
    """A row: what a dictionary is, in a fifth of its bytes."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        """The value of a column."""
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return iter(self.__slots__)

    def __len__(self) -> int:
        """How many columns there are."""
        return len(self.__slots__)


def row_of(table: str, columns: Sequence[str]) -> type[Slim]:
    """The rows of a table: a class that takes the values of these columns, in this order."""
    return make_dataclass(table, columns, bases=(Slim,), slots=True, eq=False)
