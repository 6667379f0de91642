"""docs/api.md: every service, method, message and reason of the contracts, with their comments."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from gateway.comments import Comments
from gateway.openapi_responses import (
    CODES,
    always_fits,
    condition,
    named_errors,
    without_errors,
)
from gateway.rules import WHOLE, Binding, bindings_of
from gateway.status import answers_of, of_refusal
from scripts.pages import contracts
from scripts.pages.api_access import idempotency, repeats, scopes
from scripts.pages.api_types import Types
from scripts.pages.markdown import link, table, wrapped

INTRO = """\
# The interface

Every service, method, message and error, as the contracts in `protos/` have them. This page is
made by `make docs`.

- **Tokens.** A call carries `authorization: Bearer …` in its metadata, a header over HTTP. One of
  the scopes of the method is enough, and `admin` opens every method. In development
  `holdfast token --user ada --scope bookings` prints one; otherwise whoever signs yours has it.
- **REST.** The gateway serves the routes named here, at `http://127.0.0.1:8080` unless it is told
  otherwise. A field of a message is called as in the column *JSON*. JSON is that of proto3, but
  that 64-bit integers below 2^53 and decimals are numbers: with `GATEWAY_INT64_AS_NUMBERS=false`
  and `GATEWAY_DECIMAL_AS_NUMBERS=false` they are the strings and the objects that proto3 has. Over
  HTTP, what is metadata here is a header.
- **Repeating.** What changes nothing, and what is idempotent, may be sent again as it is. Where a
  method takes an idempotency key, a call with the same key is the same call: send it as the
  metadata `idempotency-key`, or in the request.
- **Errors.** Each error carries one [reason](#errors). Decide by it, never by the text. Any method
  may answer with those of a token, of the fields of a request, of too much work, and of what
  cannot be reached.

Over HTTP an error is this, with the facts that belong to its reason, here `seatNumbers`:

```json
{
  "error": "SEAT_NOT_AVAILABLE",
  "message": "not available: A1",
  "seatNumbers": "A1",
  "code": "FAILED_PRECONDITION",
  "details": []
}
```

`error` is the reason and `code` the gRPC code; `details` has each field that is wrong, as
`{"field": …, "description": …}`. Where the gateway itself refuses a request and no reason fits,
`error` is `NOT_FOUND` (there is nothing at this path), `METHOD_NOT_ALLOWED`, `BODY_TOO_LARGE`,
`BODY_TOO_SLOW`, `HEADERS_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE` or `NOT_ACCEPTABLE`; where a call
failed without a reason, it is the gRPC code.
"""
METHOD_COLUMNS = ("method", "REST", "scopes", "safe to repeat?")
ERROR_COLUMNS = ("reason", "gRPC", "HTTP", "when")
STREAMED = ", a stream: lines of JSON, or Server-Sent Events for who accepts those"
NO_ROUTE = "gRPC only"


def made() -> str:
    """The page."""
    services, comments = contracts.read()
    services.sort(key=lambda one: one.full_name)
    return "\n".join(_Page(services, comments).lines())


class _Page:
    def __init__(self, services: list[ServiceDescriptor], comments: Comments) -> None:
        self._services = services
        self._comments = comments
        methods = [method for service in services for method in service.methods]
        messages = [kind for one in methods for kind in (one.input_type, one.output_type)]
        self._types = Types(messages, [one.name for one in methods], comments)

    def lines(self) -> Iterator[str]:
        yield INTRO
        yield "## Methods"
        yield ""
        for service in self._services:
            yield f"**{link(service.name, service.name)}**"
            yield ""
            yield from table(METHOD_COLUMNS, [self._row(one) for one in service.methods])
        for service in self._services:
            yield from self._service(service)
        yield "## Messages"
        yield ""
        yield from self._types.lines()
        yield from self._errors()

    def _row(self, method: MethodDescriptor) -> Iterable[str]:
        routes = "<br>".join(f"`{_route(one)}`" for one in _routes(method)) or NO_ROUTE
        return (
            link(f"`{method.name}`", method.name),
            routes,
            scopes(method),
            repeats(method, self._text(method.full_name)),
        )

    def _service(self, service: ServiceDescriptor) -> Iterator[str]:
        yield f"## {service.name}"
        yield ""
        yield f"`{service.full_name}`, in `protos/{service.file.name}`."
        yield ""
        yield from wrapped(self._types.linked(self._text(service.full_name)))
        for method in service.methods:
            yield from self._method(method)

    def _method(self, method: MethodDescriptor) -> Iterator[str]:
        text = self._text(method.full_name)
        yield f"### {method.name}"
        yield ""
        answer = self._types.linked_to(method.output_type)
        takes = self._types.linked_to(method.input_type)
        streams = method.server_streaming
        yield from _item(
            f"Takes {takes}, answers with {'a stream of ' if streams else ''}{answer}."
        )
        for one in _routes(method):
            yield from _item(f"REST: `{_route(one)}`{_rest(one)}{STREAMED if streams else ''}.")
        for line in _statuses(method):
            yield from _item(line)
        yield from _item(f"Scopes: {scopes(method)}.")
        yield from _item(f"Safe to repeat: {idempotency(method, text)}.")
        yield ""
        yield from wrapped(self._types.linked(without_errors(text)))
        errors = list(named_errors(text))
        if errors:
            yield from table(
                ERROR_COLUMNS,
                [
                    (
                        f"`{reason}`",
                        f"`{code.name}`",
                        str(of_refusal(code, reason)),
                        when or self._meaning(reason),
                    )
                    for code, reason, when in errors
                ],
            )

    def _errors(self) -> Iterator[str]:
        enum = self._types.reason
        yield "## Errors"
        yield ""
        yield from wrapped(self._types.linked(self._text(enum.full_name)))
        rows = []
        # The first is never sent.
        for value in enum.values[1:]:
            code, _, text = self._text(f"{enum.full_name}.{value.name}").partition(": ")
            name = code.strip("`")
            rows.append((f"`{value.name}`", code, str(of_refusal(CODES[name], value.name)), text))
        yield from table(ERROR_COLUMNS, rows)

    def _meaning(self, reason: str) -> str:
        """What a reason means wherever it occurs, in a sentence."""
        first = self._comments[f"{self._types.reason.full_name}.{reason}"].first
        return first.partition(": ")[2]

    def _text(self, name: str) -> str:
        return self._comments[name].text


def _item(text: str) -> Iterator[str]:
    yield from [line for line in wrapped(f"- {text}") if line]


def _routes(method: MethodDescriptor) -> list[Binding]:
    return [one for one in bindings_of(method.containing_service) if one.method is method]


def _route(binding: Binding) -> str:
    places = {one.first: ".".join(one.field_path) for one in binding.template.variables}
    segments = (
        f"{{{places[index]}}}" if index in places else segment
        for index, segment in enumerate(binding.template.segments)
    )
    return f"{binding.verb} /{'/'.join(segments)}"


def _rest(binding: Binding) -> str:
    """Where what is not in the path goes, if there is anything."""
    in_path = {one.field_path[0] for one in binding.template.variables}
    what = "the rest" if in_path else "the request"
    if binding.body not in ("", WHOLE):
        return f", its field `{binding.body}` is the body"
    if all(one.name in in_path for one in binding.method.input_type.fields):
        return ""
    return f", {what} in the {'body' if binding.body else 'query'}"


def _statuses(method: MethodDescriptor) -> Iterator[str]:
    """The statuses of successes, where it is not always 200."""
    rules = answers_of(method)
    said = [f"{one.code} if {condition(one)}" for one in rules if not always_fits(one)]
    if rules:
        last = next((one for one in rules if always_fits(one)), None)
        said.append(f"{last.code if last is not None else 200} otherwise")
        yield f"HTTP status: {'; '.join(said)}."
