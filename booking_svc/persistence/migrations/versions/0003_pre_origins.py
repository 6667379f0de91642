"""Which call began a saga: its request id and its trace."""

import sqlalchemy as sa
from alembic import op

from chassis.columns import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    op.add_column("sagas", sa.Column("request_id", text(128), nullable=False, server_default=""))
    op.add_column("sagas", sa.Column("traceparent", text(64), nullable=False, server_default=""))
