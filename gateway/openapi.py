"""The documentation of the routes: OpenAPI 3.1, from the descriptors and their comments."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor

from gateway import openapi_access, openapi_paths, openapi_responses
from gateway.comments import Comments
from gateway.metadata import REQUEST_ID, SIGNATURES
from gateway.openapi_limits import Schema, is_required
from gateway.openapi_responses import ANYTHING, ERROR_SCHEMA, JSON, Responses, without_errors
from gateway.openapi_schemas import ERROR_NAME, Numbers, Schemas, is_map, is_raw, is_scalar
from gateway.rules import WHOLE, Binding
from gateway.streams import CURSOR

# What OpenAPI has a place for. Another method stands where no tool looks, but a reader can.
VERBS = {"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}
OTHER_VERBS = "x-operations"
BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
DEFAULT_NUMBERS = Numbers()
# A query can say what an object in an object is; no client goes deeper.
NESTING_MAX = 4

CONVENTIONS = (
    "JSON is as protobuf has it. Amounts have exact digits: do not read them into binary floats."
    " They, and integers of 64 bits, may be sent as numbers or as texts. Times are in UTC."
    " New members may be added to an answer, and new values to a list."
)

HEADER_PARAMETERS: dict[str, tuple[str, Schema]] = {
    "Idempotency-Key": (
        "Names this request, so that it can be repeated: the repeat gets the answer of the first.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    ),
    "X-Request-Id": (
        "A name for this request in the logs; one is made if there is none.",
        {"type": "string", "pattern": f"^{REQUEST_ID.pattern}$"},
    ),
    "X-Request-Timeout": (
        "How many seconds the caller waits.",
        {"type": "string", "pattern": r"^\d{1,8}(\.\d{1,6})?$"},
    ),
    "traceparent": (
        "The trace that this request is part of (W3C Trace Context).",
        {"type": "string", "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    ),
    "Last-Event-ID": (
        "Of Server-Sent Events: go on after the event with this id.",
        {"type": "string"},
    ),
}


def document(
    bindings: Sequence[Binding], comments: Comments, numbers: Numbers = DEFAULT_NUMBERS
) -> dict[str, Any]:
    """Describe all the ways to reach methods. Decimals in it are exact: see `written`."""
    in_order = sorted(bindings, key=lambda one: one.method.containing_service.full_name)
    return _Document(in_order, comments, numbers).made()


def written(described: dict[str, Any]) -> bytes:
    """A document as JSON, with the digits of its decimals."""
    encoder = msgspec.json.Encoder(decimal_format="number")
    return msgspec.json.format(encoder.encode(described), indent=2) + b"\n"


class _Document:
    def __init__(self, bindings: Sequence[Binding], comments: Comments, numbers: Numbers) -> None:
        methods = [one.method for one in bindings]
        self._bindings = bindings
        self._services = {
            one.containing_service.full_name: one.containing_service for one in methods
        }
        self._tags = _tags(list(self._services.values()))
        self._schemas = Schemas(
            [one.input_type for one in methods],
            [one.output_type for one in methods],
            comments,
            numbers,
        )
        self._responses = Responses(self._schemas, comments)
        self._ids: dict[str, int] = {}

    def made(self) -> dict[str, Any]:
        paths: dict[str, Schema] = {}
        names = openapi_paths.Names()
        for binding in self._bindings:
            path = names.of(binding)
            at = paths.setdefault(path.text, {})
            if binding.verb not in VERBS:
                at = at.setdefault(OTHER_VERBS, {})
            at[binding.verb.lower()] = self._operation(binding, path)
        return {
            "openapi": "3.1.0",
            "info": {**_named(list(self._services.values())), "description": CONVENTIONS},
            "servers": [{"url": "/"}],
            "security": [{openapi_access.SCHEME: []}],
            "tags": [self._tag(one) for one in self._services.values()],
            "paths": paths,
            "components": {
                "schemas": {
                    **dict(sorted(self._schemas.components.items())),
                    ERROR_NAME: ERROR_SCHEMA,
                },
                "responses": openapi_responses.common(),
                "parameters": {name: _header(name) for name in HEADER_PARAMETERS},
                "headers": openapi_responses.headers(),
                "securitySchemes": {openapi_access.SCHEME: BEARER},
            },
        }

    def _tag(self, service: ServiceDescriptor) -> Schema:
        text = self._schemas.comment(service.full_name).text
        return {"name": self._tags[service.full_name], **_described(text)}

    def _operation(self, binding: Binding, path: openapi_paths.Path) -> Schema:
        method = binding.method
        comment = self._schemas.comment(method.full_name)
        tag = self._tags[method.containing_service.full_name]
        is_open = openapi_access.is_open(method, raw=takes_raw(binding))
        rest = [without_errors(comment.rest), openapi_access.in_words(method)]
        return {
            "operationId": self._new_id(f"{tag}_{method.name}"),
            "tags": [tag],
            **({"summary": comment.first} if comment.first else {}),
            **_described("\n\n".join(filter(None, rest))),
            **({"deprecated": True} if method.GetOptions().deprecated else {}),
            "parameters": [
                *self._path_parameters(binding, path),
                *self._query_parameters(binding),
                *self._header_parameters(binding),
            ],
            **self._body(binding),
            "responses": self._responses.of(binding, comment.text, is_open=is_open),
            **({"security": []} if is_open else openapi_access.security(method)),
        }

    def _new_id(self, name: str) -> str:
        """A method that can be reached in several ways is several operations."""
        self._ids[name] = self._ids.get(name, 0) + 1
        return name if self._ids[name] == 1 else f"{name}_{self._ids[name]}"

    def _path_parameters(self, binding: Binding, path: openapi_paths.Path) -> Iterator[Schema]:
        for one in path.parameters:
            schema: Schema = {"type": "string"}
            if one.field is not None:
                schema = self._schemas.field(one.field, as_text=True)
            text = schema.pop("description", "")
            if schema.get("type") == "string" and "enum" not in schema:
                schema["minLength"] = max(1, schema.get("minLength", 1))
            yield {
                "name": one.name,
                "in": "path",
                "required": True,
                **_described("\n\n".join(filter(None, [text, one.note]))),
                "schema": schema,
                **self._example(binding, one.json_path if one.is_whole else ()),
            }

    def _query_parameters(self, binding: Binding) -> Iterator[Schema]:
        if binding.body == WHOLE:
            return
        taken = {one.field_path for one in binding.template.variables}
        if binding.body:
            taken.add((binding.body,))
        for fields in _leaves(binding.method.input_type, taken, ()):
            field = fields[-1]
            schema = self._schemas.field(field, as_text=True)
            text = schema.pop("description", "")
            names = tuple(one.json_name for one in fields)
            yield {
                "name": ".".join(names),
                "in": "query",
                **_described(text),
                **({"required": True} if len(fields) == 1 and is_required(field) else {}),
                "schema": schema,
                **self._example(binding, names),
            }

    def _header_parameters(self, binding: Binding) -> Iterator[Schema]:
        names = ["X-Request-Id", "X-Request-Timeout", "traceparent"]
        options = binding.method.GetOptions()
        if options.idempotency_level == options.IDEMPOTENCY_UNKNOWN and not takes_raw(binding):
            names.insert(0, "Idempotency-Key")
        if binding.method.server_streaming and CURSOR in binding.method.input_type.fields_by_name:
            names.append("Last-Event-ID")
        yield from ({"$ref": f"#/components/parameters/{name}"} for name in names)
        for name in sorted(SIGNATURES) if takes_raw(binding) else ():
            text = "Of those who sign in this way."
            yield {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}

    def _body(self, binding: Binding) -> Schema:
        message = binding.method.input_type
        if not binding.body:
            return {}
        if takes_raw(binding):
            return {"requestBody": {"content": {JSON: {"schema": {}}, ANYTHING: {"schema": {}}}}}
        example = self._schemas.comment(message.full_name).example
        if binding.body != WHOLE:
            field = message.fields_by_name[binding.body]
            schema = self._schemas.field(field)
            required = is_required(field)
            example = (example or {}).get(field.json_name)
        else:
            bound = {one.field_path[0] for one in binding.template.variables}
            schema = self._schemas.object(message, frozenset(bound)) if bound else {}
            schema = schema or self._schemas.message(message)
            required = any(is_required(one) for one in message.fields if one.name not in bound)
            in_path = {message.fields_by_name[name].json_name for name in bound}
            example = example and {k: v for k, v in example.items() if k not in in_path}
        content = {"schema": schema, **({} if example is None else {"example": example})}
        return {"requestBody": {"required": required, "content": {JSON: content}}}

    def _example(self, binding: Binding, names: tuple[str, ...]) -> Schema:
        """What the example of the request has at a path."""
        found = self._schemas.comment(binding.method.input_type.full_name).example
        for name in names or ("",):
            found = found.get(name) if isinstance(found, dict) else None
        return {} if found is None else {"example": found}


def takes_raw(binding: Binding) -> bool:
    """Whether the body is bytes of any type, which are passed on as they are."""
    message = binding.method.input_type
    if binding.body in ("", WHOLE):
        return bool(binding.body) and is_raw(message)
    return is_raw(message.fields_by_name[binding.body].message_type)


def _named(services: Sequence[ServiceDescriptor]) -> Schema:
    """What their packages have in common: `shop.cart.v1` and `shop.stock.v1` are `Shop` `v1`."""
    packages = [one.file.package.split(".") for one in services]
    first, last = {one[0] for one in packages}, {one[-1] for one in packages}
    title = first.pop().capitalize() if len(first) == 1 else ""
    return {"title": title or "API", "version": ", ".join(sorted(last)) or "v1"}


def _tags(services: Sequence[ServiceDescriptor]) -> dict[str, str]:
    short = [one.name for one in services]
    return {
        one.full_name: one.name if short.count(one.name) == 1 else one.full_name for one in services
    }


def _leaves(
    message: Descriptor, taken: set[tuple[str, ...]], above: tuple[FieldDescriptor, ...]
) -> Iterator[tuple[FieldDescriptor, ...]]:
    """The fields that a query can hold, each with those that it stands in."""
    for field in message.fields:
        here = (*above, field)
        if tuple(one.name for one in here) in taken or is_map(field):
            continue
        below = field.message_type
        if below is None or is_scalar(field):
            yield here
        elif not field.is_repeated and len(here) < NESTING_MAX:
            yield from _leaves(below, taken, here)


def _header(name: str) -> Schema:
    text, schema = HEADER_PARAMETERS[name]
    return {"name": name, "in": "header", "description": text, "schema": schema}


def _described(text: str) -> Schema:
    return {"description": text} if text else {}
