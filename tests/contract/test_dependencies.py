"""What we depend on is locked, may be given on, and is held against what is known of it."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.source import ROOT

from scripts.supply import advisories, licences, locks
from scripts.supply.advisories import Unreachable
from scripts.supply.audit import EXEMPTIONS, main
from scripts.supply.licences import is_allowed
from scripts.supply.locks import Package

KNOWN = "GHSA-aaaa-bbbb-cccc"
CVE = "CVE-2026-12345"
NAME, VERSION = "httpx", "0.28.1"
ADVISORY = {
    "id": KNOWN,
    "aliases": [CVE],
    "summary": "It tells everything to everybody.",
    "affected": [
        {
            "package": {"name": NAME, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
        }
    ],
}


class Osv:
    """Answers as OSV does, what a test tells it to."""

    def __init__(self) -> None:
        self.url = ""
        # Of a package: pages of ids.
        self.pages: dict[str, list[list[str]]] = {}
        self.told: dict[str, dict[str, Any]] = {KNOWN: ADVISORY}
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.silent = threading.Event()
        self.silent.set()

    def batch(self, queries: list[dict[str, Any]]) -> dict[str, Any]:
        self.asked += queries
        return {"results": [self._result(one) for one in queries]}

    def _result(self, query: dict[str, Any]) -> dict[str, Any]:
        pages = self.pages.get(query["package"]["name"], [])
        at = int(query.get("page_token", "0"))
        result: dict[str, Any] = {}
        if at < len(pages):
            result["vulns"] = [{"id": one, "modified": "2026-01-01"} for one in pages[at]]
        if at + 1 < len(pages):
            result["next_page_token"] = str(at + 1)
        return result


class Handler(BaseHTTPRequestHandler):
    osv: Osv

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(length))
        self.osv.silent.wait(20)
        self._say(self.osv.batch(body["queries"]))

    def do_GET(self) -> None:
        self._say(self.osv.told[self.path.rpartition("/")[2]])

    def _say(self, what: dict[str, Any]) -> None:
        self.send_response(self.osv.status)
        self.end_headers()
        self.wfile.write(json.dumps(what).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def osv(monkeypatch: pytest.MonkeyPatch) -> Iterator[Osv]:
    osv = Osv()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"osv": osv}))
    # It looks so often whether it is to end.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    osv.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HOLDFAST_OSV_URL", osv.url)
    monkeypatch.delenv("HOLDFAST_AUDIT", raising=False)
    yield osv
    osv.silent.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The lock files, in a place where they may be changed."""
    for name in (*locks.LOCKS, EXEMPTIONS):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def allow(folder: Path, until: str, id_: str = CVE, reason: str = "it is not called") -> None:
    text = f'[[allowed]]\nid = "{id_}"\nreason = "{reason}"\nuntil = {until}\n'
    (folder / EXEMPTIONS).write_text(text)


@pytest.mark.parametrize("name", locks.LOCKS)
def test_all_is_locked(name: str) -> None:
    """Each package is one exact version with hashes, and no lock file names an address."""
    packages, wrong = locks.read(ROOT / name)
    assert wrong == []
    lines = (ROOT / name).read_text().splitlines()
    assert len(packages) == sum(bool(re.match(r"[A-Za-z0-9]", line)) for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        "httpx>=0.28 \\\n    --hash=sha256:" + "0" * 64,
        "httpx \\\n    --hash=sha256:" + "0" * 64,
        "httpx==0.28.*,<1 \\\n    --hash=sha256:" + "0" * 64,
        "httpx @ https://elsewhere/httpx.whl \\\n    --hash=sha256:" + "0" * 64,
        "git+https://elsewhere/httpx",
        "-e .",
        "httpx==0.28.1",
        "httpx==0.28.1 \\\n    --hash=md5:" + "0" * 32,
        "-i https://elsewhere/simple",
    ],
)
def test_what_is_no_lock(tmp_path: Path, line: str) -> None:
    """A range, an address, a missing or weak hash and a folder are told as what they are."""
    (tmp_path / "some.lock").write_text(f"# a comment\n{line}\n")
    assert locks.read(tmp_path / "some.lock")[1]


def test_what_ships_may_be_given_on() -> None:
    """What ships has licences that ask for little, as its own metadata say."""
    packages, _ = locks.read(ROOT / locks.SHIPPED)
    assert licences.wrong(packages) == []
    # It is GPL, and only tests start it.
    assert licences.wrong([Package("localstripe", "1")])


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("MIT AND GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("MIT OR (Apache-2.0 AND x)", True),
        ("(MIT)", False),
        ("none", False),
    ],
)
def test_an_expression_of_licences(expression: str, *, allowed: bool) -> None:
    """Of licences joined by AND all must be allowed, of those by OR one; others are not."""
    assert is_allowed(expression) is allowed


def test_nothing_known(osv: Osv, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is known the audit says nothing; each locked version was asked about."""
    assert main(folder) == 0
    assert capsys.readouterr().out == ""
    asked = {(one["package"]["name"], one["version"]) for one in osv.asked}
    all_of = {one for name in locks.LOCKS for one in locks.read(folder / name)[0]}
    assert asked == {(one.name, one.version) for one in all_of}
    assert {one["package"]["ecosystem"] for one in osv.asked} == {"PyPI"}


def test_a_known_vulnerability(osv: Osv, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is known is a failure that names it, where it is mended, and what to do."""
    osv.pages[NAME] = [[KNOWN]]
    assert main(folder) == 1
    told = capsys.readouterr().out
    assert f"{NAME} {VERSION}: {KNOWN}, {CVE}: It tells everything to everybody." in told
    assert "Fixed in 9.9." in told
    assert "scripts/lock --upgrade-package" in told


def test_known_on_a_later_page(osv: Osv, folder: Path) -> None:
    """What OSV tells on a further page is known, too."""
    osv.told["PYSEC-1"] = {"id": "PYSEC-1", "withdrawn": "2026-01-01T00:00:00Z"}
    osv.pages[NAME] = [["PYSEC-1"], [KNOWN]]
    assert main(folder) == 1


def test_what_was_taken_back(osv: Osv, folder: Path) -> None:
    """An advisory that was taken back is none."""
    osv.told[KNOWN] = {**ADVISORY, "withdrawn": "2026-01-01T00:00:00Z"}
    osv.pages[NAME] = [[KNOWN]]
    assert main(folder) == 0


def test_one_under_two_names(osv: Osv, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What two databases know under names of their own is told once."""
    osv.told["PYSEC-2"] = {"id": "PYSEC-2", "aliases": [CVE], "details": "The same."}
    osv.pages[NAME] = [[KNOWN, "PYSEC-2"]]
    assert main(folder) == 1
    assert capsys.readouterr().out.count(CVE) == 1


@pytest.mark.parametrize("id_", [KNOWN, CVE])
def test_allowed_for_a_time(osv: Osv, folder: Path, id_: str) -> None:
    """What is allowed, under any of its names, passes until its last day."""
    osv.pages[NAME] = [[KNOWN]]
    allow(folder, "2999-12-31", id_)
    assert main(folder) == 0


def test_allowed_no_longer(osv: Osv, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After its last day what was allowed is a failure again, with the reason that it had."""
    osv.pages[NAME] = [[KNOWN]]
    allow(folder, "2026-01-31")
    assert main(folder) == 1
    assert "It was allowed until 2026-01-31: it is not called" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("until", "reason"), [("2999-12-31", " "), ('"soon"', "x"), ("2999-12-31T00:00:00Z", "x")]
)
def test_an_exemption_needs_a_reason_and_a_day(
    osv: Osv, folder: Path, until: str, reason: str
) -> None:
    """Nothing is allowed for ever, or without a reason."""
    allow(folder, until, reason=reason)
    assert main(folder) == 1
    assert osv.asked == []


def test_our_own_exemptions_can_be_read() -> None:
    """The exemptions of the project have all that they need."""
    advisories.exemptions(ROOT / EXEMPTIONS)


@pytest.mark.parametrize("trouble", ["nobody there", "an error", "silence", "no JSON"])
@pytest.mark.parametrize("required", [False, True])
def test_advisories_that_cannot_be_asked_for(  # noqa: PLR0913, PLR0917 - all that it needs
    osv: Osv,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    required: bool,  # noqa: FBT001 - of the table
) -> None:
    """Without the advisories the audit says so, and is a failure only where they are required."""
    osv.pages[NAME] = [[KNOWN]]
    if trouble == "nobody there":
        monkeypatch.setenv("HOLDFAST_OSV_URL", "http://127.0.0.1:9")
    if trouble == "an error":
        osv.status = 503
    if trouble == "silence":
        osv.silent.clear()
        monkeypatch.setattr("scripts.supply.audit.PATIENCE_S", 0.2)
    if trouble == "no JSON":
        monkeypatch.setattr("json.dumps", lambda _: "<html>")
    if required:
        monkeypatch.setenv("HOLDFAST_AUDIT", "required")
    assert main(folder) == int(required)
    told = capsys.readouterr().out
    assert ("the advisories cannot be asked for" if required else "NOT ASKED FOR") in told


def test_an_answer_that_is_none(osv: Osv) -> None:
    """An answer with too few results is none, rather than good news."""
    osv.batch = lambda _queries: {"results": []}  # type: ignore[method-assign]
    with pytest.raises(Unreachable):
        advisories.known([Package(NAME, VERSION)], osv.url)


def test_make_check_audits() -> None:
    """`make check` has the audit among its steps, and stops at what it finds."""
    assert '"$bin/python" scripts/audit || exit 1' in (ROOT / "scripts/check").read_text()
