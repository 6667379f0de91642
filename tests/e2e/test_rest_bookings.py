"""What REST clients were promised of events, reservations and bookings: shapes and statuses."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.rest import PAYMENT_ID, TIME, Digits, Like, Rest, exact, refused, says

pytestmark = pytest.mark.timeout(300)

CARD = (
    '{"type": "CREDIT_CARD", "cardNumber": "4111111111111111", "expiryMonth": 12,'
    ' "expiryYear": 2030, "cvv": "123"}'
)
GOOD, POOR = {"token": "pm_mock_success"}, {"token": "pm_mock_insufficient_funds"}
SLOW = {"token": "pm_mock_pending_then_success"}
SEATS = [{"seatNumber": one, "price": Digits("75.00")} for one in ("A1", "A2")]
RESERVATIONS = "/api/inventory/reservations"
CONFIRM = "/api/bookings/confirm"


@pytest.fixture(scope="module")
def rest_settings() -> dict[str, str]:
    # An event of 100,000 seats is larger than what is taken by default.
    return {"GATEWAY_BODY_BYTES_MAX": str(8 * 1024 * 1024)}


@pytest.fixture
def held(rest: Rest) -> list[int]:
    """Reservations of Ann for two seats at 75.00."""
    return rest.hold(rest.event(), "A1", "A2")


def confirm(
    rest: Rest, held: list[int], means: dict[str, str] = GOOD, **call: Any
) -> httpx.Response:
    return rest("POST", CONFIRM, {"reservationIds": held, "paymentMethod": means}, **call)


def until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.1)


# Events and reservations.


def test_an_event(rest: Rest) -> None:
    """POST /api/inventory/events creates an event for an admin, and its seats are listed."""
    body = (
        '{"name": "Gala", "currency": "USD", "seats": [{"seatNumber": "A1", "price": 75.00},'
        ' {"seatNumber": "A2", "price": 75.00}]}'
    )
    answer = rest("POST", "/api/inventory/events", body, scope="admin")
    assert answer.status_code == 200
    event = exact(answer)
    assert type(event["eventId"]) is int
    assert says(answer, {"name": "Gala", "currency": "USD", "seatCount": 2})
    path = f"/api/inventory/events/{event['eventId']}/seats"
    listed = rest("GET", path)
    assert listed.status_code == 200
    seats = [{**one, "status": "AVAILABLE"} for one in SEATS]
    assert says(listed, {"seats": seats, "nextPageToken": ""})
    assert all(type(one["seatId"]) is int for one in exact(listed)["seats"])
    first = exact(rest("GET", f"{path}?pageSize=1"))
    assert [one["seatNumber"] for one in first["seats"]] == ["A1"]
    second = exact(rest("GET", f"{path}?pageSize=1&pageToken={first['nextPageToken']}"))
    assert [one["seatNumber"] for one in second["seats"]] == ["A2"]


def test_an_event_of_100_000_seats(rest: Rest) -> None:
    """An event may have 100,000 seats, where the gateway takes a body of that size."""
    seats = ",".join(f'{{"seatNumber": "A{n}", "price": 75.00}}' for n in range(100_000))
    body = f'{{"name": "Arena", "currency": "USD", "seats": [{seats}]}}'
    answer = rest("POST", "/api/inventory/events", body, scope="admin")
    assert answer.status_code == 200, answer.text
    assert says(answer, {"seatCount": 100_000})


def test_reservations(rest: Rest) -> None:
    """POST /api/inventory/reservations holds seats, all or none, and they can be read and kept."""
    event = rest.event()
    body = f'{{"eventId": {event}, "seatNumbers": ["A1", "A2"], "ttl": "600s"}}'
    answer = rest("POST", RESERVATIONS, body)
    assert answer.status_code == 200
    expected = [
        {"eventId": event, "userId": "ann", "status": "ACTIVE", "expiresAt": TIME, "seat": seat}
        for seat in SEATS
    ]
    assert says(answer, {"reservations": expected})
    ids = [one["reservationId"] for one in exact(answer)["reservations"]]
    assert all(type(one) is int for one in ids)
    one_taken = {"eventId": event, "seatNumbers": ["A3", "A2"]}
    refusal = rest("POST", RESERVATIONS, one_taken, user="bob")
    assert refused(refusal, 409, "SEAT_NOT_AVAILABLE", "FAILED_PRECONDITION", seatNumbers="A2")
    seats = exact(rest("GET", f"/api/inventory/events/{event}/seats"))["seats"]
    assert [one["status"] for one in seats] == ["HELD", "HELD", "AVAILABLE", "AVAILABLE"]
    texts = [str(one) for one in ids]
    extended = rest("POST", f"{RESERVATIONS}/extend", {"reservationIds": texts, "ttl": "900s"})
    assert extended.status_code == 200
    assert says(extended, {"reservations": expected})
    before, after = (exact(one)["reservations"][0]["expiresAt"] for one in (answer, extended))
    assert before < after


def test_reading_reservations(rest: Rest, held: list[int]) -> None:
    """Reservations are read by `ids=1,2` as well as by `ids=1&ids=2`, in the order asked."""
    one, two = held
    answers = [
        rest("GET", f"{RESERVATIONS}?{query}")
        for query in (f"ids={two},{one}", f"ids={two}&ids={one}", f"ids={two}%2C{one}")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.content for answer in answers}) == 1
    found = exact(answers[0])["reservations"]
    assert [one["reservationId"] for one in found] == [two, one]
    assert says(answers[0], {"reservations": [{"seat": seat} for seat in SEATS[::-1]]})
    assert refused(
        rest("GET", f"{RESERVATIONS}?ids={one},1"), 404, "RESERVATION_NOT_FOUND", "NOT_FOUND"
    )
    assert refused(
        rest("GET", f"{RESERVATIONS}?ids={one}", user="bob"),
        404,
        "RESERVATION_NOT_FOUND",
        "NOT_FOUND",
    )


def test_confirming_and_cancelling_reservations(rest: Rest, held: list[int]) -> None:
    """A service confirms reservations with PUT and cancels them with POST, again and again."""
    body = {"reservationIds": held, "bookingReference": "BK-2026-1"}
    for _ in range(2):
        confirmed = rest("PUT", f"{RESERVATIONS}/confirm", body, scope="inventory")
        assert confirmed.status_code == 200
        expected = {"status": "CONFIRMED", "bookingReference": "BK-2026-1"}
        assert says(confirmed, {"reservations": [expected, expected]})
    for _ in range(2):
        cancelled = rest("POST", f"{RESERVATIONS}/cancel", body, scope="inventory")
        assert cancelled.status_code == 200
        assert says(cancelled, {"reservations": [{"status": "CANCELLED"}] * 2})
    late = rest("PUT", f"{RESERVATIONS}/confirm", body, scope="inventory")
    assert refused(late, 409, "RESERVATION_NOT_ACTIVE", "FAILED_PRECONDITION")


# Bookings.


def test_a_booking(rest: Rest) -> None:
    """POST /api/bookings/confirm answers 201 as the document says, and where it can be read."""
    event = rest.event()
    held = rest.hold(event, "A1", "A2", user="user_123")
    body = f'{{"reservationIds": {held}, "paymentMethod": {CARD}, "idempotencyKey": "idem_1"}}'
    answer = rest("POST", CONFIRM, body, user="user_123")
    assert answer.status_code == 201
    booking = exact(answer)
    expected = {
        "bookingReference": Like(r"BK-\d{4}-\w{10}"),
        "eventId": event,
        "userId": "user_123",
        "seats": SEATS,
        "totalAmount": Digits("150.00"),
        "status": "CONFIRMED",
        "paymentId": PAYMENT_ID,
        "paymentStatus": "SUCCESS",
        "confirmedAt": TIME,
    }
    assert says(answer, expected)
    assert type(booking["bookingId"]) is int
    path = f"/api/bookings/{booking['bookingId']}"
    assert answer.headers["location"] == path
    again = rest("POST", CONFIRM, body, user="user_123")
    assert (again.status_code, again.content) == (200, answer.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in answer.headers
    read = rest("GET", path, user="user_123")
    assert (read.status_code, read.content) == (200, answer.content)


def test_a_key_in_a_header(rest: Rest, held: list[int]) -> None:
    """A key may be a header, plain or as a quoted string; both and the member are one key."""
    quoted = confirm(rest, held, key='"k \\"1\\""')
    assert quoted.status_code == 201, quoted.text
    plain = confirm(rest, held, key='k "1"')
    body = {"reservationIds": held, "paymentMethod": GOOD, "idempotencyKey": 'k "1"'}
    member = rest("POST", CONFIRM, body)
    assert [one.status_code for one in (plain, member)] == [200, 200]
    assert quoted.content == plain.content == member.content
    # A caller that sends a key in both places must mean one key.
    other = rest("POST", CONFIRM, body, key="another")
    assert refused(other, 400, "IDEMPOTENCY_KEY_INVALID", "INVALID_ARGUMENT")


def test_a_booking_without_a_key(rest: Rest, held: list[int]) -> None:
    """No key, or none that can be one, is 400; and with one all is as if nothing had been sent."""
    assert refused(confirm(rest, held), 400, "IDEMPOTENCY_KEY_REQUIRED", "INVALID_ARGUMENT")
    long = confirm(rest, held, key="k" * 256)
    assert refused(long, 400, "IDEMPOTENCY_KEY_INVALID", "INVALID_ARGUMENT")
    assert confirm(rest, held, key="k" * 255).status_code == 201


def test_a_booking_that_is_declined(rest: Rest, held: list[int]) -> None:
    """A decline is 402 with its payment, again for the same key, and frees the seats."""
    first, again = (confirm(rest, held, POOR, key="declined") for _ in range(2))
    for answer in (first, again):
        assert refused(answer, 402, "PAYMENT_FAILED", "FAILED_PRECONDITION")
        expected = {"paymentId": PAYMENT_ID, "errorCode": "INSUFFICIENT_FUNDS"}
        assert says(answer, {"message": "Payment declined: insufficient funds", **expected})
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    found = exact(rest("GET", f"{RESERVATIONS}?ids={held[0]}"))["reservations"]
    assert found[0]["status"] == "CANCELLED"
    reference = first.json()["bookingReference"]
    listed = rest("GET", f"/api/bookings/me?bookingReference={reference}").json()["bookings"]
    assert [one["status"] for one in listed] == ["FAILED"]
    cancel = rest("POST", f"/api/bookings/{listed[0]['bookingId']}/cancel", "{}")
    assert refused(cancel, 409, "BOOKING_NOT_CANCELLABLE", "FAILED_PRECONDITION")


def test_a_booking_whose_outcome_is_open(rest: Rest) -> None:
    """While it runs its key is 409 with Retry-After; out of time it is 202 PENDING; then 200."""
    user, hurry = "erin", {"x-request-timeout": "2"}
    held = rest.hold(rest.event(), "A1", "A2", user=user)
    pending: list[httpx.Response] = []

    def ask() -> None:
        with Rest.open(rest.url) as another:
            pending.append(confirm(another, held, SLOW, key="slow", user=user, headers=hurry))

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: bool(rest("GET", "/api/bookings/me", user=user).json()["bookings"]))
    in_use = confirm(rest, held, SLOW, key="slow", user=user)
    asking.join()
    assert refused(in_use, 409, "IDEMPOTENCY_KEY_IN_USE", "ABORTED")
    assert int(in_use.headers["retry-after"]) >= 1
    assert pending[0].status_code == 202
    assert says(pending[0], {"status": "PENDING", "totalAmount": Digits("150.00")})
    until(lambda: confirm(rest, held, SLOW, key="slow", user=user).status_code == 200)
    last = confirm(rest, held, SLOW, key="slow", user=user)
    assert says(last, {"status": "CONFIRMED", "bookingId": pending[0].json()["bookingId"]})
    assert last.headers["idempotent-replayed"] == "true"


def test_a_key_for_something_else(rest: Rest, held: list[int]) -> None:
    """A key that was used for a different request is 422."""
    assert confirm(rest, held, key="used").status_code == 201
    other = confirm(rest, held[:1], key="used")
    assert refused(other, 422, "IDEMPOTENCY_KEY_REUSED", "INVALID_ARGUMENT")


def test_reservations_that_cannot_be_booked(rest: Rest, held: list[int]) -> None:
    """Reservations of others, of several events, cancelled or expired ones are refused by name."""
    foreign = rest.hold(rest.event(), "A1", user="bob")
    answer = confirm(rest, foreign, key="one")
    assert refused(answer, 404, "RESERVATION_NOT_FOUND", "NOT_FOUND")
    mixed = [*held, *rest.hold(rest.event(), "A1")]
    answer = confirm(rest, mixed, key="one")
    assert refused(answer, 409, "RESERVATIONS_MIXED", "FAILED_PRECONDITION")
    short = rest.hold(rest.event(), "A1", ttl="1s")
    path = f"{RESERVATIONS}?ids={short[0]}"
    until(lambda: rest("GET", path).json()["reservations"][0]["status"] == "EXPIRED")
    answer = confirm(rest, short, key="one")
    assert refused(answer, 409, "RESERVATION_EXPIRED", "FAILED_PRECONDITION")
    rest("POST", f"{RESERVATIONS}/cancel", {"reservationIds": held}, scope="inventory")
    answer = confirm(rest, held, key="one")
    assert refused(answer, 409, "RESERVATION_NOT_ACTIVE", "FAILED_PRECONDITION")
    # Nothing was stored: the key is still free.
    assert confirm(rest, rest.hold(rest.event(), "A1"), key="one").status_code == 201


def test_my_bookings(rest: Rest) -> None:
    """GET /api/bookings/me is the caller's list, no booking called `me`; others see none of it."""
    user = "carol"
    assert exact(rest("GET", "/api/bookings/me", user=user)) == {
        "bookings": [],
        "nextPageToken": "",
    }
    mine = confirm(rest, rest.hold(rest.event(), "A1", user=user), key="k", user=user)
    listed = rest("GET", "/api/bookings/me", user=user)
    assert listed.status_code == 200
    assert exact(listed)["bookings"] == [exact(mine)]
    booking = mine.json()["bookingId"]
    assert rest("GET", f"/api/bookings/{booking}", user=user).content == mine.content
    for verb, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/watch")):
        answer = rest(verb, f"/api/bookings/{booking}{path}", user="dave")
        facts = {"bookingId": str(booking)}
        assert refused(answer, 404, "BOOKING_NOT_FOUND", "NOT_FOUND", **facts)
    nobody = rest("GET", "/api/bookings/7", user=user)
    theirs = rest("GET", f"/api/bookings/{booking}", user="dave")
    assert nobody.text == theirs.text.replace(str(booking), "7")


@pytest.mark.parametrize("body", [None, "", "{}"])
def test_cancelling_a_booking(rest: Rest, held: list[int], body: str | None) -> None:
    """POST /api/bookings/{id}/cancel gives seats and money back, with an empty body or none."""
    booking = confirm(rest, held, key=f"cancel-{body}").json()["bookingId"]
    answer = rest("POST", f"/api/bookings/{booking}/cancel", body)
    assert answer.status_code == 200
    expected = {"bookingId": booking, "status": "CANCELLED", "paymentStatus": "REFUNDED"}
    assert says(answer, {**expected, "totalAmount": Digits("150.00")})
