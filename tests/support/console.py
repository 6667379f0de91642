"""The console in a browser, as its users see it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Locator, Page, expect

from support import browser
from support.browser import Seen
from support.rest import Rest
from support.tokens import token_for

PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}
# What is left in the middle because the page went on; nothing is wrong with that.
LEFT = "net::ERR_ABORTED"


@dataclass
class Console:
    """Somebody who uses the console of a stack."""

    site: str
    page: Page
    seen: Seen
    token: str

    async def choose(self, *numbers: str) -> None:
        for number in numbers:
            seat = self.seat(number)
            await seat.click()
            await expect(seat).to_have_attribute("aria-pressed", "true")

    async def hold(self, event_id: int, *numbers: str) -> None:
        """Hold seats of an event, and wait until they are held."""
        await self.page.goto(f"{self.site}/console#/events/{event_id}")
        await self.choose(*numbers)
        await self.button("Hold").click()
        await expect(self.page.locator("#clock")).to_have_text(re.compile(r"\d+:\d\d"))

    async def pay(self, scenario: str = "success") -> None:
        await self.page.locator("#scenario").select_option(scenario)
        await self.button("Pay").click()

    async def ends(self, words: str) -> str:
        """Wait until the order has ended with these words; the reference of its booking."""
        await expect(self.page.get_by_role("heading", name=words)).to_be_visible()
        return await self.page.locator(".facts code").first.inner_text()

    def seat(self, number: str) -> Locator:
        return self.page.locator(f'[data-seat="{number}"]')

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def step(self, name: str) -> Locator:
        return self.page.locator(f'[data-step="{name}"]')

    async def fits(self) -> bool:
        """Whether nothing of the page is beside the screen."""
        return await self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def fine(self, *expected: str) -> bool:
        """Whether nothing else went wrong, nobody else was asked, and no address had a token."""
        known = (LEFT, *expected)
        wrong = [one for one in self.seen.wrong if not any(part in one for part in known)]
        assert wrong == []
        assert {urlsplit(one).netloc for one in self.seen.asked} == {urlsplit(self.site).netloc}
        # What follows the # is not sent.
        sent = [urlsplit(one)._replace(fragment="").geturl() for one in self.seen.asked]
        assert not any(self.token in one or "token" in one for one in sent)
        return True


@asynccontextmanager
async def console(
    chromium: Browser, site: str, user: str, scope: str = "bookings", **context: Any
) -> AsyncIterator[Console]:
    """Somebody who opens the link that `holdfast up` prints."""
    token = token_for(user, scope)
    address = f"{site}/console#token={token}"
    async with browser.page_of(chromium, address, **context) as (page, seen):
        await expect(page.get_by_role("heading", name="What is on")).to_be_visible()
        yield Console(site, page, seen, token)


def statuses(rest: Rest, event_id: int) -> dict[str, str]:
    """Where each seat of a small event stands."""
    path = f"/api/inventory/events/{event_id}/seats?pageSize=1000"
    return {one["seatNumber"]: one["status"] for one in rest("GET", path).json()["seats"]}


def bookings_of(rest: Rest, user: str) -> list[dict[str, Any]]:
    """All that a user has booked, newest first."""
    found: list[dict[str, Any]] = rest("GET", "/api/bookings/me", user=user).json()["bookings"]
    return found
