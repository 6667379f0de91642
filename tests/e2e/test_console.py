"""The console in a browser: seats, test cards and the saga, over the running programs."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect
from support import browser
from support.browser import WAIT_S
from support.console import LEFT, PHONE, bookings_of, console, statuses
from support.rest import Rest
from support.tokens import token_for

pytestmark = [pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
CONFIRM = "**/api/bookings/confirm"
BOOKED = "Your seats are booked"
# The map was looked at again.
LOOKED_MS = 5000


async def test_a_booking_in_the_console(rest: Rest, chromium: Browser) -> None:
    """A link signs in, two seats are held and paid for, and the same key is the same booking."""
    event = rest.event()
    async with console(chromium, rest.url, "cora") as cora:
        assert cora.page.url == f"{rest.url}/console#/events"
        await cora.hold(event, "A1", "A2")
        assert statuses(rest, event)["A1"] == "HELD"
        await expect(cora.button("Pay")).to_have_text("Pay $150.00")
        await cora.pay()
        reference = await cora.ends(BOOKED)
        await expect(cora.page.locator('.step[data-state="done"]')).to_have_count(4)
        await cora.button("Send again").click()
        told = cora.page.locator("#told")
        await expect(told).to_contain_text(f"200: the same booking, {reference}, from what is")
        await expect(cora.page.locator("#sends")).to_have_text("2 times, always with this key")
        assert cora.fine()
    (booking,) = bookings_of(rest, "cora")
    assert (booking["bookingReference"], booking["status"]) == (reference, "CONFIRMED")
    assert statuses(rest, event) == {
        "A1": "BOOKED", "A2": "BOOKED", "A3": "AVAILABLE", "A4": "AVAILABLE",
    }  # fmt: skip


async def test_a_decline_in_the_console(rest: Rest, chromium: Browser) -> None:
    """A decline says why, shows what is undone, and its seats can be chosen again."""
    event = rest.event()
    async with console(chromium, rest.url, "dave") as dave:
        await dave.hold(event, "A1")
        await dave.pay("insufficient-funds")
        await dave.ends("The payment failed")
        await expect(dave.page.locator(".why")).to_contain_text("insufficient funds")
        for step, state in (("charge", "failed"), ("release", "done")):
            await expect(dave.step(step)).to_have_attribute("data-state", state)
        await dave.button("Send again").click()
        await expect(dave.page.locator("#told")).to_contain_text("402: the same refusal")
        assert statuses(rest, event)["A1"] == "AVAILABLE"
        await dave.button("Choose seats again").click()
        await dave.choose("A1")
        assert dave.fine("402")
    assert [one["status"] for one in bookings_of(rest, "dave")] == ["FAILED"]


async def test_a_payment_that_is_pending(rest: Rest, chromium: Browser) -> None:
    """A payment is seen to wait; a page that is loaded again goes on with the same key."""
    event = rest.event()
    async with console(chromium, rest.url, "pia") as pia:
        await pia.hold(event, "A1")
        await pia.pay("pending-then-success")
        note = pia.step("charge").locator(".note")
        await expect(note).to_have_text("the provider has not decided yet")
        key = await pia.page.locator(".facts code").last.inner_text()
        await pia.page.reload()
        await expect(pia.page.locator("#sends")).to_have_text("2 times, always with this key")
        assert await pia.page.locator(".facts code").last.inner_text() == key
        reference = await pia.ends(BOOKED)
        await pia.page.locator(".history summary").click()
        lines = pia.page.locator(".log li")
        await expect(lines.first).to_contain_text("PENDING")
        await expect(lines.filter(has_text="CONFIRMED").first).to_be_visible()
        assert pia.fine()
    assert [one["bookingReference"] for one in bookings_of(rest, "pia")] == [reference]


async def test_an_answer_that_gets_lost_on_the_way(rest: Rest, chromium: Browser) -> None:
    """A page that hears no answer sends again with the same key: one booking, one charge."""
    event = rest.event()
    keys: list[str] = []

    async def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            await route.continue_()
        else:
            # It arrives, and is done; nobody hears of it.
            await route.fetch()
            await route.abort("connectionreset")

    async with console(chromium, rest.url, "lara") as lara:
        await lara.page.route(CONFIRM, lose_the_first)
        await lara.hold(event, "A1", "A2")
        await lara.pay()
        reference = await lara.ends(BOOKED)
        await lara.page.locator(".history summary").click()
        said = lara.page.locator(".log")
        await expect(said).to_contain_text("no answer: sent again with the same key")
        await expect(said).to_contain_text("the same booking")
        assert lara.fine("net::ERR_CONNECTION_RESET")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    (booking,) = bookings_of(rest, "lara")
    assert booking["bookingReference"] == reference
    paid = rest("GET", f"/api/payment?bookingReference={reference}", scope="payments").json()
    assert [one["status"] for one in paid["payments"]] == ["SUCCESS"]


async def test_a_booking_by_keyboard(rest: Rest, chromium: Browser) -> None:
    """Without a mouse: Tab reaches the map, arrows move in it, Space chooses, Enter pays."""
    event = rest.event(60)
    async with console(chromium, rest.url, "kim") as kim:
        press = kim.page.keyboard.press
        await kim.page.goto(f"{rest.url}/console#/events/{event}")
        await expect(kim.seat("A1")).to_have_attribute("tabindex", "0")
        focused = kim.page.locator(":focus")
        # A view begins at its heading, and the whole map is one stop of Tab.
        await expect(focused).to_have_text("Gala")
        await press("Tab")
        await expect(focused).to_have_attribute("data-seat", "A1")
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        assert await kim.page.evaluate(ring) == "solid"
        await press("ArrowRight")
        await expect(focused).to_have_attribute("data-seat", "A2")
        await press("ArrowDown")
        below = await focused.get_attribute("data-seat")
        assert below not in ("A1", "A2")
        await press("ArrowUp")
        await expect(focused).to_have_attribute("data-seat", "A2")
        await press("Control+End")
        await expect(focused).to_have_attribute("data-seat", "A60")
        await press("Space")
        await press("ArrowLeft")
        await press("Space")
        await expect(kim.seat("A59")).to_have_attribute("aria-pressed", "true")
        # The two chosen seats, then the button.
        for _ in range(3):
            await press("Tab")
        await expect(focused).to_have_text("Hold 2 seats")
        await press("Enter")
        await expect(kim.page.locator("#clock")).to_be_visible()
        await expect(focused).to_contain_text("Yours for")
        for _ in range(2):
            await press("Tab")
        await expect(focused).to_have_text("Pay $150.00")
        await press("Enter")
        await kim.ends(BOOKED)
        assert kim.fine()
    (booking,) = bookings_of(rest, "kim")
    assert sorted(one["seatNumber"] for one in booking["seats"]) == ["A59", "A60"]


async def is_dark(page: Page) -> bool:
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(one) for one in re.findall(r"\d+", ground)) < 3 * 128


async def test_the_console_on_a_phone(rest: Rest, chromium: Browser) -> None:
    """On 360 points nothing is beside the screen, a finger hits each seat, and dark is dark."""
    event = rest.event(40)
    async with console(chromium, rest.url, "phil", "admin", **PHONE, color_scheme="light") as phil:
        assert await phil.fits()
        await phil.hold(event, "A1")
        assert await phil.fits()
        box = await phil.seat("A40").bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24
        await phil.pay()
        await phil.ends(BOOKED)
        assert await phil.fits()
        for name in ("My bookings", "Operations"):
            await phil.page.get_by_role("link", name=name).click()
            await expect(phil.page.get_by_role("heading", level=1)).to_have_text(name)
            assert await phil.fits()
        # As the system has it, unless it is chosen by hand; then it stays.
        assert not await is_dark(phil.page)
        await phil.page.emulate_media(color_scheme="dark")
        assert await is_dark(phil.page)
        await phil.button("Show it light").click()
        await phil.page.reload()
        assert not await is_dark(phil.page)
        assert phil.fine()


HOSTILE = '<img src=x onerror="document.title=1">'
SCRIPT = "\"'><script>x()</script>"
BACKWARDS = "\u202eevil\u2066{{7*7}}&lt;b&gt;"


async def test_what_others_call_things(rest: Rest, chromium: Browser) -> None:
    """Names of events, seats and users are shown as they are written, whatever is in them."""
    seats = [{"seatNumber": one, "price": "0.10"} for one in (SCRIPT, BACKWARDS, "x" * 32)]
    body = {"name": HOSTILE, "currency": "KWD", "seats": seats}
    event = rest("POST", "/api/inventory/events", body, scope="admin").json()["eventId"]
    user = "<b>eve</b>"
    async with console(chromium, rest.url, user, "admin") as eve:
        card = eve.page.locator(".event", has_text=HOSTILE)
        assert await card.locator("strong").inner_text() == HOSTILE
        await eve.page.goto(f"{rest.url}/console#/events/{event}")
        await expect(eve.page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        for number in (SCRIPT, BACKWARDS, "x" * 32):
            await eve.page.get_by_text(number, exact=True).click()
        await expect(eve.page.locator(".total strong")).to_contain_text("0.300")
        await eve.button("Hold 3 seats").click()
        await eve.pay()
        await eve.ends(BOOKED)
        await eve.page.get_by_role("link", name="Operations").click()
        await expect(eve.page.locator("td", has_text=user).first).to_be_visible()
        await eve.page.get_by_role("link", name="My bookings").click()
        await expect(eve.page.get_by_role("heading", name=HOSTILE)).to_be_visible()
        assert await eve.page.locator("main img, main script, main b, .who b").count() == 0
        assert eve.fine()


async def test_a_big_hall(rest: Rest, chromium: Browser) -> None:
    """Of many seats one section is there at a time, and what was chosen in another one stays."""
    event = rest.event(2001)
    async with console(chromium, rest.url, "bill") as bill:
        await bill.page.goto(f"{rest.url}/console#/events/{event}")
        await expect(bill.page.locator(".sections")).to_contain_text("Seats 1 to 1,000 of 2,001")
        await bill.choose("A7")
        # However often it is pressed, it is the next section.
        await bill.button("After").evaluate("one => { one.click(); one.click(); }")
        await expect(bill.seat("A1001")).to_be_visible()
        assert await bill.page.locator(".seat").count() == 1000
        await bill.choose("A1500")
        await bill.button("After").click()
        await expect(bill.page.locator(".sections")).to_contain_text("2,001 to 2,001")
        await expect(bill.button("After")).to_be_disabled()
        await bill.button("Before").click()
        await expect(bill.seat("A1500")).to_have_attribute("aria-pressed", "true")
        await bill.button("Hold 2 seats").click()
        await expect(bill.page.locator("#clock")).to_be_visible()
        # Also the one of another section.
        assert rest.hold(event, "A8", user="ann")
        assert bill.fine()


async def test_more_events_than_a_page(rest: Rest, chromium: Browser) -> None:
    """Older events are shown when they are asked for, and their halls have all their sections."""
    events = "**/api/inventory/events?*"
    old, _ = rest.event(1001), rest.event()

    async def one_at_a_time(route: Route) -> None:
        await route.continue_(url=route.request.url.replace("pageSize=100", "pageSize=1"))

    async with console(chromium, rest.url, "olde") as olde:
        await olde.page.route(events, one_at_a_time)
        await olde.page.reload()
        await expect(olde.page.locator(".event")).to_have_count(1)
        await olde.button("Show older ones").click()
        await expect(olde.page.locator(".event")).to_have_count(2)
        await olde.page.locator(f'a[href="#/events/{old}"]').click()
        await expect(olde.page.locator(".sections")).to_contain_text("of 1,000 or more")
        await olde.button("After").click()
        await expect(olde.seat("A1001")).to_be_visible()
        await expect(olde.page.locator(".sections")).to_contain_text("1,001 to 1,001 of 1,001")
        assert olde.fine()


async def test_seats_that_somebody_else_takes(rest: Rest, chromium: Browser) -> None:
    """A seat that was taken meanwhile is named, and the others stay chosen."""
    event = rest.event()
    async with console(chromium, rest.url, "slow") as slow:
        await slow.page.goto(f"{rest.url}/console#/events/{event}")
        await slow.choose("A1", "A2", "A3")
        rest.hold(event, "A2", user="fast")
        await slow.button("Hold 3 seats").click()
        notice = slow.page.locator("#notice")
        await expect(notice).to_contain_text("Somebody was faster: A2 is taken.")
        await slow.button("Hold 2 seats").click()
        await expect(slow.page.locator("#clock")).to_be_visible()
        assert slow.fine("409")
    assert statuses(rest, event) == {
        "A1": "HELD", "A2": "HELD", "A3": "HELD", "A4": "AVAILABLE",
    }  # fmt: skip


async def test_an_answer_about_seats_that_gets_lost(rest: Rest, chromium: Browser) -> None:
    """Seats whose hold nobody heard of are asked for again with the same key, and held once."""
    event = rest.event()
    keys: list[str] = []
    asked_again, shown = asyncio.Event(), asyncio.Event()

    async def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            asked_again.set()
            await shown.wait()
            await route.continue_()
        else:
            await route.fetch()
            await route.abort("connectionreset")

    async with console(chromium, rest.url, "hank") as hank:
        await hank.page.route("**/api/inventory/reservations", lose_the_first)
        await hank.page.clock.install()
        await hank.page.goto(f"{rest.url}/console#/events/{event}")
        await hank.page.reload()
        await hank.choose("A1", "A2")
        await hank.button("Hold 2 seats").click()
        await asked_again.wait()
        # Meanwhile the map shows them as held: by somebody, for all that is known.
        await hank.page.clock.run_for(LOOKED_MS)
        await expect(hank.seat("A1")).to_have_attribute("data-status", "HELD")
        await hank.seat("A3").click()
        shown.set()
        await expect(hank.page.locator("#clock")).to_be_visible()
        await expect(hank.page.locator("#notice")).to_have_text("")
        assert hank.fine("net::ERR_CONNECTION_RESET")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert statuses(rest, event)["A3"] == "AVAILABLE"


FORBIDDEN = """for (const name of ["sessionStorage", "localStorage"])
    Object.defineProperty(window, name, { get() { throw new DOMException("", "SecurityError"); } });
Date.now = () => 0;"""


async def test_a_browser_that_keeps_nothing(rest: Rest, chromium: Browser) -> None:
    """Without storage, and with a clock that stands still long ago, seats are held and paid for."""
    event = rest.event()
    async with console(chromium, rest.url, "vera", init=FORBIDDEN) as vera:
        await vera.hold(event, "A1")
        await expect(vera.page.locator("#clock")).to_have_text(re.compile("^(10:00|9:5.)$"))
        await vera.button("Show it dark").click()
        assert await is_dark(vera.page)
        await vera.pay()
        await vera.ends(BOOKED)
        assert vera.fine()


async def test_many_bookings_that_are_not_settled(rest: Rest, chromium: Browser) -> None:
    """However many bookings are followed, one line is open, so that there is room for all else."""
    event = rest.event(8)
    for seat in range(1, 9):
        held = rest.hold(event, f"A{seat}", user="mary")
        body = {"reservationIds": held, "paymentMethod": {"token": "pm_mock_success"}}
        rest("POST", "/api/bookings/confirm", body, user="mary", key=f"mary-{seat}")

    async def unsettled(route: Route) -> None:
        page = await (await route.fetch()).json()
        await route.fulfill(
            json={**page, "bookings": [{**one, "status": "PENDING"} for one in page["bookings"]]}
        )

    async with console(chromium, rest.url, "mary") as mary:
        await mary.page.route("**/api/bookings/me?pageSize=20", unsettled)
        await mary.page.get_by_role("link", name="My bookings").click()
        badges = mary.page.locator(".booking .badge")
        await expect(badges.filter(has_text="CONFIRMED")).to_have_count(8)
        assert len([one for one in mary.seen.asked if one.endswith("/watch")]) == 1
        assert mary.fine()


async def test_cancelling_in_the_console(rest: Rest, chromium: Browser) -> None:
    """A booking is cancelled after a question, live, and its seats are free again."""
    event = rest.event()
    async with console(chromium, rest.url, "cliff") as cliff:
        await cliff.hold(event, "A1")
        await cliff.pay()
        reference = await cliff.ends(BOOKED)
        await cliff.page.get_by_role("link", name="My bookings").click()
        row = cliff.page.locator(f'[data-reference="{reference}"]')
        await row.get_by_role("button", name="Cancel").click()
        # A question does not outlive its view.
        await cliff.page.go_back()
        await expect(cliff.page.get_by_role("dialog")).to_have_count(0)
        await cliff.page.go_forward()
        await row.get_by_role("button", name="Cancel").click()
        await cliff.button("Keep it").click()
        await expect(row).to_contain_text("CONFIRMED")
        await row.get_by_role("button", name="Cancel").click()
        await cliff.button("Cancel the booking").click()
        await expect(row.locator(".badge")).to_have_text("CANCELLED")
        await expect(row.get_by_role("button")).to_have_count(0)
        assert cliff.fine()
    assert statuses(rest, event)["A1"] == "AVAILABLE"


async def test_signing_in(rest: Rest, chromium: Browser) -> None:
    """A token is pasted, or refused with a sentence: what is none, is over, or is altered."""
    async with browser.page_of(chromium, f"{rest.url}/console") as (page, seen):
        field, enter = page.get_by_label("Token"), page.get_by_role("button", name="Sign in")
        header, body, _ = token_for("tina").split(".")
        for text, sentence in (
            ("nonsense", "This is no token"),
            ("e30.eyJzdWIiOjEsInNjb3BlIjpbImEiXX0.AAAA", "The services refuse this token"),
            (token_for("tina", lifetime_s=-60), "Your token is over since"),
            (f"{header}.{body}.AAAA", "The services refuse this token"),
        ):
            await field.fill(text)
            await enter.click()
            await expect(page.locator(".why")).to_contain_text(sentence)
        await field.fill(f"  {token_for('tina')}\n")
        await enter.click()
        await expect(page.locator("#user")).to_have_text("tina")
        await expect(page.get_by_role("link", name="Operations")).to_have_count(0)
        await page.get_by_role("button", name="Sign out").click()
        await expect(field).to_be_focused()
        assert await page.evaluate("sessionStorage.getItem('holdfast.token')") is None
        assert [one for one in seen.wrong if "401" not in one and LEFT not in one] == []


async def test_a_token_that_ends_on_the_way(rest: Rest, chromium: Browser) -> None:
    """When a token ends in the middle the page says so, and goes on where it was with another."""
    event = rest.event()
    async with console(chromium, rest.url, "theo") as theo:
        await theo.hold(event, "A1")
        over = token_for("theo", lifetime_s=-60)
        await theo.page.evaluate("text => sessionStorage.setItem('holdfast.token', text)", over)
        await theo.button("Pay").click()
        await expect(theo.page.locator(".why")).to_contain_text("Your token is over since")
        await theo.page.get_by_label("Token").fill(token_for("theo"))
        await theo.button("Sign in").click()
        reference = await theo.ends(BOOKED)
        assert theo.fine("401")
    assert [one["bookingReference"] for one in bookings_of(rest, "theo")] == [reference]


async def test_a_gateway_that_is_killed(programs: Any, chromium: Browser) -> None:
    """A gateway that is killed in the middle of a payment comes back to one booking."""
    programs.start_with_gateway(PAYMENT_MOCK_SUCCESS_RATE="1")
    gateway = programs.running["gateway"]
    with Rest.open(programs.url) as rest:
        event = rest.event()
        async with console(chromium, programs.url, "gil") as gil:
            await gil.hold(event, "A1", "A2")
            await gil.pay("pending-then-success")
            await expect(gil.step("charge").locator(".note")).to_be_visible()
            gateway.process.kill()
            gateway.process.wait(WAIT_S)
            await expect(gil.page.locator("#sends")).to_contain_text("times")
            await asyncio.to_thread(programs.start, "gateway", GATEWAY_LISTEN=gateway.address)
            reference = await gil.ends(BOOKED)
            assert gil.fine("net::ERR_")
        assert [one["bookingReference"] for one in bookings_of(rest, "gil")] == [reference]
        assert set(statuses(rest, event).values()) == {"BOOKED", "AVAILABLE"}
