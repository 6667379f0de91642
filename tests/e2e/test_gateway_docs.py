"""The documentation in a browser: Swagger UI at /docs, over the running programs."""

import json
from typing import Any

from playwright.async_api import Page, expect
from support import browser
from support.tokens import token_for

CONFIRM = "BookingService-BookingService_ConfirmBooking"


# A click by a mouse waits until all is still; there are many to make.
OPEN_ALL = "document.querySelectorAll('.opblock-summary-control').forEach(one => one.click())"


async def authorize(page: Page, token: str) -> None:
    await page.get_by_role("button", name="Authorize").first.click()
    modal = page.locator(".modal-ux")
    await modal.locator("input").fill(token)
    await modal.get_by_role("button", name="Apply credentials").click()
    await modal.get_by_role("button", name="Close").click()


async def test_the_page_loads_and_asks_nobody_else(rest_stack: Any) -> None:
    """Swagger UI shows every operation without a failed request, a complaint or another address."""
    site = rest_stack.url
    async with browser.opened(f"{site}/docs") as (page, seen):
        operations = page.locator(".opblock")
        await expect(page.locator(f"#operations-{CONFIRM}")).to_be_visible()
        paths = (await (await page.request.get(f"{site}/openapi.json")).json())["paths"]
        assert await operations.count() == sum(len(one) for one in paths.values())
        await page.evaluate(OPEN_ALL)
        await expect(page.locator(".responses-wrapper")).to_have_count(await operations.count())
        assert seen.wrong == []
        assert {url for url in seen.asked if not url.startswith((f"{site}/", "data:"))} == set()
        assert f"{site}/openapi.json" in seen.asked


async def test_try_it_out_confirms_a_booking(rest_stack: Any) -> None:
    """The example of the page, with reservations of one's own, is a booking that is CONFIRMED."""
    held = [int(one) for one in rest_stack.hold(rest_stack.event(), "A1", "A2")]
    async with browser.opened(f"{rest_stack.url}/docs") as (page, seen):
        await authorize(page, token_for("ann"))
        operation = page.locator(f"#operations-{CONFIRM}")
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()
        body = operation.locator("textarea")
        example = json.loads(await body.input_value())
        await body.fill(json.dumps({**example, "reservationIds": held}))
        await operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table")
        await expect(answer.locator(".response-col_status").last).to_contain_text("201")
        booking = json.loads(
            await answer.locator(".response-col_description pre").first.inner_text()
        )
        assert seen.wrong == []
    assert (booking["status"], booking["totalAmount"]) == ("CONFIRMED", 150)
    assert [one["reservationId"] for one in booking["seats"]] == held
    seen_by_service = rest_stack.call(
        "booking_svc", "GetBooking", {"bookingId": booking["bookingId"]}
    )
    assert seen_by_service.body["status"] == "CONFIRMED"
