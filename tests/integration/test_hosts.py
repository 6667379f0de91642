"""A database that several servers have: who is asked, in which order, and what that costs."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from support.databases import Databases, on_mariadb
from support.silent import silent_server

from chassis import health, hosts, migrations
from chassis.addresses import Host
from chassis.database import Database
from chassis.errors import CommitUnknown
from chassis.hosts import Hosts

NOWHERE = "127.0.0.1:1"
A, B, C = (Host(name, 3306) for name in "abc")


async def url_on(databases: Databases, *before: str) -> str:
    """The URL of a fresh database, with these servers before the one that has it."""
    url = await databases.empty()
    return url.replace("@", f"@{','.join((*before, ''))}", 1)


async def number_of(connection: AsyncConnection) -> int:
    return int((await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one())


@on_mariadb
async def test_a_server_that_is_away_is_passed_over(databases: Databases) -> None:
    """Reads, writes and the health check go to the next server, when the first one is not there."""
    database = databases.open(await url_on(databases, NOWHERE))
    assert await database.read(number_of)
    assert await database.write(number_of)
    await database.ping()


@on_mariadb
async def test_a_server_that_hangs_is_passed_over(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that accepts connections and never speaks costs a moment, once."""
    monkeypatch.setattr(hosts, "CONNECT_TIMEOUT_S", 0.5)
    async with silent_server() as silent:
        database = databases.open(await url_on(databases, silent))
        async with asyncio.timeout(20):
            await asyncio.gather(*(database.write(number_of) for _ in range(5)))
        await database.close()


@on_mariadb
async def test_a_server_that_begins_to_hang_is_left(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it does not greet any more, nobody is given one of the connections from before."""
    monkeypatch.setattr(hosts, "CONNECT_TIMEOUT_S", hosts.SILENCE_S)
    database = databases.open(await url_on(databases, NOWHERE))
    kinds = (database.read, database.write)
    before = [await kind(number_of) for kind in kinds]
    assert [await kind(number_of) for kind in kinds] == before
    real = hosts._connect

    async def hangs(host: Host, options: dict[str, Any]) -> Any:
        monkeypatch.setattr(hosts, "_connect", real)
        await asyncio.sleep(hosts.SILENCE_S)
        raise TimeoutError(host, len(options))

    assert database.hosts is not None
    host = database.hosts._hosts[1]
    monkeypatch.setattr(hosts, "_connect", hangs)
    with pytest.raises(TimeoutError):
        await database.hosts._open(host, {})
    assert not {await kind(number_of) for kind in kinds} & set(before)


@on_mariadb
async def test_a_transaction_costs_no_more(databases: Databases) -> None:
    """With several servers, a read and a write are as many round trips as with one."""

    async def statements(connection: AsyncConnection) -> int:
        found = await connection.execute(text("SHOW SESSION STATUS LIKE 'Questions'"))
        return int(found.one()[1])

    async def cost(database: Database) -> list[int]:
        runs = [database.read, database.write]
        seen = [[await run(statements) for _ in range(4)] for run in runs]
        return [later - earlier for one in seen for earlier, later in pairwise(one)]

    one = databases.open(await databases.empty())
    several = databases.open(await url_on(databases, NOWHERE))
    assert await cost(several) == await cost(one)


@on_mariadb
@pytest.mark.parametrize("code", sorted(hosts.LEFT))
@pytest.mark.parametrize("engine", ["read", "write"])
async def test_a_server_that_cannot_work_is_left(
    databases: Databases, engine: str, code: int
) -> None:
    """Not ready, stopping or read-only: the unit runs again whole, and all connections are new.

    Also those for the other kind of unit: a server that is read-only now may have old news.
    """
    database = databases.open(await url_on(databases, NOWHERE))

    async def numbers() -> set[int]:
        kinds = (database.read, database.write)
        return set(await asyncio.gather(*(kind(number_of) for kind in kinds for _ in range(5))))

    old = await numbers()
    runs: list[int] = []

    async def unit(connection: AsyncConnection) -> None:
        runs.append(await number_of(connection))
        if len(runs) == 1:
            await connection.execute(text(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}"))

    await getattr(database, engine)(unit)
    assert len(runs) == 2
    assert not old & (await numbers() | {runs[1]})


@on_mariadb
async def test_a_health_check_asks_the_next_server(databases: Databases) -> None:
    """When the server that was asked before is gone, the health check succeeds at another one."""
    database = databases.open(await url_on(databases, NOWHERE))
    async with database._probe.connect() as connection:
        number = await number_of(connection)
    await database.read(lambda one: one.execute(text(f"KILL {number}")))
    await database.ping()


@on_mariadb
@pytest.mark.parametrize("code", [1047, 1180])
async def test_a_node_that_fails_at_commit_says_nothing(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A node that loses its cluster at COMMIT does not know what the others have: nor do we."""
    database = databases.open(await databases.empty())
    statement, orig = "COMMIT", Exception(code, "WSREP")

    async def fail(_: AsyncConnection) -> None:
        raise OperationalError(statement, None, orig)

    monkeypatch.setattr(AsyncConnection, "commit", fail)
    with pytest.raises(CommitUnknown):
        await database.write(number_of)


@on_mariadb
async def test_replicas_of_several_servers_migrate_one_by_one(databases: Databases) -> None:
    """Three that migrate at once a database of several servers all find the schema they need."""
    package = "booking_svc.persistence.migrations"
    url = await databases.empty()
    several = [databases.open(url.replace("@", f"@{NOWHERE},", 1)) for _ in range(3)]
    await asyncio.gather(*(migrations.migrate(one, package) for one in several))
    for one in several:
        await migrations.require_current(one, package, "booking_svc")


@on_mariadb
async def test_who_waits_for_less_finds_the_next_server_too(databases: Databases) -> None:
    """A check that is cut off while a server hangs has seen that: the next one asks another."""
    async with silent_server() as silent:
        database = databases.open(await url_on(databases, silent))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(health.TIMEOUT_S):
                await database.ping()
        async with asyncio.timeout(health.TIMEOUT_S):
            await database.ping()
        await database.close()


class Node:
    """A node by what it says of itself."""

    def __init__(self, read_only: str = "OFF", wsrep_on: str = "ON", **status: str) -> None:
        self.rows = {
            hosts.VARIABLES: {"read_only": read_only, "wsrep_on": wsrep_on},
            hosts.STATUS: status,
        }
        self.closed = False

    def close(self) -> None:
        self.closed = True


SYNCED = {"wsrep_ready": "ON", "wsrep_local_state": "4"}
DONOR = {"wsrep_ready": "ON", "wsrep_local_state": "2"}
JOINING = {"wsrep_ready": "OFF", "wsrep_local_state": "1"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Host, Node]]:
    """What listens where."""
    nodes: dict[Host, Node] = {}

    async def connect(host: Host, _options: dict[str, Any]) -> Node:
        if host not in nodes:
            raise ConnectionRefusedError
        return nodes[host]

    async def ask(node: Node, query: str) -> list[tuple[str, str]]:
        return list(node.rows[query].items())

    monkeypatch.setattr(hosts, "_connect", connect)
    monkeypatch.setattr(hosts, "ask", ask)
    return nodes


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Node(**JOINING), Node(**SYNCED)),
        (Node(**DONOR), Node(**SYNCED)),
        (Node(read_only="ON", wsrep_on="OFF"), Node(wsrep_on="OFF")),
        (None, Node(**DONOR)),
        (Node(**JOINING), Node(**DONOR)),
    ],
    ids=["joining", "donor", "read-only", "away", "donor, for want of another"],
)
async def test_a_node_that_is_not_synced_is_passed_over(
    cluster: dict[Host, Node], first: Node | None, second: Node
) -> None:
    """A node that joins, gives its data away or is read-only is left for one that is not."""
    cluster.update({A: first, B: second} if first else {B: second})
    assert await Hosts((A, B, C)).connect() is second
    assert not second.closed
    assert first is None or first.closed


async def test_the_first_that_works_is_taken_and_taken_back(cluster: dict[Host, Node]) -> None:
    """In their order; one that was away is tried last for a while, and then first again."""
    cluster.update({A: Node(**SYNCED), B: Node(**SYNCED)})
    now = 0.0
    several = Hosts((A, B), lambda: now)
    assert await several.connect() is cluster[A]
    a = cluster.pop(A)
    assert await several.connect() is cluster[B]
    cluster[A] = a
    assert await several.connect() is cluster[B]
    now += hosts.AVOID_S
    assert await several.connect() is a


async def test_when_nobody_works_the_last_one_is_heard(cluster: dict[Host, Node]) -> None:
    """With no server that can work, connecting fails with what one of them said."""
    cluster[B] = Node(**JOINING)
    for _ in range(2):
        with pytest.raises(hosts.UNABLE):
            await Hosts((A, B)).connect()
    assert cluster[B].closed
