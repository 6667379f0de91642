"""The schemas of messages in OpenAPI: their JSON as the gateway reads and writes it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    OneofDescriptor,
)

from gateway.comments import Comment, Comments
from gateway.openapi_limits import (
    Schema,
    in_words,
    is_required,
    limits,
    message_rules,
    rules_of,
)

HTTP_BODY = "google.api.HttpBody"
NULL = "google.protobuf.NullValue"
BITS_32 = 32
DIGITS = {"int64": 19, "uint64": 20}
# What gRPC calls otherwise than HTTP.
IN_HTTP = {
    re.compile(r"\bmetadata (?=`[a-z]+(?:-[a-z]+)+[:`])"): "header ",
    re.compile(r"`google\.rpc\.RetryInfo`"): "`Retry-After`",
}
SNAKE_CASE = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b")

WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$",
        "examples": ["600s"],
    },
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Value": {},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "required": ["@type"],
    },
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.BytesValue": {"type": "string", "contentEncoding": "base64"},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.FloatValue": {"type": "number", "format": "float"},
    "google.protobuf.DoubleValue": {"type": "number", "format": "double"},
}
INTEGER_VALUES = {
    "google.protobuf.Int32Value": "int32",
    "google.protobuf.UInt32Value": "uint32",
    "google.protobuf.Int64Value": "int64",
    "google.protobuf.UInt64Value": "uint64",
}
# What a refusal is called in the document.
ERROR_NAME = "Error"
DECIMAL = "google.type.Decimal"
INTEGERS = {
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_SINT32: "int32",
    FieldDescriptor.TYPE_SFIXED32: "int32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_FIXED32: "uint32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_SINT64: "int64",
    FieldDescriptor.TYPE_SFIXED64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_FIXED64: "uint64",
}
SCALARS: dict[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    # NaN and the infinities are texts.
    FieldDescriptor.TYPE_DOUBLE: {"type": ["number", "string"], "format": "double"},
    FieldDescriptor.TYPE_FLOAT: {"type": ["number", "string"], "format": "float"},
}


@dataclass(frozen=True)
class Numbers:
    """How numbers that JavaScript cannot hold are written; both forms are read."""

    int64_as_numbers: bool = True
    decimal_as_numbers: bool = True


class Schemas:
    """Schemas by their names in the document, made when they are first referred to."""

    def __init__(
        self,
        requests: Iterable[Descriptor],
        responses: Iterable[Descriptor],
        comments: Comments,
        numbers: Numbers,
    ) -> None:
        """Know all messages beforehand, and which of them are only sent or only answered."""
        asked = _reachable(requests)
        answered = _reachable(responses)
        self._asked_only = asked.keys() - answered.keys()
        self._answered_only = answered.keys() - asked.keys()
        self._comments = comments
        self._numbers = numbers
        every = {**asked, **answered}
        self._names = short_names(every.values())
        self._json_names = {
            field.name: field.json_name
            for one in every.values()
            if isinstance(one, Descriptor)
            for field in one.fields
        }
        self.components: dict[str, Schema] = {}

    def comment(self, name: str) -> Comment:
        """What the contract says of a thing, with the names of fields as in JSON."""
        found = self._comments.get(name, Comment())
        return Comment(self.in_json(found.text), found.example)

    def message(self, message: Descriptor) -> Schema:
        """Refer to a message."""
        if message.full_name in INTEGER_VALUES:
            return self._integer(INTEGER_VALUES[message.full_name], {})
        if message.full_name == DECIMAL:
            return {"type": "number" if self._numbers.decimal_as_numbers else "string"}
        if message.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[message.full_name])
        return self._refer(message, lambda: self.object(message))

    def object(self, message: Descriptor, without: frozenset[str] = frozenset()) -> Schema:
        """All of a message but the fields of these names."""
        fields = [one for one in message.fields if one.name not in without]
        words = [self.comment(message.full_name).text, *in_words(message_rules(message))]
        words += [_at_most_one(one) for one in message.oneofs if _is_real(one)]
        schema: Schema = {
            "type": "object",
            **_described(self.in_json("\n\n".join(filter(None, words)))),
            "properties": {one.json_name: self.field(one) for one in fields},
        }
        required = [one.json_name for one in fields if self._is_always_there(message, one)]
        if required:
            schema["required"] = required
        if message.full_name in self._asked_only:
            schema["additionalProperties"] = False
        return schema

    def field(self, field: FieldDescriptor, *, as_text: bool = False) -> Schema:
        """A field as it stands in JSON, or in the path or the query of a URL."""
        rules = rules_of(field)
        words = [self.comment(field.full_name).text, *in_words(rules)]
        return {
            **self._value(field, limits(rules), as_text=as_text),
            **_described(self.in_json("\n\n".join(filter(None, words)))),
            **({"deprecated": True} if field.GetOptions().deprecated else {}),
        }

    def _value(self, field: FieldDescriptor, limited: Schema, *, as_text: bool) -> Schema:
        entry = _map_entry(field)
        if entry is not None:
            values = self._one(entry.fields_by_name["value"], {}, as_text=False)
            return {"type": "object", "additionalProperties": values, **limited}
        if not field.is_repeated:
            return self._one(field, limited, as_text=as_text)
        each = limits(rules_of(field).repeated.items)
        return {"type": "array", "items": self._one(field, each, as_text=as_text), **limited}

    def _one(self, field: FieldDescriptor, limited: Schema, *, as_text: bool) -> Schema:
        if field.message_type is not None:
            return {**self.message(field.message_type), **limited}
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if field.type in INTEGERS:
            return self._integer(INTEGERS[field.type], limited, as_text=as_text)
        return {**SCALARS[field.type], **limited}

    def _integer(
        self,
        kind: str,
        limited: Schema,
        *,
        as_text: bool = False,
    ) -> Schema:
        bits = int(kind[-2:])
        least, most = (
            (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        )
        schema: Schema = {"type": "integer", "format": kind, **limited}
        if not {"minimum", "exclusiveMinimum"} & limited.keys():
            schema["minimum"] = least
        if not {"maximum", "exclusiveMaximum"} & limited.keys():
            schema["maximum"] = most
        if bits == BITS_32 or as_text:
            return schema
        schema["type"] = ["integer", "string"] if self._numbers.int64_as_numbers else "string"
        schema["pattern"] = _digits(schema)
        return schema

    def _enum(self, enum: EnumDescriptor) -> Schema:
        if enum.full_name == NULL:
            return {"type": "null"}

        def schema() -> Schema:
            text = self.comment(enum.full_name).text
            said = [
                (one.name, self.comment(f"{enum.full_name}.{one.name}").text) for one in enum.values
            ]
            lines = [f"- `{name}`: {words}" for name, words in said if words]
            return {
                "type": "string",
                **_described("\n\n".join(filter(None, [text, "\n".join(lines)]))),
                "enum": [name for name, _ in said],
            }

        return self._refer(enum, schema)

    def _refer(self, thing: Descriptor | EnumDescriptor, make: Callable[[], Schema]) -> Schema:
        name = self._names[thing.full_name]
        if name not in self.components:
            # It may hold itself.
            self.components[name] = {}
            self.components[name] = make()
        return {"$ref": f"#/components/schemas/{name}"}

    def _is_always_there(self, message: Descriptor, field: FieldDescriptor) -> bool:
        if message.full_name in self._answered_only:
            return not field.has_presence
        return is_required(field)

    def in_json(self, text: str) -> str:
        """A text with the names of fields as JSON has them, and other things as HTTP has them."""
        for grpc_words, http_words in IN_HTTP.items():
            text = grpc_words.sub(http_words, text)
        return SNAKE_CASE.sub(lambda one: self._json_names.get(one[0], one[0]), text)


def short_names(things: Iterable[Descriptor | EnumDescriptor]) -> dict[str, str]:
    """Names without their packages, where that leaves no two alike."""
    names = {one.full_name: one.full_name.removeprefix(f"{one.file.package}.") for one in things}
    short = [*names.values(), ERROR_NAME]
    return {full: name if short.count(name) == 1 else full for full, name in names.items()}


def is_raw(message: Descriptor | None) -> bool:
    """Whether a message is bytes of any type that stand for themselves."""
    return message is not None and message.full_name == HTTP_BODY


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is a map."""
    return _map_entry(field) is not None


def is_scalar(field: FieldDescriptor) -> bool:
    """Whether a value of the field is no object in JSON."""
    if field.message_type is None:
        return True
    name = field.message_type.full_name
    kind = WELL_KNOWN.get(name, {}).get("type", "object")
    return name == DECIMAL or name in INTEGER_VALUES or kind not in ("object", "array")


def _map_entry(field: FieldDescriptor) -> Descriptor | None:
    message = field.message_type
    return message if message is not None and message.GetOptions().map_entry else None


def _reachable(roots: Iterable[Descriptor]) -> dict[str, Descriptor | EnumDescriptor]:
    found: dict[str, Descriptor | EnumDescriptor] = {}
    waiting: list[Descriptor | EnumDescriptor] = list(roots)
    while waiting:
        one = waiting.pop()
        if one.full_name not in found:
            found[one.full_name] = one
            waiting += _below(one)
    return found


def _below(thing: Descriptor | EnumDescriptor) -> Iterator[Descriptor | EnumDescriptor]:
    for field in thing.fields if isinstance(thing, Descriptor) else ():
        below = field.message_type or field.enum_type
        if below is not None:
            yield below


def _digits(schema: Schema) -> str:
    """What the text of a number of 64 bits looks like, within its bounds as far as that goes."""
    digits = DIGITS[schema["format"]]
    if schema.get("exclusiveMinimum", -1) >= 0 or schema.get("minimum", 0) > 0:
        return f"^[1-9][0-9]{{0,{digits - 1}}}$"
    sign = "" if schema.get("minimum", -1) >= 0 else "-?"
    return f"^{sign}[0-9]{{1,{digits}}}$"


def _is_real(oneof: OneofDescriptor) -> bool:
    """Whether it is no `optional` field in disguise."""
    return len(oneof.fields) > 1


def _at_most_one(oneof: OneofDescriptor) -> str:
    names = ", ".join(f"`{field.json_name}`" for field in oneof.fields)
    return f"At most one of {names}."


def _described(text: str) -> Schema:
    return {"description": text} if text else {}
