"""Indexes to find what is old by, and the events of a person."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    op.create_index("ix_saga_steps_began", "saga_steps", ["began_at"])
    op.create_index("ix_outbox_subject", "outbox", ["subject"])
