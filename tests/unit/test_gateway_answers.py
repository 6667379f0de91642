"""How answers are told: types that services name, and rules of the contract that cannot be."""

import pytest
from google.protobuf.descriptor_pb2 import MethodOptions
from holdfast.booking.v1 import booking_pb2
from holdfast.http.v1 import answers_pb2

from gateway import answers, status
from gateway.rules import RuleError


class _Method:
    """A method as the rules see it: with options and an answer."""

    full_name = "holdfast.booking.v1.BookingService.Confirm"
    output_type = booking_pb2.Booking.DESCRIPTOR

    def __init__(self, rule: answers_pb2.AnswerRule) -> None:
        self._options = MethodOptions()
        self._options.Extensions[answers_pb2.answers].rules.append(rule)  # type: ignore[index]

    def GetOptions(self) -> MethodOptions:
        return self._options


@pytest.mark.parametrize(
    "kind", ["text/csv", "text/html; charset=utf-8", "application/vnd.a+json", "image/svg+xml;a=b"]
)
def test_types_of_raw_answers(kind: str) -> None:
    """A type that a service names is passed on as it is."""
    assert answers.of_message(200, b"x", {}, kind).headers["content-type"] == kind


@pytest.mark.parametrize(
    "kind",
    ["", "text", "text/plain\r\nset-cookie: a=b", "text/plain;a\nb", "text/plain\n", "a/b c"],
)
def test_types_that_are_none(kind: str) -> None:
    """What is no type, such as one that would begin another header, is not passed on."""
    sent = answers.of_message(200, b"x", {}, kind).headers["content-type"]
    assert sent == "application/octet-stream"


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ({}, "0 is no status"),
        ({"code": 500}, "500 is no status"),
        ({"code": 204}, "204 is no status"),
        ({"code": 202, "field": "state", "value": "PENDING"}, "no enum state"),
        ({"code": 202, "field": "booking_id", "value": "PENDING"}, "no enum booking_id"),
        ({"code": 202, "field": "status", "value": "WAITING"}, "never 'WAITING'"),
        ({"code": 201, "location": "/bookings/{id}"}, "id cannot stand"),
        ({"code": 201, "location": "/bookings/{seats}"}, "seats cannot stand"),
    ],
)
def test_rules_that_cannot_be(rule: dict[str, object], what: str) -> None:
    """A status rule that could not be followed is refused before anything is served."""
    method = _Method(answers_pb2.AnswerRule(**rule))  # type: ignore[arg-type]
    with pytest.raises(RuleError, match=what):
        status.of_success(method)  # type: ignore[arg-type]
