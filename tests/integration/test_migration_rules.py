"""Migrations keep to their phase: what a `pre` leaves bears old programs, a `post` only takes."""

from pathlib import Path

import pytest
from support.databases import Databases
from support.expand_contract import Step, all_steps, badly_named, scripts_of
from support.made_up import MadeUp
from support.source import SERVICES

BASE = """
op.create_table(
    "things",
    sa.Column("thing_id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("owner", sa.String(32)),
    sa.Column("price", sa.Integer, nullable=False, server_default="0"),
    sa.Column("code", sa.String(8), nullable=False),
    sa.Column("note", sa.String(8)),
    sa.UniqueConstraint("code", name="uq_things_code"),
    sa.CheckConstraint("price >= 0", name="ck_things_price"),
)
op.create_index("ix_things_owner", "things", ["owner"])
"""


def altering(change: str) -> str:
    return f'with op.batch_alter_table("things") as batch:\n    batch.{change}\n'


# What it does, and some words of what it is told to do instead.
NOT_IN_A_PRE = {
    "drops a table": ('op.drop_table("things")', "drops or renames the table things"),
    "renames a table": ('op.rename_table("things", "stuff")', "drops or renames the table things"),
    "drops a column": (altering('drop_column("note")'), "in a post of the version that does"),
    "renames a column": (
        altering('alter_column("owner", new_column_name="holder", existing_type=sa.String(32))'),
        "drops or renames things.owner",
    ),
    "renames a column in SQL": (
        'op.execute("ALTER TABLE things RENAME COLUMN name TO label")',
        "drops or renames things.name",
    ),
    "narrows a column": (
        altering('alter_column("owner", type_=sa.String(16), existing_type=sa.String(32))'),
        "makes things.owner narrower",
    ),
    "another type": (
        altering(
            'alter_column("price", type_=sa.String(16), existing_type=sa.Integer,'
            ' existing_nullable=False, existing_server_default="0")'
        ),
        "makes things.price narrower",
    ),
    "a column that must be there": (
        'op.add_column("things", sa.Column("size", sa.Integer))\n'
        + altering('alter_column("size", nullable=False, existing_type=sa.Integer)'),
        "Give it a server default, or let it be NULL",
    ),
    "must be there from now on": (
        altering('alter_column("owner", nullable=False, existing_type=sa.String(32))'),
        "makes things.owner NOT NULL",
    ),
    "may be missing from now on": (
        altering('alter_column("name", nullable=True, existing_type=sa.String(32))'),
        "lets things.name be NULL",
    ),
    "another default": (
        altering(
            'alter_column("price", server_default="7", existing_type=sa.Integer,'
            " existing_nullable=False)"
        ),
        "changes the default of things.price",
    ),
    "a unique constraint": (
        altering('create_unique_constraint("uq_things_name", ["name"])'),
        "makes things (name) unique",
    ),
    "a unique index": (
        'op.create_index("ix_things_name", "things", ["name"], unique=True)',
        "makes things (name) unique",
    ),
    "what was unique": (
        altering('drop_constraint("uq_things_code", type_="unique")'),
        "lets things (code) repeat",
    ),
    "an index": (
        'op.drop_index("ix_things_owner", "things")',
        "drops the index of things (owner)",
    ),
    "a check": (
        altering('create_check_constraint("ck_things_more", "price < 100")'),
        "adds a rule to things",
    ),
    "no check": (
        altering('drop_constraint("ck_things_price", type_="check")'),
        "drops a rule of things",
    ),
    "a foreign key": (
        altering('create_foreign_key("fk_things_price", "things", ["price"], ["thing_id"])'),
        "adds a rule to things",
    ),
    "removes rows": ('op.execute("DELETE FROM things WHERE price = 0")', "removes rows"),
}
IN_A_PRE = {
    "a table": 'op.create_table("more", sa.Column("more_id", sa.Integer, primary_key=True))',
    "a column that may be NULL": 'op.add_column("things", sa.Column("size", sa.Integer))',
    "a column with a default": (
        'op.add_column("things", sa.Column("size", sa.Integer, nullable=False, server_default="1"))'
    ),
    "an index": 'op.create_index("ix_things_name", "things", ["name"])',
    "a better index": (
        'op.create_index("ix_things_both", "things", ["owner", "price"])\n'
        'op.drop_index("ix_things_owner", "things")'
    ),
    "a wider column": altering(
        'alter_column("owner", type_=sa.String(64), existing_type=sa.String(32))'
    ),
    "what only new programs fill, and is unique": (
        'op.add_column("things", sa.Column("tag", sa.String(8)))\n'
        'op.create_index("ix_things_tag", "things", ["tag"], unique=True)'
    ),
    "fills what is new": (
        'op.add_column("things", sa.Column("size", sa.Integer))\n'
        'op.execute("UPDATE things SET size = price")'
    ),
}
NOT_IN_A_POST = {
    "a table": (IN_A_PRE["a table"], "adds (or renames) the table more"),
    "a column": (IN_A_PRE["a column with a default"], "adds (or renames) things.size"),
    "an index": (IN_A_PRE["an index"], "adds an index of things (name)"),
    "a wider column": (IN_A_PRE["a wider column"], "makes things.owner wider"),
    "a default": (
        altering('alter_column("owner", server_default="-", existing_type=sa.String(32))'),
        "gives things.owner a default",
    ),
}
IN_A_POST = [
    "drops a table",
    "drops a column",
    "narrows a column",
    "must be there from now on",
    "may be missing from now on",
    "a unique constraint",
    "a unique index",
    "what was unique",
    "an index",
    "a check",
    "no check",
    "a foreign key",
    "removes rows",
]


class Rules:
    """Runs made-up migrations on databases of one kind."""

    def __init__(self, databases: Databases, made_up: MadeUp) -> None:
        self._databases = databases
        self.made_up = made_up
        made_up.add("pre", BASE)

    async def told(self, phase: str, code: str) -> list[str]:
        """What is said against a migration that does this to the table of things."""
        revision = self.made_up.add(phase, code)
        database = self._databases.open(await self._databases.empty())
        steps = await all_steps(database, self.made_up.package)
        (step,) = [one for one in steps if one.revision == revision]
        return step.complaints()


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    return MadeUp(tmp_path, monkeypatch)


@pytest.fixture
def rules(databases: Databases, made_up: MadeUp) -> Rules:
    return Rules(databases, made_up)


@pytest.mark.parametrize("service", SERVICES)
async def test_every_migration_keeps_to_its_phase(databases: Databases, service: str) -> None:
    """No `pre` takes anything from programs of the version before, and no `post` adds anything."""
    database = databases.open(await databases.empty())
    steps: list[Step] = await all_steps(database, f"{service}.persistence.migrations")
    assert steps
    assert {one.path: one.complaints() for one in steps if one.complaints()} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_every_migration_is_named_for_its_phase(service: str) -> None:
    """The name of each migration says its number and its phase, and so does its revision."""
    assert badly_named(scripts_of(f"{service}.persistence.migrations")) == []


@pytest.mark.parametrize("what", NOT_IN_A_PRE)
async def test_what_old_programs_cannot_bear(rules: Rules, what: str) -> None:
    """A `pre` that breaks programs of the version before is refused, and told what to do."""
    code, expected = NOT_IN_A_PRE[what]
    told = await rules.told("pre", code)
    assert any(expected in one for one in told), told


@pytest.mark.parametrize("what", IN_A_PRE)
async def test_what_old_programs_do_not_notice(rules: Rules, what: str) -> None:
    """A `pre` may add what old programs need not know."""
    assert await rules.told("pre", IN_A_PRE[what]) == []


@pytest.mark.parametrize("what", NOT_IN_A_POST)
async def test_what_comes_too_late(rules: Rules, what: str) -> None:
    """A `post` that adds is refused: the new programs have run without it until then."""
    code, expected = NOT_IN_A_POST[what]
    assert await rules.told("post", code) == [
        f"{expected}: do it in a pre: the new programs run before the post, too"
    ]


@pytest.mark.parametrize("what", IN_A_POST)
async def test_what_is_left_for_the_end(rules: Rules, what: str) -> None:
    """A `post` may remove and tighten whatever a `pre` must leave."""
    assert await rules.told("post", NOT_IN_A_PRE[what][0]) == []


def test_names_that_hide_a_phase(made_up: MadeUp) -> None:
    """A revision that does not tell its phase, or follows one of the other, is refused."""
    made_up.add("pre", BASE)
    made_up.add("post", "pass", revision="0002")
    made_up.add("post", "pass", before="0001")
    made_up.add("pre", "pass", before="0001")
    made_up.add("pre", "pass", before="0001")
    assert badly_named(scripts_of(made_up.package)) == [
        "0002 and 0004 and 0005 follow the same one: nobody knows the order",
        "0002_post_made_up.py: its revision must be 0002_post, to tell its phase",
        "0003_post_made_up.py: follows 0001, and must follow one of its own phase, or none",
    ]
