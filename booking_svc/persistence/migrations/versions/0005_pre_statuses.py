"""An index to list the bookings in one status by, newest first."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    op.create_index("ix_bookings_status", "bookings", ["status", "booking_id"])
