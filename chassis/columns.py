"""Column types that mean the same on SQLite, MySQL and MariaDB."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

# 64 bits; SQLite's own integers already are, and only `INTEGER` is its row id.
Int64 = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, to the microsecond; aware in Python, without a zone in the database."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """MySQL keeps whole seconds unless told otherwise."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Drop the zone, after making sure that it is UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back the zone."""
        return None if value is None else value.replace(tzinfo=UTC)


def text(length: int) -> TypeEngine[str]:
    """Text of at most `length` characters, equal only if it is the same to the letter.

    MySQL's default would take `a1` and `A1` for one seat.
    """
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")
