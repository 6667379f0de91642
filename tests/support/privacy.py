"""Who asks the services about a person, and what is found of one in their tables."""

import asyncio
from pathlib import Path
from typing import Any

from holdfast.privacy.v1 import privacy_pb2 as pb
from holdfast.privacy.v1 import privacy_pb2_grpc as rpc
from sqlalchemy import MetaData, select, text

from booking_svc.persistence import tables as booking_tables
from chassis.database import Database
from inventory_svc.persistence import tables as inventory_tables
from payment_svc.persistence import tables as payment_tables
from support.bookings import Stack
from support.client import As
from support.databases import url_of

METADATA: dict[str, MetaData] = {
    "inventory_svc": inventory_tables.metadata,
    "booking_svc": booking_tables.metadata,
    "payment_svc": payment_tables.metadata,
}
REPLACEMENT = "erased-00112233445566778899aabbcc"


class Office:
    """An operator who gives out and erases, in the order of `holdfast erase`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def at(self, service: str) -> As:
        served = {
            "inventory_svc": self._stack.inventory,
            "booking_svc": self._stack.bookings[0],
            "payment_svc": self._stack.payment,
        }[service]
        channel = await self._stack.channel(served)
        return As(rpc.PrivacyServiceStub(channel), "olga", "admin")

    async def export(self, service: str, user_id: str) -> list[pb.UserRecord]:
        asked = (await self.at(service)).ExportUser(pb.ExportUserRequest(user_id=user_id))
        return [one async for one in asked]

    async def erase_at(self, service: str, user_id: str, **fields: Any) -> dict[str, int]:
        request = pb.EraseUserRequest(
            user_id=user_id, replacement=fields.pop("replacement", REPLACEMENT), **fields
        )
        counts = (await (await self.at(service)).EraseUser(request)).counts
        return {one.kind: one.rows for one in counts}

    async def erase(self, user_id: str) -> None:
        for only in (True, False):
            for service in METADATA:
                await self.erase_at(service, user_id, validate_only=only)


async def where(database: Database, metadata: MetaData, *needles: str) -> dict[str, set[str]]:
    """The rows in which one of these is, as text or in bytes: names of rows by table."""
    found: dict[str, set[str]] = {}
    for table in metadata.sorted_tables:
        rows = await database.read(lambda one, table=table: _rows(one, table))
        hits = {
            "/".join(str(row[column.name]) for column in table.primary_key)
            for row in rows
            if any(_has(value, needle) for value in row.values() for needle in needles)
        }
        if hits:
            found[table.name] = hits
    return found


async def _rows(connection: Any, table: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(select(table))).mappings()]


def _has(value: Any, needle: str) -> bool:
    return needle.encode() in value if isinstance(value, bytes) else needle in str(value)


async def files_hold(database: Database, *needles: str) -> list[str]:
    """What of these is in the files of a SQLite database, once what was freed is written over."""
    path = url_of(database).partition("///")[2]
    for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        await database.read(lambda one, statement=statement: one.execute(text(statement)))
    held = await asyncio.to_thread(Path(path).read_bytes)
    return [one for one in needles if one.encode() in held]
