"""The house is as the documents say: the same rooms everywhere, nothing unused, nothing huge."""

import ast
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from support.source import ROOT, SERVICES

ROOMS = {
    "__init__", "__main__", "config", "wiring", "servicer", "translate", "usecases", "ports",
    "domain", "metrics", "persistence",
}  # fmt: skip
MORE_ROOMS = {"booking_svc": {"saga", "clients"}, "payment_svc": {"providers"}}
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
# What exists only after a command was run.
MADE_LATER = ("var/", ".venv/")
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

Function = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return request.param


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> list[Function]:
    tree = ast.walk(ast.parse(path.read_text()))
    return [node for node in tree if isinstance(node, Function)]


def test_the_same_rooms_in_every_service(service: str) -> None:
    """A service has the agreed files and folders, and no others."""
    found = {path.stem for path in (ROOT / service).iterdir() if path.name != "__pycache__"}
    assert found == ROOMS | MORE_ROOMS.get(service, set())


def test_a_port_has_only_the_calls_that_are_made(service: str) -> None:
    """Each method that a service asks of the outside is called by its use cases or its saga."""
    ports = functions(ROOT / service / "ports.py")
    callers = sources(f"{service}/usecases", f"{service}/saga")
    called = {
        node.attr
        for path in callers
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert {method.name for method in ports} - called == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_in_a_document_exists(document: str) -> None:
    """Where a document names a file or a folder, it is there, at the root or in every service."""
    named = re.findall(r"`([\w.{},*-]+/[\w./{},*-]*)`", (ROOT / document).read_text())
    wanted = [path for path in named if not path.startswith(MADE_LATER)]
    missing = [
        path
        for path in wanted
        if not list(ROOT.glob(path))
        and not all(list((ROOT / service).glob(path)) for service in SERVICES)
    ]
    assert missing == []


def test_nothing_is_too_long_to_read() -> None:
    """No file and no function is longer than can be read at once."""
    paths = sources("auditor", "chassis", "cli", "gateway", "scripts", "tests", *SERVICES)
    long = [
        str(path.relative_to(ROOT))
        for path in paths
        if len(path.read_text().splitlines()) > FILE_LINES_MAX
    ]
    long += [
        f"{path.relative_to(ROOT)}:{one.name}"
        for path in paths
        for one in functions(path)
        if one.end_lineno - one.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_every_test_states_its_claim() -> None:
    """Each test has a docstring that is a sentence, and no two tests claim the same."""
    claims = [
        (f"{path.name}:{one.name}", ast.get_docstring(one) or "")
        for path in sources("tests")
        for one in functions(path)
        if one.name.startswith("test_")
    ]
    counted = Counter(claim for _, claim in claims)
    assert [name for name, claim in claims if not claim.endswith(".")] == []
    assert [name for name, claim in claims if counted[claim] > 1] == []


def test_the_picture_is_what_is_enforced() -> None:
    """The chain of rooms drawn in ARCHITECTURE.md is the one that import-linter checks."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one["type"] == "layers"]
    chain = [re.sub(r"[()]", "", layer).split(" | ") for layer in layers]
    text = (ROOT / "ARCHITECTURE.md").read_text()
    drawn = re.search(r"^ {4}(\w+(?: → \w+)+)$", text, re.MULTILINE)
    assert drawn is not None
    rooms = drawn[1].split(" → ")
    assert len(rooms) == len(chain)
    assert all(room in layer for room, layer in zip(rooms, chain, strict=True))


def test_migrations_have_numbers_of_their_own() -> None:
    """No two migrations of a service have one number: Alembic would drop one without a word."""
    for service in SERVICES:
        files = (ROOT / service / "persistence/migrations/versions").glob("[0-9]*.py")
        numbers = ["_".join(path.name.split("_")[:2]) for path in files]
        assert numbers
        assert sorted(numbers) == sorted(set(numbers))
