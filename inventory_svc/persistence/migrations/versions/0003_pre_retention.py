"""Indexes to find what is old by, and what is a person's."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"])
    op.create_index(
        "ix_reservations_unbooked", "reservations", ["booking_reference", "status", "expires_at"]
    )
    op.create_index("ix_reservations_user", "reservations", ["user_id", "reservation_id"])
