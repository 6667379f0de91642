"""What was said about each payment, webhooks, and which payments must not keep money."""

import sqlalchemy as sa
from alembic import op

from chassis.columns import Int64, UtcDateTime, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    for table in ("payments", "refunds"):
        op.add_column(table, sa.Column("last_answer", text(16)))
    op.add_column(
        "payments", sa.Column("called_off", sa.Boolean, nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE payments SET called_off = 1 WHERE booking_reference IN"
        " (SELECT booking_reference FROM booking_fences WHERE called_off_at IS NOT NULL)"
    )
    op.create_table(
        "payment_log",
        sa.Column("payment_id", text(64), primary_key=True),
        sa.Column("entry_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("happened_at", UtcDateTime, nullable=False),
        sa.Column("actor", text(128), nullable=False),
        sa.Column("action", text(16), nullable=False),
        sa.Column("answer", text(16), nullable=False),
        sa.Column("detail", text(255), nullable=False),
        sa.Column("refund_id", text(64), nullable=False),
        sa.Column("status", text(24), nullable=False),
    )
    op.create_table(
        "webhook_events",
        sa.Column("provider", text(32), primary_key=True),
        sa.Column("event_id", text(255), primary_key=True),
        sa.Column("reference", text(64), nullable=False),
        sa.Column("answer", text(16), nullable=False),
        sa.Column("detail", text(255), nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("next_try_at", UtcDateTime),
        sa.Column("tries", Int64, nullable=False),
        sa.Index("ix_webhook_events_next_try", "next_try_at"),
    )
