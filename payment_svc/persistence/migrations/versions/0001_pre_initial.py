"""The first schema: payments, refunds, idempotency keys."""

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
        "payments",
        sa.Column("payment_id", text(64), primary_key=True),
        sa.Column("booking_reference", text(64), nullable=False),
        sa.Column("user_id", text(128), nullable=False),
        sa.Column("currency", text(3), nullable=False),
        sa.Column("amount_minor", Int64, nullable=False),
        sa.Column("method_type", text(16), nullable=False),
        sa.Column("method_brand", text(16), nullable=False),
        sa.Column("method_last_four", text(4), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("leased_until", UtcDateTime, nullable=False),
        sa.Column("status", text(24), nullable=False),
        sa.Column("refunded_minor", Int64, nullable=False),
        sa.Column("returned_minor", Int64, nullable=False),
        sa.Column("transaction_id", text(64), nullable=False),
        sa.Column("decline_code", text(32)),
        sa.Column("processed_at", UtcDateTime),
        sa.CheckConstraint(
            "refunded_minor BETWEEN 0 AND amount_minor", name="ck_payments_refunded"
        ),
        sa.CheckConstraint(
            "returned_minor BETWEEN 0 AND refunded_minor", name="ck_payments_returned"
        ),
        sa.Index("ix_payments_booking", "booking_reference", "payment_id"),
    )
    op.create_table(
        "refunds",
        sa.Column("refund_id", text(64), primary_key=True),
        sa.Column("payment_id", text(64), sa.ForeignKey("payments.payment_id"), nullable=False),
        sa.Column("amount_minor", Int64, nullable=False),
        sa.Column("currency", text(3), nullable=False),
        sa.Column("reason", text(200), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("leased_until", UtcDateTime, nullable=False),
        sa.Column("status", text(16), nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Index("ix_refunds_payment", "payment_id"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", text(128), primary_key=True),
        sa.Column("idempotency_key", text(255), primary_key=True),
        sa.Column("fingerprint", text(64), nullable=False),
        sa.Column("subject", text(1024), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
