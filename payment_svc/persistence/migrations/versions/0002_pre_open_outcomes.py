"""When to ask the provider, which bookings are called off, and events for others."""

import sqlalchemy as sa
from alembic import op

from chassis.columns import Int64, UtcDateTime, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    for table in ("payments", "refunds"):
        # The old code stores rows without it: those are open, and due as soon as their lease ends.
        due = sa.text("'1970-01-01 00:00:00'")
        op.add_column(table, sa.Column("next_ask_at", UtcDateTime, server_default=due))
        op.add_column(table, sa.Column("asks", Int64, nullable=False, server_default="0"))
        op.execute(f"UPDATE {table} SET next_ask_at = NULL WHERE status <> 'PENDING'")  # noqa: S608
        op.create_index(f"ix_{table}_next_ask", table, ["next_ask_at"])
    op.create_table(
        "booking_fences",
        sa.Column("booking_reference", text(64), primary_key=True),
        sa.Column("called_off_at", UtcDateTime),
        sa.Column("reason", text(200), nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("event_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("sequence", Int64),
        sa.Column("kind", text(32), nullable=False),
        sa.Column("subject", text(64), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Index("ix_outbox_sequence", "sequence", unique=True),
    )
    op.create_table(
        "outbox_counter",
        sa.Column("name", text(32), primary_key=True),
        sa.Column("last_sequence", Int64, nullable=False),
    )
