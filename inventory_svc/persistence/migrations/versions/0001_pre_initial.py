"""The first schema: events, seats, reservations, idempotency keys."""

import sqlalchemy as sa
from alembic import op

from chassis.columns import Int64, UtcDateTime, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    op.create_table(
        "events",
        sa.Column("event_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("name", text(200), nullable=False),
        sa.Column("currency", text(3), nullable=False),
        sa.Column("seat_count", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "seats",
        sa.Column("seat_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("event_id", Int64, sa.ForeignKey("events.event_id"), nullable=False),
        sa.Column("seat_number", text(32), nullable=False),
        sa.Column("price_minor", Int64, nullable=False),
        sa.Column("reservation_id", Int64),
        sa.Column("held_until", UtcDateTime),
        sa.Column("booked", sa.Boolean, nullable=False),
        sa.UniqueConstraint("event_id", "seat_number", name="uq_seats_number"),
        sa.UniqueConstraint("reservation_id", name="uq_seats_reservation"),
        sa.Index("ix_seats_page", "event_id", "seat_id"),
    )
    op.create_table(
        "reservations",
        sa.Column("reservation_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("event_id", Int64, nullable=False),
        sa.Column("user_id", text(128), nullable=False),
        sa.Column("seat_id", Int64, nullable=False),
        sa.Column("seat_number", text(32), nullable=False),
        sa.Column("price_minor", Int64, nullable=False),
        sa.Column("currency", text(3), nullable=False),
        sa.Column("status", text(16), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("booking_reference", text(64), nullable=False),
        sa.Index("ix_reservations_overdue", "status", "expires_at"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", text(128), primary_key=True),
        sa.Column("idempotency_key", text(255), primary_key=True),
        sa.Column("fingerprint", text(64), nullable=False),
        sa.Column("subject", text(1024), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
