"""The messages and enums of docs/api.md: tables of fields, with their rules and links."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway import openapi
from gateway.comments import Comments
from gateway.openapi_limits import in_words, message_rules
from scripts.pages.api_rules import rules_in_words
from scripts.pages.markdown import code, in_a_cell, link, table, wrapped

FIELD_COLUMNS = ("field", "JSON", "type", "meaning")
RULES = "rules"
VALUE_COLUMNS = ("value", "number", "meaning")
REASON = "holdfast.errors.v1.Reason"
# How they are in JSON; each is named where it occurs.
COMMON = {
    "google.type.Decimal": "A decimal number with its exact digits: a number or a text in JSON.",
    "google.protobuf.Timestamp": 'A moment in UTC: `"2026-11-16T10:30:00Z"` in JSON.',
    "google.protobuf.Struct": "An object with any fields.",
    "google.protobuf.Duration": 'A time span in seconds: `"600s"` in JSON.',
    "google.api.HttpBody": "Bytes of any type, with their type: the body of the request as it is.",
}
SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}
CODE_SPAN = re.compile(r"`(\w+)`")

Type = Descriptor | EnumDescriptor


class Types:
    """All types that methods use, each with a heading of its own."""

    def __init__(
        self, messages: Iterable[Descriptor], methods: Iterable[str], comments: Comments
    ) -> None:
        """Find them, from the messages that methods take and answer with."""
        self._comments = comments
        found: dict[str, Any] = {}
        waiting: list[Type] = list(messages)
        while waiting:
            one = waiting.pop()
            if one.full_name not in found:
                found[one.full_name] = one
                waiting += [] if one.full_name in COMMON else _below(one)
        self.reason: EnumDescriptor = found.pop(REASON)
        self._common = [found.pop(name) for name in COMMON if name in found]
        files = {one.file.name: one.file for one in found.values()}
        # In the order of the contracts, what stands in a message right behind it.
        in_order = [
            one
            for _, file in sorted(files.items())
            for top in file.message_types_by_name.values()
            for one in _with_nested(top)
        ]
        self._ours = {one.full_name: one for one in in_order if one.full_name in found}
        self._linked = {*methods, *(_short(one) for one in self._ours.values())}

    def lines(self) -> Iterator[str]:
        """A section for each."""
        for one in self._ours.values():
            yield f"### {_short(one)}"
            yield ""
            yield from self._message(one) if isinstance(one, Descriptor) else self._enum(one)
        yield "### Common types"
        yield ""
        yield from table(
            ("type", "meaning"),
            [(f"`{one.full_name}`", COMMON[one.full_name]) for one in self._common],
        )

    def linked(self, text: str) -> str:
        """A text in which methods and types are links."""

        def found(match: re.Match[str]) -> str:
            return link(match[0], match[1]) if match[1] in self._linked else match[0]

        return CODE_SPAN.sub(found, text)

    def linked_to(self, one: Type) -> str:
        """A link to a type."""
        if one.full_name == REASON:
            return link("Reason", "Errors")
        if one.full_name in self._ours:
            return link(_short(one), _short(one))
        return link(one.name, "Common types")

    def _message(self, message: Descriptor) -> Iterator[str]:
        comment = self._comments[message.full_name]
        yield from wrapped(self.linked(comment.text))
        for rule in in_words(message_rules(message)):
            yield from wrapped(rule)
        yield from self._fields(message)
        if comment.example is not None:
            yield "Example:"
            yield ""
            yield from code("json", openapi.written(comment.example).decode().rstrip())

    def _enum(self, enum: EnumDescriptor) -> Iterator[str]:
        yield from wrapped(self.linked(self._comments[enum.full_name].text))
        rows = (
            (f"`{one.name}`", str(one.number), self._said(f"{enum.full_name}.{one.name}"))
            for one in enum.values
        )
        yield from table(VALUE_COLUMNS, rows)

    def _fields(self, message: Descriptor) -> Iterator[str]:
        if not message.fields:
            yield "It has no fields."
            yield ""
            return
        rules = [rules_in_words(one) for one in message.fields]
        rows = [self._field(one) for one in message.fields]
        if any(rules):
            rows = [(*row, rule) for row, rule in zip(rows, rules, strict=True)]
        yield from table((*FIELD_COLUMNS, RULES) if any(rules) else FIELD_COLUMNS, rows)

    def _field(self, field: FieldDescriptor) -> tuple[str, ...]:
        kind = field.message_type or field.enum_type
        name = f"`{SCALARS[field.type]}`" if kind is None else self.linked_to(kind)
        return (
            f"`{field.name}`",
            f"`{field.json_name}`",
            f"list of {name}" if field.is_repeated else name,
            self._said(field.full_name),
        )

    def _said(self, name: str) -> str:
        return self.linked(in_a_cell(self._comments[name].text))


def _short(one: Type) -> str:
    """Its name with those of the messages that it stands in."""
    return one.full_name.removeprefix(f"{one.file.package}.")


def _with_nested(message: Descriptor) -> Iterator[Type]:
    yield message
    yield from message.enum_types
    for one in message.nested_types:
        yield from _with_nested(one)


def _below(one: Type) -> Iterator[Type]:
    for field in one.fields if isinstance(one, Descriptor) else ():
        kind = field.message_type or field.enum_type
        if kind is not None:
            yield kind
