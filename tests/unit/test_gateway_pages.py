"""The pages with the documentation: what is served, how, and what is not."""

import gzip
import re
from html.parser import HTMLParser

import pytest

from gateway.answers import Response, compressed
from gateway.pages import Pages


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages([], {})


class Links(HTMLParser):
    """The addresses in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def fetched(pages: Pages, path: str, if_none_match: str = "") -> Response:
    found = pages.page(path, if_none_match)
    assert found is not None
    return found


def test_the_page_has_all_that_it_loads(pages: Pages) -> None:
    """Every address in the page is relative, and served; so is the one of the document."""
    page = fetched(pages, "/docs").body.decode()
    links = Links()
    links.feed(page)
    assert len(links.found) == 4
    for link in links.found:
        assert not re.match(r"[a-z]+:|/", link)
        assert fetched(pages, f"/{link}").body
    start = fetched(pages, "/docs/start.js").body
    assert b'url: "openapi.json"' in start
    assert fetched(pages, "/openapi.json").headers["content-type"] == "application/json"


def test_only_what_is_named_is_served(pages: Pages) -> None:
    """No other file of the package, and nothing outside its folder, can be had."""
    for path in (
        "/docs/index.html", "/docs/LICENSE", "/docs/../pages.py", "/docs/%2e%2e/x", "/docs//",
        "/docs/oauth2-redirect.html", "/docs/swagger-ui.js", "/", "/openapi", "/docs/x/start.js",
    ):  # fmt: skip
        assert pages.page(path) is None


def test_the_page_may_load_nothing_from_elsewhere(pages: Pages) -> None:
    """The policy of every page allows no address but its own, no inline script, and no frame."""
    for path in ("/docs", "/docs/start.js", "/openapi.json"):
        headers = fetched(pages, path).headers
        policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert "://" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_what_a_browser_has_is_not_sent_again(pages: Pages) -> None:
    """A page with the tag that its reader has is 304 without a body; with another it is sent."""
    first = fetched(pages, "/docs")
    etag = first.headers["etag"]
    for known in (etag, f'"x", {etag}', etag.removeprefix("W/"), "*"):
        again = fetched(pages, "/docs", known)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert fetched(pages, "/docs", '"x"').status == 200
    assert fetched(pages, "/docs/start.js").headers["etag"] != etag


def test_a_page_is_compressed_once(pages: Pages) -> None:
    """Who takes gzip gets the page in it, without it being compressed for each."""
    page = fetched(pages, "/docs/swagger-ui-bundle.js")
    sent = compressed(page, "gzip")
    assert sent.body is page.gzipped
    assert gzip.decompress(sent.body) == page.body
    assert sent.headers["content-encoding"] == "gzip"


def test_a_slash_too_many_leads_to_the_page(pages: Pages) -> None:
    """/docs/ leads to /docs, relative to wherever the gateway is."""
    assert fetched(pages, "/docs/").headers["location"] == "../docs"
