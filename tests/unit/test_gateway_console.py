"""The files of the console: what is served, how, and that they are all there."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources

import pytest

from gateway import wiring
from gateway.answers import Response
from gateway.config import GatewaySettings
from gateway.console_files import POLICY, ConsoleFiles
from gateway.descriptors import Contracts
from payment_svc.providers.mock_scenarios import SCENARIOS

NAMES = sorted(one.name for one in (resources.files("gateway") / "console").iterdir())
MODULES = [name for name in NAMES if name.endswith(".js")]


@pytest.fixture(scope="module")
def console() -> ConsoleFiles:
    return ConsoleFiles()


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def fetched(console: ConsoleFiles, path: str, if_none_match: str = "") -> Response:
    found = console.page(path, if_none_match)
    assert found is not None, path
    return found


def text_of(console: ConsoleFiles, name: str) -> str:
    return fetched(console, f"/console/{name}").body.decode()


def test_the_console_has_all_that_it_loads(console: ConsoleFiles) -> None:
    """Every address in the page and every module that a module names is relative, and served."""
    tags = Tags(fetched(console, "/console").body.decode()).found
    links = [value for _, one in tags for name in ("src", "href") if (value := one.get(name))]
    files = [link for link in links if not link.startswith("#")]
    assert len(files) == 3
    for link in files:
        assert fetched(console, f"/{link}").body
    for module in MODULES:
        named = re.findall(
            r'^(?:import|export)\b.* from "([^"]+)";$', text_of(console, module), re.MULTILINE
        )
        assert named == [one for one in named if one.startswith("./")]
        for one in named:
            assert fetched(console, f"/console/{one.removeprefix('./')}").body


def test_only_the_files_of_the_console_are_served(console: ConsoleFiles) -> None:
    """Nothing outside the folder can be had, and the page has one address."""
    for path in (
        "/console/index.html", "/console/../wiring.py", "/console/%2e%2e/wiring.py", "/console//",
        "/console/x/main.js", "/consoles", "/", "/main.js",
    ):  # fmt: skip
        assert console.page(path) is None
    assert fetched(console, "/console/").headers["location"] == "../console"


def test_the_policy_of_the_console(console: ConsoleFiles) -> None:
    """No file may load from elsewhere, run a script that is no file, or be framed."""
    for name in ("", *(f"/{one}" for one in NAMES if one != "index.html")):
        headers = fetched(console, f"/console{name}").headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    policy = dict(one.split(" ", 1) for one in POLICY.split("; "))
    assert policy.pop("img-src") == "'self' data:"
    assert {policy.pop(f"{kind}-src") for kind in ("script", "style", "connect")} == {"'self'"}
    assert set(policy.values()) == {"'none'"}
    assert set(policy) == {"default-src", "base-uri", "form-action", "frame-ancestors"}


def test_releases_are_not_mixed(console: ConsoleFiles) -> None:
    """All files are asked about again, and a file that a browser has is not sent again."""
    for name in NAMES:
        path = "/console" if name == "index.html" else f"/console/{name}"
        first = fetched(console, path)
        assert first.headers["cache-control"] == "no-cache"
        again = fetched(console, path, first.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        assert fetched(console, path, '"another"').status == 200


def lines(console: ConsoleFiles) -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for line in text_of(console, module).splitlines():
            yield module, line


def test_no_text_is_read_as_html(console: ConsoleFiles) -> None:
    """No module writes HTML or runs text, and nothing in the page is inline."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
        r"|createContextualFragment|setHTML|DOMParser|setTimeout\(\"|https?://(?!www\.w3\.org)"
    )
    assert [one for one in lines(console) if forbidden.search(one[1])] == []
    for tag, attributes in Tags(fetched(console, "/console").body.decode()).found:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "style"
        assert tag != "script" or attributes.get("src")


def test_the_cards_of_the_console(console: ConsoleFiles) -> None:
    """The console offers the cards that the mock provider knows, each once and no other."""
    cards = json.loads(fetched(console, "/console/cards.json").body)["testCards"]
    expected = [(one.name, one.number, one.description, one.outcome) for one in SCENARIOS]
    assert [tuple(one.values()) for one in cards] == expected


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, 200),
        ({"docs": False}, 200),
        ({"console": False}, None),
        ({"targets": '{"my.v1.Shelves": "127.0.0.1:1"}'}, None),
    ],
    ids=["by default", "without docs", "off", "of other services"],
)
async def test_where_there_is_a_console(settings: dict[str, object], status: int | None) -> None:
    """The console is there for our own services, unless it is switched off."""
    page = wiring._pages(GatewaySettings(**settings), Contracts({}, {}), [], {})
    found = await page("/console", "")
    assert (found and found.status) == status
