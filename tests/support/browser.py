"""A headless Chromium, and what goes wrong in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

from support import chromium

# As root there is no sandbox; and it is to ask for nothing by itself.
OPTIONS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
WAIT_S = 30.0
VIEWPORT = {"width": 1200, "height": 1600}
REFUSED = 400


@dataclass
class Seen:
    """What a page asked for, and what went wrong."""

    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Write down all that the page does."""
        page.on("request", lambda one: self.asked.append(one.url))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)
        page.on("console", self._said)
        page.on("pageerror", lambda one: self.wrong.append(f"error: {one}"))

    def _failed(self, request: Request) -> None:
        self.wrong.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= REFUSED:
            self.wrong.append(f"{response.status}: {response.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(f"console: {message.text}")


# What a policy refuses is said in the console, too, as an error.
TELL_VIOLATIONS = """addEventListener("securitypolicyviolation",
    (event) => console.error("policy:", event.violatedDirective, event.blockedURI))"""


@asynccontextmanager
async def running() -> AsyncIterator[Browser]:
    """A browser, for one test or for all of a module: its profiles know nothing of each other."""
    path = chromium.executable()
    if path is None:
        pytest.skip(f"no Chromium: install it, or name it in {chromium.VARIABLE}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=OPTIONS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(url: str, **context: Any) -> AsyncIterator[tuple[Page, Seen]]:
    """A page in a browser of its own, which knows nothing yet. `context` as in Playwright."""
    async with running() as browser, page_of(browser, url, **context) as opened:
        yield opened


@asynccontextmanager
async def page_of(
    browser: Browser, url: str, init: str = "", **context: Any
) -> AsyncIterator[tuple[Page, Seen]]:
    """A page in a profile of its own of a browser; `init` is what runs in it before all else."""
    page = await browser.new_page(**{"viewport": VIEWPORT, **context})
    try:
        await page.add_init_script(f"{TELL_VIOLATIONS};{init}")
        page.set_default_timeout(WAIT_S * 1000)
        expect.set_options(timeout=WAIT_S * 1000)
        seen = Seen()
        seen.watch(page)
        await page.goto(url)
        yield page, seen
    finally:
        await page.close()
