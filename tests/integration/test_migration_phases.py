"""Which migrations are run when, and on which schema a program starts."""

from pathlib import Path

import pytest
from sqlalchemy import inspect
from support.databases import Databases
from support.made_up import MadeUp

from chassis.database import Database
from chassis.migrations import (
    Pending,
    Phase,
    SchemaError,
    migrate,
    pending,
    require_current,
)

TABLE = 'op.create_table("{0}", sa.Column("{0}_id", sa.Integer, primary_key=True))'
GONE = 'op.drop_table("{0}")'


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """A service whose first version has the table `old`, and whose second has `new` instead."""
    made_up = MadeUp(tmp_path, monkeypatch)
    made_up.add("pre", TABLE.format("old"))
    return made_up


@pytest.fixture
async def database(databases: Databases) -> Database:
    return databases.open(await databases.empty())


def second_version(made_up: MadeUp) -> None:
    made_up.add("pre", TABLE.format("new"))
    made_up.add("post", GONE.format("old"))


async def tables(database: Database) -> set[str]:
    found = await database.read(
        lambda one: one.run_sync(lambda sync: inspect(sync).get_table_names())
    )
    return set(found) - {"alembic_version"}


async def test_a_rollout_in_its_order(database: Database, made_up: MadeUp) -> None:
    """What adds is run first, what removes when that is asked for, and each only once."""
    assert await migrate(database, made_up.package, [Phase.PRE]) == ["0001"]
    second_version(made_up)
    assert await pending(database, made_up.package) == [
        Pending("0002", Phase.PRE, "The pre number 2."),
        Pending("0003_post", Phase.POST, "The post number 3."),
    ]
    assert await migrate(database, made_up.package, [Phase.PRE]) == ["0002"]
    assert await tables(database) == {"old", "new"}
    assert await migrate(database, made_up.package, [Phase.PRE]) == []
    assert await migrate(database, made_up.package, [Phase.POST]) == ["0003_post"]
    assert await tables(database) == {"new"}
    assert await pending(database, made_up.package) == []
    assert await migrate(database, made_up.package) == []


async def test_nothing_is_removed_before_the_new_is_there(
    database: Database, made_up: MadeUp
) -> None:
    """To remove, while what the new programs need is not there, is refused, and changes nothing."""
    await migrate(database, made_up.package)
    second_version(made_up)
    with pytest.raises(SchemaError, match=r"0002 comes first.*run 'migrate'"):
        await migrate(database, made_up.package, [Phase.POST])
    assert await tables(database) == {"old"}


async def test_a_version_may_be_left_out(database: Database, made_up: MadeUp) -> None:
    """Who goes from the first version to the third adds what both add, and removes nothing yet."""
    await migrate(database, made_up.package)
    second_version(made_up)
    made_up.add("pre", TABLE.format("third"))
    assert await migrate(database, made_up.package, [Phase.PRE]) == ["0002", "0004"]
    assert await tables(database) == {"old", "new", "third"}
    assert await migrate(database, made_up.package, [Phase.POST]) == ["0003_post"]


async def test_who_starts_on_which_schema(database: Database, made_up: MadeUp) -> None:
    """A new program starts before and after `post`; an old one after `pre`, but not `post`."""
    first, second = made_up, MadeUp(made_up.folder / "2", made_up.monkeypatch)
    second.add("pre", TABLE.format("old"))
    second_version(second)
    await migrate(database, first.package)
    await require_current(database, first.package, "made_up")
    with pytest.raises(SchemaError, match=r"is at 0001 and must be at 0002: run .*migrate'"):
        await require_current(database, second.package, "made_up")
    await migrate(database, second.package, [Phase.PRE])
    await require_current(database, first.package, "made_up")
    await require_current(database, second.package, "made_up")
    await migrate(database, second.package, [Phase.POST])
    await require_current(database, second.package, "made_up")
    with pytest.raises(SchemaError, match="is at 0003_post, which this program does not know"):
        await require_current(database, first.package, "made_up")


@pytest.mark.parametrize("phase", Phase)
async def test_an_old_program_migrates_nothing(
    database: Database, made_up: MadeUp, phase: Phase
) -> None:
    """The version before, told to migrate what is ahead of it, leaves that as it is."""
    second = MadeUp(made_up.folder / "2", made_up.monkeypatch)
    second.add("pre", TABLE.format("old"))
    second_version(second)
    await migrate(database, second.package)
    assert await migrate(database, made_up.package, [phase]) == []
    assert await pending(database, made_up.package) == []
    assert await tables(database) == {"new"}
