"""Tables. A seat's row is its lock: it says which reservation has the seat, and until when."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
)

from chassis.columns import Int64, UtcDateTime, text
from chassis.keys_table import keys_table

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("event_id", Int64, primary_key=True, autoincrement=False),
    Column("name", text(200), nullable=False),
    Column("currency", text(3), nullable=False),
    Column("seat_count", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

seats = Table(
    "seats",
    metadata,
    Column("seat_id", Int64, primary_key=True, autoincrement=False),
    Column("event_id", Int64, ForeignKey("events.event_id"), nullable=False),
    Column("seat_number", text(32), nullable=False),
    Column("price_minor", Int64, nullable=False),
    Column("reservation_id", Int64),
    Column("held_until", UtcDateTime),
    Column("booked", Boolean, nullable=False),
    UniqueConstraint("event_id", "seat_number", name="uq_seats_number"),
    # A reservation has one seat, and a seat one reservation.
    UniqueConstraint("reservation_id", name="uq_seats_reservation"),
    Index("ix_seats_page", "event_id", "seat_id"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("reservation_id", Int64, primary_key=True, autoincrement=False),
    Column("event_id", Int64, nullable=False),
    Column("user_id", text(128), nullable=False),
    Column("seat_id", Int64, nullable=False),
    Column("seat_number", text(32), nullable=False),
    Column("price_minor", Int64, nullable=False),
    Column("currency", text(3), nullable=False),
    Column("status", text(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("booking_reference", text(64), nullable=False),
    # Of what an older version did there is no time.
    Column("confirmed_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Index("ix_reservations_overdue", "status", "expires_at"),
    Index("ix_reservations_user", "user_id", "reservation_id"),
    # Those that no booking ever had, by their end.
    Index("ix_reservations_unbooked", "booking_reference", "status", "expires_at"),
)

idempotency_keys = keys_table(metadata)
