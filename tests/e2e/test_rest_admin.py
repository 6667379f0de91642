"""What the console asks of the gateway: all bookings, all events, and the sagas."""

import time
from typing import Any

import httpx
import pytest
from support.rest import Rest, exact, refused, says

CONFIRM = "/api/bookings/confirm"
GOOD = {"token": "pm_mock_success"}
ADMIN = {"user": "olga", "scope": "admin"}
WAIT_S = 30.0


def booked(rest: Rest, user: str, key: str) -> Any:
    """A confirmed booking of a user."""
    held = rest.hold(rest.event(), "A1", user=user)
    body = {"reservationIds": held, "paymentMethod": GOOD}
    answer = rest("POST", CONFIRM, body, user=user, key=key)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_latest_bookings(rest: Rest) -> None:
    """GET /api/bookings lists everyone's bookings, newest first, for an admin and nobody else."""
    first, second = booked(rest, "ann", "latest-1"), booked(rest, "bob", "latest-2")
    answer = rest("GET", "/api/bookings?pageSize=2", **ADMIN)
    assert (answer.status_code, answer.json()["bookings"]) == (200, [second, first])
    page = rest("GET", "/api/bookings?pageSize=1&status=CONFIRMED", **ADMIN).json()
    assert page["bookings"] == [second]
    token = page["nextPageToken"]
    later = rest("GET", f"/api/bookings?pageSize=1&status=CONFIRMED&pageToken={token}", **ADMIN)
    assert later.json()["bookings"] == [first]
    assert refused(rest("GET", "/api/bookings"), 403, "SCOPE_MISSING", "PERMISSION_DENIED")
    nobody = rest("GET", "/api/bookings", user="")
    assert refused(nobody, 401, "TOKEN_MISSING", "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "query", ["status=DONE", "status=99", "pageSize=-1", "pageSize=x", "pageToken=x", "user=ann"]
)
def test_no_list_of_bookings(rest: Rest, query: str) -> None:
    """What is no status, size or token of the list, or no field of it, is 400 by name."""
    answer = rest("GET", f"/api/bookings?{query}", **ADMIN)
    assert refused(answer, 400, "INVALID_FIELD", "INVALID_ARGUMENT")
    assert answer.json()["details"][0]["field"] == query.partition("=")[0]


def test_the_events(rest: Rest) -> None:
    """GET /api/inventory/events lists the events, newest first, for any buyer."""
    first, second = rest.event(), rest.event(2)
    answer = rest("GET", "/api/inventory/events?pageSize=2")
    assert answer.status_code == 200
    newest = {"eventId": second, "name": "Gala", "currency": "USD", "seatCount": 2}
    assert says(answer, {"events": [newest, {"eventId": first, "seatCount": 4}]})
    page = rest("GET", "/api/inventory/events?pageSize=1").json()
    later = rest("GET", f"/api/inventory/events?pageSize=1&pageToken={page['nextPageToken']}")
    assert [page["events"][0]["eventId"], later.json()["events"][0]["eventId"]] == [second, first]
    wrong = rest("GET", "/api/inventory/events?pageToken=x")
    assert refused(wrong, 400, "INVALID_FIELD", "INVALID_ARGUMENT")
    other = rest("GET", "/api/inventory/events", scope="inventory")
    assert refused(other, 403, "SCOPE_MISSING", "PERMISSION_DENIED")


def test_a_saga_over_http(rest: Rest) -> None:
    """Sagas are listed and read over HTTP; one that is not there, or not parked, is refused."""
    booking = booked(rest, "ann", "saga")
    path = f"/api/sagas/{booking['bookingId']}/confirm_booking"
    reference = booking["bookingReference"]
    listed = rest("GET", f"/api/sagas?bookingReference={reference}", **ADMIN)
    assert says(listed, {"sagas": [{"name": "confirm_booking", "state": "SUCCEEDED"}]})
    saga = rest("GET", path, **ADMIN)
    actions = [(one["action"], one["outcome"]) for one in exact(saga)["timeline"]]
    assert actions == [("take_payment", "DONE"), ("confirm_seats", "DONE")]
    for what, body in (("retry", "{}"), ("resolve", {"note": "by hand"})):
        answer = rest("POST", f"{path}/{what}", body, **ADMIN)
        assert refused(answer, 409, "SAGA_NOT_PARKED", "FAILED_PRECONDITION", state="SUCCEEDED")
    for other in ("/api/sagas/1/confirm_booking", path.replace("confirm", "cancel")):
        answer = rest("GET", other, **ADMIN)
        assert refused(answer, 404, "SAGA_NOT_FOUND", "NOT_FOUND")
    for verb, wrong, body, field in (
        ("GET", "/api/sagas?state=LOST", None, "state"),
        ("GET", "/api/sagas?pageToken=x", None, "pageToken"),
        ("GET", "/api/sagas/0/confirm_booking", None, "bookingId"),
        ("GET", f"/api/sagas/1/{'x' * 33}", None, "name"),
        ("POST", f"{path}/resolve", {"note": ""}, "note"),
        ("POST", f"{path}/resolve", {"note": "x" * 201}, "note"),
        ("POST", f"{path}/retry", {"force": True}, "force"),
    ):
        answer = rest(verb, wrong, body, **ADMIN)
        assert refused(answer, 400, "INVALID_FIELD", "INVALID_ARGUMENT")
        assert answer.json()["details"][0]["field"] == field
    assert refused(rest("GET", path), 403, "SCOPE_MISSING", "PERMISSION_DENIED")


def parked(rest: Rest, programs: Any) -> str:
    """The path of a saga that waits for a person: its refund found nobody."""
    booking = booked(rest, "ann", "parked")
    programs.running["payment_svc"].stop()
    rest("POST", f"/api/bookings/{booking['bookingId']}/cancel", "{}")
    path = f"/api/sagas/{booking['bookingId']}/cancel_booking"
    until(rest, path, "NEEDS_ATTENTION")
    address = programs.running["payment_svc"].address
    programs.start("payment_svc", PAYMENT_LISTEN=address, PAYMENT_MOCK_SUCCESS_RATE="1")
    return path


def until(rest: Rest, path: str, state: str) -> httpx.Response:
    """The saga, once it is in this state."""
    ends_at = time.monotonic() + WAIT_S
    while True:
        answer = rest("GET", path, **ADMIN)
        if answer.status_code == 200 and answer.json()["state"] == state:
            return answer
        assert time.monotonic() < ends_at, answer.text
        time.sleep(0.1)


def ended(rest: Rest, path: str) -> httpx.Response:
    """The saga at its end; retried when it parks again, for it may not see yet who is back."""
    ends_at = time.monotonic() + WAIT_S
    while True:
        answer = rest("GET", path, **ADMIN)
        if answer.json()["state"] == "SUCCEEDED":
            return answer
        if answer.json()["state"] == "NEEDS_ATTENTION":
            rest("POST", f"{path}/retry", None, **ADMIN)
        assert time.monotonic() < ends_at, answer.text
        time.sleep(0.1)


def test_a_parked_saga_over_http(programs: Any) -> None:
    """A parked saga is found by its state, and goes on to its end when it is retried over HTTP."""
    programs.start_with_gateway(BOOKING_UNDO_TRIES_MAX="1", PAYMENT_MOCK_SUCCESS_RATE="1")
    with Rest.open(programs.url) as rest:
        path = parked(rest, programs)
        listed = rest("GET", "/api/sagas?state=NEEDS_ATTENTION", **ADMIN)
        assert says(listed, {"sagas": [{"name": "cancel_booking", "step": "refund"}]})
        retried = rest("POST", f"{path}/retry", None, **ADMIN)
        assert retried.status_code == 200
        reference = listed.json()["sagas"][0]["bookingReference"]
        assert says(retried, {"booking": {"bookingReference": reference}})
        assert says(ended(rest, path), {"booking": {"status": "CANCELLED"}})
