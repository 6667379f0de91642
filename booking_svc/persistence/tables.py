"""Tables. A card is in none of them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, MetaData, Table

from chassis.columns import Int64, UtcDateTime, text
from chassis.keys_table import keys_table
from chassis.outbox import outbox_counter_table, outbox_table

metadata = MetaData()

# For rows that were written before these columns were there: to be taken over at once.
LONG_AGO = "2026-01-01 00:00:00"

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
    Index("ix_bookings_status", "status", "booking_id"),
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
    Column("waits", Integer, nullable=False, server_default="0"),
    Column("last_error", text(200), nullable=False, server_default=""),
    # The fence: a write must name the attempt and the revision that it follows.
    Column("attempt", Integer, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),
    # Who runs it, and until when nobody else does.
    Column("owner", text(64), nullable=False, server_default=""),
    Column("leased_until", UtcDateTime, nullable=False, server_default=LONG_AGO),
    Column("began_at", UtcDateTime, nullable=False, server_default=LONG_AGO),
    # Of the call that began it.
    Column("request_id", text(128), nullable=False, server_default=""),
    Column("traceparent", text(64), nullable=False, server_default=""),
    Index("ix_sagas_due", "state", "leased_until"),
)

# What each action came to: for people, the program never reads it.
saga_steps = Table(
    "saga_steps",
    metadata,
    Column("step_id", Int64, primary_key=True, autoincrement=False),
    Column("booking_id", Int64, nullable=False),
    Column("definition", text(32), nullable=False),
    Column("step", text(32), nullable=False),
    Column("action", text(32), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("outcome", text(16), nullable=False),
    Column("detail", text(200), nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Index("ix_saga_steps_saga", "booking_id", "definition", "step_id"),
    Index("ix_saga_steps_began", "began_at"),
)

# Where readers of other services' streams have got to.
cursors = Table(
    "cursors",
    metadata,
    Column("name", text(32), primary_key=True),
    Column("position", text(200), nullable=False),
)

outbox = outbox_table(metadata)
outbox_counter = outbox_counter_table(metadata)

idempotency_keys = keys_table(metadata)
