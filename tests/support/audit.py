"""The auditor, asked by tests: about the databases of a stack, and its provider's own books."""

from collections.abc import Mapping
from typing import Protocol

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
