"""The one table from gRPC to HTTP: which status a refusal has, and which a success."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc import StatusCode
from holdfast.http.v1 import answers_pb2

from gateway.rules import RuleError

# A caller that has left is told nothing; this stands in the log.
CLIENT_CLOSED_REQUEST = 499

BY_CODE = {
    StatusCode.CANCELLED: CLIENT_CLOSED_REQUEST,
    StatusCode.UNKNOWN: 500,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    # google.rpc says 400: but what is wrong is the state of things, not the request.
    StatusCode.FAILED_PRECONDITION: 409,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DATA_LOSS: 500,
}
# Where the reason says more than the code.
BY_REASON = {
    "PAYMENT_FAILED": 402,
    "IDEMPOTENCY_KEY_REUSED": 422,
}


@dataclass(frozen=True)
class Success:
    """How a success is told: its status, and the headers that go with that."""

    status: int = int(HTTPStatus.OK)
    headers: Mapping[str, str] = field(default_factory=dict)


Answered = Callable[[Message, bool], Success]
CODES = range(200, 500)
WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)
PLACE = re.compile(r"\{(\w+)\}")


def of_refusal(code: StatusCode, reason: str) -> int:
    """The status of a call that failed with a code and a reason, if it has one."""
    return BY_REASON.get(reason, BY_CODE[code])


def answers_of(method: MethodDescriptor) -> list[answers_pb2.AnswerRule]:
    """What the contract says of the statuses of a method's successes."""
    # The stubs of protoc do not say that this is an extension.
    answers: Any = answers_pb2.answers
    options = method.GetOptions()
    return list(options.Extensions[answers].rules) if options.HasExtension(answers) else []


def of_success(method: MethodDescriptor) -> Answered:
    """What says how an answer is told, from the message and whether it is a stored one.

    Raises:
        RuleError: the contract names a status, a field or a value that is not there.
    """
    rules = [_Rule(method, one) for one in answers_of(method)]

    def told(message: Message, replayed: bool) -> Success:  # noqa: FBT001 - it is what is asked
        fitting = (one for one in rules if one.fits(message, replayed=replayed))
        rule = next(fitting, None)
        return rule.told(message) if rule is not None else Success()

    return told


class _Rule:
    def __init__(self, method: MethodDescriptor, rule: answers_pb2.AnswerRule) -> None:
        _require_possible(method, rule)
        self._code = rule.code
        self._replayed = rule.replayed
        self._field = rule.field
        self._location = rule.location
        self._number = None
        if rule.field:
            enum: Any = method.output_type.fields_by_name[rule.field].enum_type
            self._number = enum.values_by_name[rule.value].number

    def fits(self, message: Message, *, replayed: bool) -> bool:
        if self._replayed and not replayed:
            return False
        return self._number is None or getattr(message, self._field) == self._number

    def told(self, message: Message) -> Success:
        if not self._location:
            return Success(self._code)
        path = PLACE.sub(lambda place: _segment(message, place[1]), self._location)
        return Success(self._code, {"location": path})


def _require_possible(method: MethodDescriptor, rule: answers_pb2.AnswerRule) -> None:
    """Refuse at the start what would otherwise fail with the answer to a call that had effects."""
    fields: Mapping[str, Any] = method.output_type.fields_by_name
    what = ""
    if rule.code not in CODES or rule.code in WITHOUT_BODY:
        what = f"{rule.code} is no status of a success with a body, 200 to 499"
    elif rule.field and (rule.field not in fields or fields[rule.field].enum_type is None):
        what = f"{method.output_type.name} has no enum {rule.field}"
    elif rule.field and rule.value not in fields[rule.field].enum_type.values_by_name:
        what = f"{rule.field} is never {rule.value!r}"
    else:
        for name in PLACE.findall(rule.location):
            if name not in fields or fields[name].message_type or fields[name].is_repeated:
                what = f"{name} cannot stand in a location"
    if what:
        message = f"{method.full_name}: holdfast.http.v1.answers: {what}"
        raise RuleError(message)


def _segment(message: Message, name: str) -> str:
    return quote(str(getattr(message, name)), safe="")
