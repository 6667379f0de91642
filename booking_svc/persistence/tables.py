"""Tables. A card is in none of them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, MetaData, Table

from chassis.columns import Int64, UtcDateTime, text
from chassis.keys_table import keys_table

metadata = MetaData()

bookings = Table(
    "bookings",
    metadata,
    Column("booking_id", Int64, primary_key=True, autoincrement=False),
    Column("booking_reference", text(32), nullable=False, unique=True),
    Column("user_id", text(128), nullable=False),
    Column("event_id", Int64, nullable=False),
    Column("currency", text(3), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("status", text(16), nullable=False),
    Column("payment_id", text(64), nullable=False),
    Column("payment_status", text(24), nullable=False),
    Column("failure_reason", text(32), nullable=False),
    Column("failure_message", text(500), nullable=False),
    Column("decline_code", text(32), nullable=False),
    Column("confirmed_at", UtcDateTime),
    Column("cancelled_at", UtcDateTime),
    # What ConfirmBooking answered, byte for byte.
    Column("answer", LargeBinary),
    Index("ix_bookings_user", "user_id", "booking_id"),
)

booking_seats = Table(
    "booking_seats",
    metadata,
    Column("booking_id", Int64, ForeignKey("bookings.booking_id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("reservation_id", Int64, nullable=False),
    Column("seat_number", text(32), nullable=False),
    Column("price_minor", Int64, nullable=False),
)

# A reservation belongs to one booking at most: that is what its key is for. It stays tied when
# that booking is over, for then the reservation is over too: whoever read it as active before
# that must not be charged for it.
reservation_claims = Table(
    "reservation_claims",
    metadata,
    Column("reservation_id", Int64, primary_key=True, autoincrement=False),
    Column("booking_id", Int64, nullable=False),
)

sagas = Table(
    "sagas",
    metadata,
    Column("booking_id", Int64, primary_key=True, autoincrement=False),
    Column("definition", text(32), primary_key=True),
    Column("step", text(32), nullable=False),
    Column("direction", text(16), nullable=False),
    Column("state", text(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("refusals", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Index("ix_sagas_state", "state"),
)

idempotency_keys = keys_table(metadata)
