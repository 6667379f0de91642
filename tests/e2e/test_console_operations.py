"""The console for operators; and what it is made of: money, streams, and access for everybody."""

import json
import time
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from support.browser import WAIT_S
from support.console import console
from support.rest import Rest

pytestmark = [pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
CONFIRM = "/api/bookings/confirm"
# Its first refund fails, which parks a cancellation that has no patience; the second one works.
REFUND_FAILS = {"token": "pm_mock_refund_fails"}
DECLINED = {"token": "pm_mock_card_declined"}
REFRESHED_MS = 3500


@pytest.fixture(scope="module")
def rest_settings() -> dict[str, str]:
    # Nobody but the saga asks what became of its refund: so it is the one that hears the refusal.
    return {"BOOKING_UNDO_TRIES_MAX": "1", "PAYMENT_RECONCILE_INTERVAL_S": "600"}


@pytest.fixture(scope="module")
def rest_errors() -> tuple[str, ...]:
    # A saga that is parked is an error: somebody has to look.
    return ("NEEDS_ATTENTION",)


def booked(rest: Rest, user: str, means: dict[str, str], seat: str = "A1") -> dict[str, Any]:
    """What was answered to a user who books a seat."""
    held = rest.hold(rest.event(), seat, user=user)
    body = {"reservationIds": held, "paymentMethod": means}
    answer: dict[str, Any] = rest("POST", CONFIRM, body, user=user, key=user).json()
    return answer


def parked(rest: Rest, user: str) -> str:
    """The reference of a booking whose cancellation waits for a person."""
    booking = booked(rest, user, REFUND_FAILS)
    rest("POST", f"/api/bookings/{booking['bookingId']}/cancel", "{}", user=user)
    path = f"/api/sagas/{booking['bookingId']}/cancel_booking"
    ends_at = time.monotonic() + WAIT_S
    while rest("GET", path, scope="admin").json().get("state") != "NEEDS_ATTENTION":
        assert time.monotonic() < ends_at
        time.sleep(0.2)
    reference: str = booking["bookingReference"]
    return reference


def status(rest: Rest, user: str) -> str:
    (booking,) = rest("GET", "/api/bookings/me", user=user).json()["bookings"]
    found: str = booking["status"]
    return found


async def test_operations_in_the_console(rest: Rest, chromium: Browser) -> None:
    """Parked sagas are retried and resolved after a question; charts and lists say what became."""
    stuck, paid_back = parked(rest, "stuck"), parked(rest, "paid-back")
    booked(rest, "unlucky", DECLINED)
    async with console(chromium, rest.url, "olga", "admin") as olga:
        page = olga.page
        await page.get_by_role("link", name="Operations").click()
        await expect(page.locator("#parked article")).to_have_count(2)
        await expect(page.locator(".tile", has_text="Waiting").locator(".value")).to_have_text("2")
        first = page.locator(f'#parked [data-reference="{stuck}"]')
        await expect(first).to_contain_text("stands at refund")
        await first.locator("summary").click()
        await expect(first.locator("tbody tr").last).to_contain_text("REFUSED")
        await first.get_by_role("button", name="Retry").click()
        await olga.button("Go back").click()
        await first.get_by_role("button", name="Retry").click()
        await page.get_by_role("dialog").get_by_role("button", name="Retry").click()
        await expect(first).to_have_count(0)
        second = page.locator(f'#parked [data-reference="{paid_back}"]')
        await second.get_by_role("button", name="Resolve").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Resolve").click()
        # Not without saying what was done.
        await expect(dialog).to_be_visible()
        await dialog.get_by_label("What was done by hand").fill("<b>paid</b> in cash")
        await dialog.get_by_role("button", name="Resolve").click()
        await expect(page.locator("#parked")).to_contain_text("No saga is parked.")
        row = page.get_by_role("button", name=paid_back)
        await row.click()
        detail = page.locator(".detail")
        await expect(detail).to_contain_text("by olga: <b>paid</b> in cash")
        await expect(detail.locator("caption")).to_have_count(2)
        success = page.locator(".tile", has_text="Success")
        await expect(success).to_contain_text("failed of the latest")
        await expect(page.locator("svg.chart[role=img]")).to_have_count(2)
        await page.get_by_label("Status").select_option("FAILED")
        await expect(page.locator(".latest tbody tr")).to_have_count(1)
        await expect(page.locator(".latest tbody")).to_contain_text("unlucky")
        await expect(page.locator(f'.latest [data-booking]:text("{stuck}")')).to_have_count(0)
        assert olga.fine()
    assert [status(rest, one) for one in ("stuck", "paid-back")] == ["CANCELLED", "CANCELLED"]


async def test_operations_are_refreshed(rest: Rest, chromium: Browser) -> None:
    """What happens is shown by itself, but not while it is paused, nor to who is no operator."""
    async with console(chromium, rest.url, "otto", "admin") as otto:
        clock, rows = otto.page.clock, otto.page.locator(".latest tbody")
        await clock.install()
        await otto.page.goto(f"{rest.url}/console#/operations")
        await otto.page.reload()
        await expect(otto.page.locator("#when")).to_contain_text("as of")
        booked(rest, "new-one", DECLINED)
        await clock.run_for(REFRESHED_MS)
        await expect(rows).to_contain_text("new-one")
        await otto.button("Pause").click()
        await expect(otto.button("Go on")).to_have_attribute("aria-pressed", "true")
        asked = len(otto.seen.asked)
        await clock.run_for(3 * REFRESHED_MS)
        assert len(otto.seen.asked) == asked
        await otto.button("Go on").click()
        async with otto.page.expect_request("**/api/bookings?*"):
            await clock.run_for(REFRESHED_MS)
        assert otto.fine()
    async with console(chromium, rest.url, "ann") as ann:
        await ann.page.goto(f"{rest.url}/console#/operations")
        await expect(ann.page.locator("#notice")).to_contain_text("admin")
        assert ann.fine("403")


async def barriers(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody out, light or dark: only the colours are others."""
    found = []
    for scheme, only in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        await page.emulate_media(color_scheme=scheme)
        options = {"resultTypes": ["violations"], **only}
        violations = (await Axe().run(page, options=options)).response["violations"]
        found += [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in violations]
    return found


async def test_the_console_is_for_everybody(rest: Rest, chromium: Browser) -> None:
    """In no view, light or dark, does axe-core find a name, role or contrast that is not right."""
    event = rest.event(24)
    rest.hold(event, "A4", user="ann")
    async with console(chromium, rest.url, "axel", "admin") as axel:
        page = axel.page
        assert await barriers(page) == []
        await axel.hold(event, "A1", "A2")
        assert await barriers(page) == []
        await axel.pay("card-declined")
        await axel.ends("The payment failed")
        assert await barriers(page) == []
        await page.get_by_role("link", name="My bookings").click()
        await expect(page.locator(".booking")).to_have_count(1)
        assert await barriers(page) == []
        await page.get_by_role("link", name="Operations").click()
        await page.locator(".latest [data-booking]").first.click()
        await expect(page.locator(".detail caption")).to_have_count(1)
        assert await barriers(page) == []
        await axel.button("Sign out").click()
        assert await barriers(page) == []


MONEY = """async () => {
    const money = await import("./console/money.js");
    return {
        sums: [
            money.sum([0.1, 0.2]), money.sum(["75.00", 75, {value: "0.005"}]), money.sum([]),
            money.sum([999999999999999, 999999999999999]), money.sum([12345678901.1234, 0.0001]),
        ],
        order: [money.compare(9, "10.00"), money.compare("75.0", 75), money.compare(0.3, 0.29)],
        shown: [money.shown("9007199254740993.01", "USD"), money.shown(150, "JPY"),
            ...[[1.5, "KWD"], [12.35, "HUF"], ["9.999", "IQD"], [12, "HUF"]].map(
                (one) => money.shown(...one).replaceAll("\\u00a0", " "))],
    };
}"""


async def test_money_in_the_console(rest: Rest, chromium: Browser) -> None:
    """Amounts are added, compared and shown with their exact digits, by the rules of a currency."""
    async with console(chromium, rest.url, "mona", locale="en-US") as mona:
        assert await mona.page.evaluate(MONEY) == {
            "sums": ["0.3", "150.005", "0", "1999999999999998", "12345678901.1235"],
            "order": [-1, 0, 1],
            "shown": [
                "$9,007,199,254,740,993.01",
                "¥150",
                # Coins that the browser would round away.
                "KWD 1.500",
                "HUF 12.35",
                "IQD 9.999",
                "HUF 12",
            ],
        }


STREAM = """async pieces => {
    const { events } = await import("./console/stream.js");
    const bytes = new TextEncoder().encode(pieces.text);
    const source = new ReadableStream({
        start(controller) {
            for (let at = 0; at < bytes.length; at += pieces.size) {
                controller.enqueue(bytes.slice(at, at + pieces.size));
            }
            controller.close();
        },
    });
    const found = [];
    for await (const one of events(source)) found.push([one.type, one.data]);
    return found;
}"""
SENT = (
    ': still here\n\ndata: {"a": "ü☃"}\r\n\r\nevent: error\ndata: 1\ndata:2\n\nid: 7\n\ndata: cut'
)


async def test_a_stream_in_the_console(rest: Rest, chromium: Browser) -> None:
    """Events are read whole however they are cut into pieces; a comment or half of one is none."""
    async with console(chromium, rest.url, "stella") as stella:
        for size in (1, 3, 1000):
            found = await stella.page.evaluate(STREAM, {"text": SENT, "size": size})
            whole = json.dumps({"a": "ü☃"}, ensure_ascii=False)
            assert found == [["message", whole], ["error", "1\n2"]]
