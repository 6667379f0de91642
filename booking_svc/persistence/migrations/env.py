"""Alembic's entry: the tables, over the connection that the program gives."""

from booking_svc.persistence.tables import metadata
from chassis.migrations import run_env

run_env(metadata)
