"""A made-up service with migrations of its own, in a folder of the test."""

import itertools
import sys
from pathlib import Path
from textwrap import indent

import pytest

ENV = """
from sqlalchemy import MetaData
from chassis.migrations import run_env
run_env(MetaData())
"""
MIGRATION = '''"""{summary}."""

import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {before!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
{code}
'''
NUMBERS = itertools.count()


class MadeUp:
    """The package of migrations of a service that is not there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.package = f"made_up_{next(NUMBERS)}"
        self.folder = folder
        self.monkeypatch = monkeypatch
        self._folder = folder / self.package
        (self._folder / "versions").mkdir(parents=True)
        (self._folder / "__init__.py").touch()
        (self._folder / "env.py").write_text(ENV)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, self.package, raising=False)
        self._last: dict[str, str | None] = {"pre": None, "post": None}
        self._count = 0

    def add(self, phase: str, code: str, *, revision: str = "", before: str = "") -> str:
        """One more migration, after the last one of its phase; its revision."""
        self._count += 1
        number = f"{self._count:04}"
        revision = revision or (number if phase == "pre" else f"{number}_post")
        text = MIGRATION.format(
            summary=f"The {phase} number {self._count}",
            revision=revision,
            before=before or self._last[phase],
            code=indent(code, "    "),
        )
        (self._folder / "versions" / f"{number}_{phase}_made_up.py").write_text(text)
        self._last[phase] = revision
        return revision
