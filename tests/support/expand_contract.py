"""What a migration may do in its phase: it is run, and the schema before it and after compared.

So it does not matter how a migration is written. Programs of the version before run on what a
`pre` leaves: they insert rows without the new columns, and read and write the old ones. When a
`post` is run they are gone, and the new ones run before it and after it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn

from chassis import migrations
from chassis.database import Database
from chassis.migrations import Phase

VERSIONS = "alembic_version"
REMOVES_ROWS = re.compile(rf"\s*(DELETE|TRUNCATE)\b(?!.*\b{VERSIONS}\b)", re.IGNORECASE | re.DOTALL)
# The left ones fit into the right ones.
WIDER = {("INTEGER", "BIGINT"), ("SMALLINT", "INTEGER"), ("VARCHAR", "TEXT")}
NAME = re.compile(r"(?P<number>\d{4})_(?P<phase>pre|post)_\w+\.py")

LATER = "in a post of the version that does without it"
EARLIER = "in a pre: the new programs run before the post, too"


@dataclass(frozen=True)
class Column:
    """A column, as far as programs notice."""

    kind: str
    length: int | None
    nullable: bool
    default: str | None

    def fits_into(self, other: "Column") -> bool:
        """Whether each value of this one is one of the other."""
        if self.kind == other.kind:
            return other.length is None or (self.length is not None and self.length <= other.length)
        return (self.kind, other.kind) in WIDER


@dataclass(frozen=True)
class Table:
    """A table, as far as programs notice."""

    columns: dict[str, Column]
    key: tuple[str, ...]
    # The columns of which no two rows have the same.
    unique: frozenset[tuple[str, ...]]
    indexes: frozenset[tuple[str, ...]]
    # Checks and foreign keys, in words.
    rules: frozenset[str]


Schema = dict[str, Table]


@dataclass(frozen=True)
class Step:
    """One migration that was run."""

    revision: str
    path: str
    before: Schema
    after: Schema
    # What it did besides, in SQL.
    statements: Sequence[str] = field(default=())

    @property
    def phase(self) -> Phase:
        return migrations.phase_of(self.revision)

    def complaints(self) -> list[str]:
        """What it must not do, each with what to do instead."""
        of_phase = _of_pre if self.phase is Phase.PRE else _of_post
        return sorted(set(of_phase(self)))


def badly_named(scripts: ScriptDirectory) -> list[str]:
    """What is wrong with the names of migrations, and with what follows what."""
    wrong, numbers = [], []
    for one in scripts.walk_revisions():
        name = one.path.rpartition("/")[2]
        match = NAME.fullmatch(name)
        if match is None:
            wrong.append(f"{name}: is not named NNNN_pre_WHAT.py or NNNN_post_WHAT.py")
            continue
        number, phase = match["number"], match["phase"]
        numbers.append(number)
        revision = number if phase == Phase.PRE else f"{number}{migrations.POST_SUFFIX}"
        if one.revision != revision:
            wrong.append(f"{name}: its revision must be {revision}, to tell its phase")
        before = one.down_revision
        if isinstance(before, tuple) or (before and migrations.phase_of(before) != phase):
            wrong.append(f"{name}: follows {before}, and must follow one of its own phase, or none")
    wrong += [
        f"{one}: two migrations have this number" for one in numbers if numbers.count(one) > 1
    ]
    for phase in Phase:
        ends = [one for one in scripts.get_heads() if migrations.phase_of(one) is phase]
        if len(ends) > 1:
            wrong.append(
                f"{' and '.join(sorted(ends))} follow the same one: nobody knows the order"
            )
    return sorted(set(wrong))


def scripts_of(package: str) -> ScriptDirectory:
    """The migrations of a package."""
    return ScriptDirectory.from_config(migrations._config(package))


async def all_steps(database: Database, package: str) -> list[Step]:
    """Run the migrations of a package on an empty database, one by one."""
    scripts = scripts_of(package)
    revisions = [one.revision for one in await migrations.pending(database, package)]
    return [await _step(database, scripts, revision) for revision in revisions]


async def at_revision(database: Database, package: str, revision: str) -> None:
    """Bring an empty database to an older schema."""
    scripts = scripts_of(package)
    await database.write(lambda one: one.run_sync(_upgrade, scripts, revision))


async def _step(database: Database, scripts: ScriptDirectory, revision: str) -> Step:
    before = await database.read(lambda one: one.run_sync(_schema))
    said: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    engine = database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        await database.write(lambda one: one.run_sync(_upgrade, scripts, revision))
    finally:
        event.remove(engine, "before_cursor_execute", hear)
    after = await database.read(lambda one: one.run_sync(_schema))
    path = scripts.get_revision(revision).path.rpartition("/")[2]
    return Step(revision, path, before, after, said)


def _upgrade(connection: Connection, scripts: ScriptDirectory, revision: str) -> None:
    context = EnvironmentContext(
        Config(),
        scripts,
        fn=lambda now, _: scripts._upgrade_revs(revision, now),
        destination_rev=revision,
    )
    with context:
        context.configure(connection=connection)
        context.run_migrations()


def _schema(connection: Connection) -> Schema:
    look = inspect(connection)
    return {name: _table(look, name) for name in look.get_table_names() if name != VERSIONS}


def _table(look: Any, name: str) -> Table:
    # MySQL makes an index for each foreign key, under its name.
    foreign = {one["name"] for one in look.get_foreign_keys(name)}
    indexes = [one for one in look.get_indexes(name) if one["name"] not in foreign]
    named = [tuple(one["column_names"]) for one in look.get_unique_constraints(name)]
    named += [tuple(one["column_names"]) for one in indexes if one["unique"]]
    rules = [f"CHECK {one['sqltext']}" for one in look.get_check_constraints(name)]
    rules += [
        f"FOREIGN KEY {one['constrained_columns']} of {one['referred_table']}"
        for one in look.get_foreign_keys(name)
    ]
    return Table(
        columns={one["name"]: _column(one) for one in look.get_columns(name)},
        key=tuple(look.get_pk_constraint(name)["constrained_columns"]),
        unique=frozenset(named),
        indexes=frozenset(tuple(one["column_names"]) for one in indexes),
        rules=frozenset(rules),
    )


def _column(found: ReflectedColumn) -> Column:
    kind = type(found["type"]).__name__.upper()
    length = getattr(found["type"], "length", None)
    return Column(kind, length, found["nullable"], found["default"])


def _of_pre(step: Step) -> Iterator[str]:
    for name, before in step.before.items():
        after = step.after.get(name)
        if after is None:
            yield f"drops or renames the table {name}, which old programs use: do it {LATER}"
            continue
        yield from _columns_of_pre(name, before, after)
        yield from _rules_of_pre(name, before, after)
    for statement in step.statements:
        if REMOVES_ROWS.match(statement):
            yield f"removes rows that old programs may use ({statement.strip()}): do it {LATER}"


def _columns_of_pre(table: str, before: Table, after: Table) -> Iterator[str]:
    for name, was in before.columns.items():
        about, now = f"{table}.{name}", after.columns.get(name)
        if now is None:
            yield f"drops or renames {about}, which old programs use: do it {LATER}"
            continue
        if not was.fits_into(now):
            yield f"makes {about} narrower: old programs store longer values. Do it {LATER}"
        if was.nullable and not now.nullable:
            yield f"makes {about} NOT NULL: old programs store NULL. Do it in a post"
        if now.nullable and not was.nullable:
            yield (
                f"lets {about} be NULL, which old programs cannot read: give it a server default,"
                " or do it in a post of the version that reads NULL, and let the next one store it"
            )
        if was.default is not None and was.default != now.default:
            yield f"changes the default of {about}, on which old programs rely: do it in a post"
    for name in after.columns.keys() - before.columns.keys():
        if not after.columns[name].nullable and after.columns[name].default is None:
            yield (
                f"adds {table}.{name} as NOT NULL without a server default: old programs store rows"
                " without it. Give it a server default, or let it be NULL"
            )


def _rules_of_pre(table: str, before: Table, after: Table) -> Iterator[str]:
    fresh = after.columns.keys() - before.columns.keys()
    empty = {one for one in fresh if after.columns[one].nullable and not after.columns[one].default}
    if before.key != after.key:
        yield f"changes the primary key of {table}: make a new table, and fill it from the old one"
    for columns in after.unique - before.unique:
        # Rows of old programs are NULL there, and so no two of them are the same.
        if not empty.intersection(columns):
            yield (
                f"makes {_list(table, columns)} unique: old programs do not heed that. Do it in a"
                " post of the version that does"
            )
    for columns in before.unique - after.unique:
        yield f"lets {_list(table, columns)} repeat, on which old programs rely: do it {LATER}"
    for columns in before.indexes - before.unique - after.indexes:
        if not any(other[: len(columns)] == columns for other in after.indexes | {after.key}):
            yield f"drops the index of {_list(table, columns)}, by which old programs look: {LATER}"
    for rule in after.rules - before.rules:
        yield f"adds a rule to {table} ({rule}) that old programs do not heed: do it in a post"
    for rule in before.rules - after.rules:
        yield f"drops a rule of {table} ({rule}) on which old programs rely: do it {LATER}"


def _of_post(step: Step) -> Iterator[str]:
    for name, after in step.after.items():
        before = step.before.get(name)
        if before is None:
            yield f"adds (or renames) the table {name}: do it {EARLIER}"
            continue
        for column, now in after.columns.items():
            about, was = f"{name}.{column}", before.columns.get(column)
            if was is None:
                yield f"adds (or renames) {about}: do it {EARLIER}"
                continue
            if not now.fits_into(was):
                yield f"makes {about} wider: do it {EARLIER}"
            if now.default is not None and was.default is None:
                yield f"gives {about} a default: do it {EARLIER}"
        for columns in after.indexes - before.indexes - after.unique:
            yield f"adds an index of {_list(name, columns)}: do it {EARLIER}"


def _list(table: str, columns: Sequence[str]) -> str:
    return f"{table} ({', '.join(columns)})"
