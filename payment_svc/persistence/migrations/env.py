"""Alembic's entry: the tables, over the connection that the program gives."""

from chassis.migrations import run_env
from payment_svc.persistence.tables import metadata

run_env(metadata)
