"""The first schema: bookings, their seats and claims, sagas, idempotency keys."""

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
        "bookings",
        sa.Column("booking_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("booking_reference", text(32), nullable=False, unique=True),
        sa.Column("user_id", text(128), nullable=False),
        sa.Column("event_id", Int64, nullable=False),
        sa.Column("currency", text(3), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("status", text(16), nullable=False),
        sa.Column("payment_id", text(64), nullable=False),
        sa.Column("payment_status", text(24), nullable=False),
        sa.Column("failure_reason", text(32), nullable=False),
        sa.Column("failure_message", text(500), nullable=False),
        sa.Column("decline_code", text(32), nullable=False),
        sa.Column("confirmed_at", UtcDateTime),
        sa.Column("cancelled_at", UtcDateTime),
        sa.Column("answer", sa.LargeBinary),
        sa.Index("ix_bookings_user", "user_id", "booking_id"),
    )
    op.create_table(
        "booking_seats",
        sa.Column("booking_id", Int64, sa.ForeignKey("bookings.booking_id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("reservation_id", Int64, nullable=False),
        sa.Column("seat_number", text(32), nullable=False),
        sa.Column("price_minor", Int64, nullable=False),
    )
    op.create_table(
        "reservation_claims",
        sa.Column("reservation_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("booking_id", Int64, nullable=False),
    )
    op.create_table(
        "sagas",
        sa.Column("booking_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("definition", text(32), primary_key=True),
        sa.Column("step", text(32), nullable=False),
        sa.Column("direction", text(16), nullable=False),
        sa.Column("state", text(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("refusals", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Index("ix_sagas_state", "state"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", text(128), primary_key=True),
        sa.Column("idempotency_key", text(255), primary_key=True),
        sa.Column("fingerprint", text(64), nullable=False),
        sa.Column("subject", text(1024), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
