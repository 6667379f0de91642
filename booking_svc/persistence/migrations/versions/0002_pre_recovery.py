"""Leases and timelines of sagas, events of bookings, cursors, and an index to purge keys by."""

import sqlalchemy as sa
from alembic import op

from chassis.columns import Int64, UtcDateTime, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Sagas of before had no lease: they are to be taken over at once.
LONG_AGO = "2026-01-01 00:00:00"


def upgrade() -> None:
    """Move the schema forward."""
    for column in (
        sa.Column("waits", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", text(200), nullable=False, server_default=""),
        sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
        sa.Column("owner", text(64), nullable=False, server_default=""),
        sa.Column("leased_until", UtcDateTime, nullable=False, server_default=LONG_AGO),
        sa.Column("began_at", UtcDateTime, nullable=False, server_default=LONG_AGO),
    ):
        op.add_column("sagas", column)
    op.drop_index("ix_sagas_state", "sagas")
    op.create_index("ix_sagas_due", "sagas", ["state", "leased_until"])
    op.create_table(
        "saga_steps",
        sa.Column("step_id", Int64, primary_key=True, autoincrement=False),
        sa.Column("booking_id", Int64, nullable=False),
        sa.Column("definition", text(32), nullable=False),
        sa.Column("step", text(32), nullable=False),
        sa.Column("action", text(32), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("outcome", text(16), nullable=False),
        sa.Column("detail", text(200), nullable=False),
        sa.Column("began_at", UtcDateTime, nullable=False),
        sa.Column("took_ms", sa.Integer, nullable=False),
        sa.Index("ix_saga_steps_saga", "booking_id", "definition", "step_id"),
    )
    op.create_table(
        "cursors",
        sa.Column("name", text(32), primary_key=True),
        sa.Column("position", text(200), nullable=False),
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
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"])
