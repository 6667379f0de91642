"""May touch databases and serve over loopback in this process; starts no programs.

A test that asks for `databases` runs on SQLite and on MariaDB. `on_mariadb` keeps it to the latter.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.clock import ManualClock
from support.databases import KINDS, Databases, require
from support.inventory import InventoryPeople, hosted_inventory
from support.serving import serving, serving_in_thread

from chassis.server import Hosted


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    return require(request.param)


@pytest.fixture
async def databases(database_kind: str, tmp_path: Path) -> AsyncIterator[Databases]:
    async with Databases(database_kind, tmp_path) as databases:
        yield databases


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def inventory(databases: Databases, clock: ManualClock) -> AsyncIterator[InventoryPeople]:
    """The inventory, served on a fresh database, by the clock of the test."""
    database = await databases.fresh("inventory_svc")
    async with serving(await hosted_inventory(database, clock)) as channel:
        yield InventoryPeople(channel)


# pytest-grpc's fixtures, for servicers of grpc.aio. A module gives `grpc_hosted`, which makes
# the service from fresh databases, and `grpc_stub_cls`; its tests take `grpc_stub`.


@pytest.fixture(scope="module", params=KINDS)
def grpc_database_kind(request: pytest.FixtureRequest) -> str:
    return require(request.param)


@pytest.fixture(scope="module")
def _grpc_server(
    grpc_hosted: Callable[[Databases], Awaitable[Hosted]],
    grpc_database_kind: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("grpc")

    @asynccontextmanager
    async def make() -> AsyncIterator[Hosted]:
        async with Databases(grpc_database_kind, folder) as databases:
            yield await grpc_hosted(databases)

    with serving_in_thread(make) as port:
        yield port


@pytest.fixture(scope="module")
def grpc_addr(_grpc_server: int) -> str:
    return f"127.0.0.1:{_grpc_server}"


@pytest.fixture(scope="module")
def grpc_server(_grpc_server: int) -> int:
    return _grpc_server
