"""The auditor, asked by tests: about the databases of a stack, and its provider's own books."""

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

import auditor
from chassis.database import Database
from support.databases import url_of


class Books(Protocol):
    """What a provider took and gave back, in minor units, by our own references."""

    taken: Mapping[str, int]
    returned: Mapping[str, int]


async def audit(
    databases: Mapping[str, Database], provider: Books, *, settled: bool = True
) -> list[str]:
    """What is broken of design section 8; empty when all holds.

    `settled`: everything must have ended, too.
    """
    urls = auditor.Urls(
        booking=url_of(databases["booking_svc"]),
        payment=url_of(databases["payment_svc"]),
        inventory=url_of(databases["inventory_svc"]),
    )
    books = auditor.Books(dict(provider.taken), dict(provider.returned))
    return [str(one) for one in await auditor.audit(urls, books=books, settled=settled)]


async def read_tables(url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of a database, with all of its columns."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
            return {name: await _rows(connection, name) for name in names}
    finally:
        await engine.dispose()


async def _rows(connection: AsyncConnection, table: str) -> list[dict[str, Any]]:
    found = await connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - named by itself
    return [dict(row) for row in found.mappings()]
