"""The responses of an operation in OpenAPI: its successes by its contract, its errors by reason.

The comment of a method names its errors in one paragraph, each gRPC code with its reasons:

    Errors: `NOT_FOUND` (`BOOKING_NOT_FOUND`: it does not exist), `ABORTED` (`…`).

What the comment does not name is there all the same, as what any method may answer.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from grpc import StatusCode
from holdfast.http.v1.answers_pb2 import AnswerRule

from gateway import status
from gateway.comments import Comments
from gateway.openapi_limits import Schema
from gateway.openapi_schemas import ERROR_NAME, Schemas, is_raw
from gateway.rules import Binding
from gateway.streams import EVENTS, NDJSON

JSON = "application/json"
ANYTHING = "*/*"
ERROR = {"$ref": f"#/components/schemas/{ERROR_NAME}"}
ERRORS = re.compile(r"\bErrors: .*?(?=\n\n|\Z)", re.DOTALL)
NAMED = re.compile(r"`([A-Z][A-Z_]*[A-Z])`(?:: ((?:(?!`[A-Z_]+`)[^)])*))?")
CODES = {one.name: one for one in StatusCode}
REASONS = "Reason"
RETRIED = {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}

# Of any method; those of a token only where one is needed.
COMMON = {
    HTTPStatus.BAD_REQUEST: "The request breaks a rule; `details` names each field that does.",
    HTTPStatus.UNAUTHORIZED: "There is no token, or it is not good, or its time is over.",
    HTTPStatus.FORBIDDEN: "The token lacks a scope that is needed.",
    HTTPStatus.TOO_MANY_REQUESTS: "More than is served at once, or than one caller may ask."
    " Nothing was done; try again after `Retry-After`.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A service cannot be reached. Try again, with the same key.",
}
OF_A_TOKEN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
# `reason`, `message`, the facts of the reason, `code` and `details`: as AIP-193 has them.
ERROR_SCHEMA: Schema = {
    "type": "object",
    "description": "Why a request failed, with the facts of the reason as further members."
    " Decide by `error`, never by `message`.",
    "properties": {
        "error": {"type": "string", "description": "The reason: one of a closed list."},
        "message": {"type": "string", "description": "The same in words, for people."},
        "code": {"type": "string", "description": "The gRPC code, or the name of the status."},
        "details": {
            "type": "array",
            "description": "The fields that are wrong.",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "description": "Its path; empty for the whole."},
                    "description": {"type": "string", "description": "What is wrong with it."},
                },
                "required": ["field", "description"],
            },
        },
    },
    "required": ["error", "message", "code", "details"],
    "additionalProperties": {"type": "string"},
}
HEADERS: dict[str, Schema] = {
    "X-Request-Id": {
        "description": "The name of this request in the logs.",
        "schema": {"type": "string"},
    },
    "Idempotent-Replayed": {
        "description": "`true` if this is the stored answer of an earlier request.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Location": {
        "description": "Where what was made can be read.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "Which kind of token is wanted.",
        "schema": {"type": "string"},
    },
}


def without_errors(text: str) -> str:
    """A comment without its errors, which stand with the responses."""
    return re.sub(r"\n{3,}", "\n\n", ERRORS.sub("", text)).strip()


def common() -> dict[str, Schema]:
    """The responses that operations refer to."""
    named = {_name(one): _error(one, text) for one, text in COMMON.items()}
    return {**named, "Refusal": _error(None, "Any other refusal.")}


def headers() -> dict[str, Schema]:
    """The headers that responses refer to."""
    return HEADERS


class Responses:
    """Makes the responses of operations."""

    def __init__(self, schemas: Schemas, comments: Comments) -> None:
        """Know what each reason means, if an enum named `Reason` says so."""
        self._schemas = schemas
        self._meanings = {
            name.rpartition(".")[2]: schemas.in_json(re.sub(r"^`[A-Z_]+`: ", "", comment.first))
            for name, comment in comments.items()
            if name.split(".")[-2:-1] == [REASONS]
        }

    def of(self, binding: Binding, errors: str, *, is_open: bool) -> dict[str, Schema]:
        """All of an operation, by status; `errors` is the comment of its method."""
        found = dict(self._successes(binding))
        for code, text in self._errors(errors, is_open=is_open):
            said = _error(code, text) if text else {"$ref": f"#/components/responses/{_name(code)}"}
            key = str(int(code))
            found[key] = _either(found[key], said, COMMON.get(code, "")) if key in found else said
        return {
            **dict(sorted(found.items())),
            "default": {"$ref": "#/components/responses/Refusal"},
        }

    def _successes(self, binding: Binding) -> Iterator[tuple[str, Schema]]:
        rules: dict[int, list[AnswerRule]] = defaultdict(list)
        for rule in status.answers_of(binding.method):
            rules[rule.code].append(rule)
        # The first that fits is the status, and 200 if none does.
        if not any(always_fits(one) for found in rules.values() for one in found):
            rules[HTTPStatus.OK].append(AnswerRule(code=HTTPStatus.OK))
        for code, found in rules.items():
            in_json = self._schemas.in_json
            said = [condition(one, in_json) for one in found if not always_fits(one)]
            text = f"When {'; or '.join(said)}." if len(said) == len(found) else "Done."
            named = ["X-Request-Id", *_replayed(binding)]
            named += ["Location"] if any(one.location for one in found) else []
            yield (
                str(int(code)),
                {
                    "description": text,
                    "headers": _headers(*named),
                    "content": self._content(binding, found),
                },
            )

    def _content(self, binding: Binding, rules: list[AnswerRule]) -> Schema:
        message = binding.method.output_type
        field = message.fields_by_name.get(binding.response_body)
        if is_raw(field.message_type if field is not None else message):
            return {ANYTHING: {}}
        schema = self._schemas.message(message) if field is None else self._schemas.field(field)
        if binding.method.server_streaming:
            return _stream(schema)
        example = self._schemas.comment(message.full_name).example
        if field is not None or example is None or not _fits(example, rules, self._schemas):
            return {JSON: {"schema": schema}}
        return {JSON: {"schema": schema, "example": example}}

    def _errors(self, comment: str, *, is_open: bool) -> Iterator[tuple[HTTPStatus, str]]:
        """Each status, and its reasons in words if they are named."""
        named: dict[HTTPStatus, list[str]] = defaultdict(list)
        for code, reason, text in named_errors(comment):
            meaning = text or self._meanings.get(reason, "")
            answered = HTTPStatus(status.of_refusal(code, reason))
            named[answered].append(f"- `{reason}`: {meaning}" if meaning else f"- `{reason}`")
        for one in sorted({*named, *COMMON}):
            if not (is_open and one in OF_A_TOKEN and one not in named):
                yield one, "\n".join(named[one])


def named_errors(comment: str) -> Iterator[tuple[StatusCode, str, str]]:
    """The errors that a comment names: code, reason, and what the comment says of it."""
    code = None
    paragraph = ERRORS.search(comment)
    for match in NAMED.finditer(paragraph[0] if paragraph else ""):
        name, text = match[1], (match[2] or "").strip(" ,;")
        if name in CODES:
            code = CODES[name]
        elif code is not None:
            yield code, name, text


def condition(rule: AnswerRule, named: Callable[[str], str] = str) -> str:
    """When a rule fits, in words; `named` says what a field is called."""
    said = []
    if rule.replayed:
        said.append("it is the stored answer of an earlier request")
    if rule.field:
        said.append(f"`{named(rule.field)}` is `{rule.value}`")
    return " and ".join(said)


def always_fits(rule: AnswerRule) -> bool:
    """Whether a rule has no condition."""
    return not (rule.replayed or rule.field)


def _fits(example: Any, rules: list[AnswerRule], schemas: Schemas) -> bool:
    """Whether an example is what is answered with a status."""
    return any(
        not one.field or example.get(schemas.in_json(one.field)) == one.value for one in rules
    )


def _replayed(binding: Binding) -> list[str]:
    options = binding.method.GetOptions()
    reads = options.idempotency_level == options.NO_SIDE_EFFECTS
    return [] if reads else ["Idempotent-Replayed"]


def _stream(schema: Schema) -> Schema:
    lines = (
        "A message on each line. If the stream fails after it began, the last line is an error:"
        " an object with the member `error`."
    )
    events = (
        "Server-Sent Events: a message in the data of each. If the stream fails after it began, the"
        " last event is of the type `error`."
    )
    # OpenAPI 3.1 has no keyword for the items of a stream.
    return {
        kind: {"schema": {"type": "string", "description": text}, "x-itemSchema": schema}
        for kind, text in ((NDJSON, lines), (EVENTS, events))
    }


def _error(code: HTTPStatus | None, text: str) -> Schema:
    more = ["Retry-After"] if code in RETRIED else []
    more += ["WWW-Authenticate"] if code == HTTPStatus.UNAUTHORIZED else []
    return {
        "description": text,
        "headers": _headers("X-Request-Id", *more),
        "content": {JSON: {"schema": ERROR}},
    }


def _either(success: Schema, error: Schema, common_text: str) -> Schema:
    """A status that is an answer of the method, and an error, too."""
    text = f"{success['description']}\n\nOr:\n\n{error.get('description', common_text)}"
    content: dict[str, Any] = success["content"][JSON]
    either = {**content, "schema": {"anyOf": [content["schema"], ERROR]}}
    return {**success, "description": text, "content": {JSON: either}}


def _headers(*names: str) -> Schema:
    return {one: {"$ref": f"#/components/headers/{one}"} for one in names}


def _name(code: HTTPStatus) -> str:
    return code.phrase.replace(" ", "")
