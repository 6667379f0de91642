"""What REST clients were promised: each route with its scopes, and payments digit by digit."""

from typing import Any

import pytest
from support.rest import PAYMENT_ID, TIME, Digits, Like, Rest, exact, refused, says

pytestmark = pytest.mark.timeout(300)

CARD = (
    '{"type": "CREDIT_CARD", "cardNumber": "4111111111111111", "expiryMonth": 12,'
    ' "expiryYear": 2030, "cvv": "123"}'
)
PAYMENT = (
    '{"amount": 150.00, "currency": "USD", "bookingReference": "BK-2026-001234",'
    f' "userId": "user_123", "paymentMethod": {CARD}}}'
)
POOR_CARD = "4000000000009995"

# Each route, and the scopes with which it may be called; a signature stands for a token.
ROUTES = [
    ("POST", "/api/payment/process", "payments"),
    ("GET", "/api/payment/pay_1", "payments"),
    ("GET", "/api/payment", "payments"),
    ("POST", "/api/payment/pay_1/refund", "payments"),
    ("POST", "/api/payment/webhooks/mock", ""),
    ("POST", "/api/bookings/confirm", "bookings"),
    ("GET", "/api/bookings/me", "bookings"),
    ("GET", "/api/bookings/1", "bookings"),
    ("POST", "/api/bookings/1/cancel", "bookings"),
    ("GET", "/api/bookings/1/watch", "bookings"),
    ("POST", "/api/inventory/events", "admin"),
    ("GET", "/api/inventory/events/1/seats", "bookings inventory"),
    ("POST", "/api/inventory/reservations", "bookings inventory"),
    ("GET", "/api/inventory/reservations?ids=1", "bookings inventory"),
    ("POST", "/api/inventory/reservations/extend", "bookings inventory"),
    ("PUT", "/api/inventory/reservations/confirm", "inventory"),
    ("POST", "/api/inventory/reservations/cancel", "inventory"),
]
SCOPES = ("bookings", "payments", "inventory", "admin")


# Routes.


@pytest.mark.parametrize(("verb", "path", "scopes"), ROUTES)
def test_each_route(rest: Rest, verb: str, path: str, scopes: str) -> None:
    """Each route is there for its method and scopes, and for no other method and no other scope."""
    answer = rest(verb, path, user="")
    reason = "TOKEN_MISSING" if scopes else "WEBHOOK_REFUSED"
    assert refused(answer, 401, reason, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"
    wrong = rest("DELETE", path)
    assert refused(wrong, 405, "METHOD_NOT_ALLOWED", "UNIMPLEMENTED")
    assert verb in wrong.headers["allow"].split(", ")
    for scope in SCOPES if scopes else ():
        answer = rest(verb, path, scope=scope)
        if scope in {*scopes.split(), "admin"}:
            assert answer.status_code != 403, answer.text
        else:
            assert refused(answer, 403, "SCOPE_MISSING", "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "path",
    [
        "/api/payment/BK-1/cancel",
        "/api/bookings/events/stream",
        "/holdfast.payment.v1.PaymentService/CancelPayment",
        "/api/bookings/me/",
        "/",
    ],
)
def test_no_other_route(rest: Rest, path: str) -> None:
    """What services say among themselves has no route, and neither has a method by its name."""
    for verb in ("GET", "POST"):
        assert refused(rest(verb, path, scope="admin"), 404, "NOT_FOUND", "NOT_FOUND")


# Payments.


def test_a_payment(rest: Rest) -> None:
    """POST /api/payment/process takes the document's body and answers 200 as it says."""
    answer = rest("POST", "/api/payment/process", PAYMENT, scope="payments")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert says(
        answer,
        {
            "paymentId": PAYMENT_ID,
            "status": "SUCCESS",
            "amount": Digits("150.00"),
            "currency": "USD",
            "transactionId": Like("txn_[0-9A-Z]{26}"),
            "processedAt": TIME,
        },
    )
    assert b'"amount":150.00,' in answer.content


def test_a_payment_that_is_declined(rest: Rest) -> None:
    """A decline of POST /api/payment/process is 400 with the payment and why it was declined."""
    body = PAYMENT.replace("4111111111111111", POOR_CARD)
    answer = rest("POST", "/api/payment/process", body, scope="payments")
    assert answer.status_code == 400
    assert says(
        answer,
        {
            "paymentId": PAYMENT_ID,
            "status": "FAILED",
            "errorCode": "INSUFFICIENT_FUNDS",
            "errorMessage": "Payment declined: insufficient funds",
        },
    )


@pytest.mark.parametrize(
    ("token", "code"), [("card_declined", "CARD_DECLINED"), ("expired_card", "EXPIRED_CARD")]
)
def test_the_other_declines(rest: Rest, token: str, code: str) -> None:
    """The other two decline codes are told by their names."""
    body = PAYMENT.replace(CARD, f'{{"token": "pm_mock_{token}"}}')
    answer = rest("POST", "/api/payment/process", body, scope="payments")
    assert answer.status_code == 400
    assert says(answer, {"status": "FAILED", "errorCode": code})


def test_a_payment_that_is_pending(rest: Rest) -> None:
    """A payment of which the provider has not said is 202 PENDING, and can be read."""
    body = PAYMENT.replace(CARD, '{"token": "pm_mock_pending_then_success"}')
    answer = rest("POST", "/api/payment/process", body, scope="payments")
    assert answer.status_code == 202
    assert says(answer, {"status": "PENDING", "amount": Digits("150.00")})
    path = f"/api/payment/{answer.json()['paymentId']}"
    assert says(rest("GET", path, scope="payments"), {"status": "PENDING"})


@pytest.mark.parametrize(
    ("amount", "currency", "digits"),
    [
        ("150", "USD", Digits("150.00")),
        ('"150.00"', "USD", Digits("150.00")),
        ("1.5e2", "USD", Digits("150.00")),
        ("9007199254740.99", "USD", Digits("9007199254740.99")),
        ("0.1", "KWD", Digits("0.100")),
        ("150", "JPY", 150),
    ],
)
def test_an_amount_in_any_form(rest: Rest, amount: str, currency: str, digits: Any) -> None:
    """An amount is read as a number or a text, and written with the digits of its currency."""
    body = PAYMENT.replace("150.00", amount).replace("USD", currency)
    answer = rest("POST", "/api/payment/process", body, scope="payments")
    assert answer.status_code == 200, answer.text
    assert exact(answer)["amount"] == digits


@pytest.mark.parametrize("amount", ["1.001", "0", "-1.00", "NaN", "1e40", "true", "null"])
def test_an_amount_that_is_none(rest: Rest, amount: str) -> None:
    """An amount with too many decimals, zero, below it, or no number is 400 and named."""
    body = PAYMENT.replace("150.00", amount)
    answer = rest("POST", "/api/payment/process", body, scope="payments")
    assert refused(answer, 400, "INVALID_FIELD", "INVALID_ARGUMENT")


def test_reading_payments(rest: Rest) -> None:
    """A payment is read by its id, and listed by its booking page by page."""
    body = PAYMENT.replace("BK-2026-001234", "BK-2026-LIST")
    ids = [
        rest("POST", "/api/payment/process", body, scope="payments").json()["paymentId"]
        for _ in range(2)
    ]
    one = rest("GET", f"/api/payment/{ids[0]}", scope="payments")
    assert one.status_code == 200
    assert says(one, {"paymentId": ids[0], "amount": Digits("150.00"), "status": "SUCCESS"})
    path = "/api/payment?bookingReference=BK-2026-LIST&pageSize=1"
    first = exact(rest("GET", path, scope="payments"))
    second = exact(rest("GET", f"{path}&pageToken={first['nextPageToken']}", scope="payments"))
    assert [page["payments"][0]["paymentId"] for page in (first, second)] == ids[::-1]
    assert second["nextPageToken"] == ""


def test_a_refund(rest: Rest) -> None:
    """POST /api/payment/{id}/refund gives back an amount, and no more than there is."""
    paid = rest("POST", "/api/payment/process", PAYMENT, scope="payments").json()["paymentId"]
    path = f"/api/payment/{paid}/refund"
    too_much = rest("POST", path, '{"amount": 150.01}', scope="payments")
    assert refused(too_much, 409, "REFUND_EXCEEDS_PAYMENT", "FAILED_PRECONDITION")
    body = '{"amount": 100.00, "reason": "BOOKING_CANCELLED"}'
    answer = rest("POST", path, body, scope="payments")
    assert answer.status_code == 200
    expected = {"refundId": Like("ref_[0-9A-Z]{26}"), "status": "REFUNDED"}
    assert says(answer, {**expected, "refundedAmount": Digits("100.00")})
    part = rest("GET", f"/api/payment/{paid}", scope="payments")
    assert says(part, {"status": "PARTIALLY_REFUNDED", "refundedAmount": Digits("100.00")})
    rest_of_it = rest("POST", path, "{}", scope="payments")
    assert says(rest_of_it, {"status": "REFUNDED", "refundedAmount": Digits("50.00")})
    assert says(rest("GET", f"/api/payment/{paid}", scope="payments"), {"status": "REFUNDED"})
    again = rest("POST", path, "{}", scope="payments")
    assert refused(again, 409, "PAYMENT_NOT_REFUNDABLE", "FAILED_PRECONDITION", paymentId=paid)
