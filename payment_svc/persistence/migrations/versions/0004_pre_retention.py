"""Indexes for what is old and for what is a person's; which bookings' payers were erased."""

import sqlalchemy as sa
from alembic import op

from chassis.columns import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    op.add_column("booking_fences", sa.Column("erased_at", UtcDateTime))
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"])
    op.create_index("ix_webhook_events_received", "webhook_events", ["received_at"])
    op.create_index("ix_outbox_subject", "outbox", ["subject"])
    op.create_index("ix_payments_user", "payments", ["user_id", "payment_id"])
    op.create_index("ix_payment_log_actor", "payment_log", ["actor"])
