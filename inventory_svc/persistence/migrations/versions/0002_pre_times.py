"""When each reservation was confirmed, and when it ended. The old code leaves both empty."""

import sqlalchemy as sa
from alembic import op

from chassis.columns import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    op.add_column("reservations", sa.Column("confirmed_at", UtcDateTime))
    op.add_column("reservations", sa.Column("ended_at", UtcDateTime))
