"""Messages to JSON: a writer for each type, made when it is first needed."""

from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway import free_values, wellknown
from gateway.json_reading import ANY, DECIMAL, WRAPPERS_FILE
from gateway.json_scalars import (
    Write,
    enum_writer,
    is_number,
    write_bool_key,
    write_bytes,
    write_double,
    write_float,
    write_int64,
)
from gateway.wellknown import refuse_writing

_INT64 = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64}

_TEXTS: dict[str, Write] = {
    wellknown.TIMESTAMP: wellknown.write_timestamp,
    wellknown.DURATION: wellknown.write_duration,
    wellknown.FIELD_MASK: wellknown.write_field_mask,
}


@dataclass(frozen=True)
class Style:
    """Where the JSON differs from that of proto3; with both off, it does not."""

    # 64-bit integers are numbers, where each reader of JSON has them exactly: below 2^53.
    int64_as_numbers: bool = True
    # A `google.type.Decimal` is a number with its exact digits. It is then read from a number, from
    # the text of one, and as the object that it is.
    decimal_as_numbers: bool = True


class Writers:
    """The writers of all types that were met."""

    def __init__(self, style: Style) -> None:
        """Write in this style."""
        self._style = style
        self._writes: dict[Descriptor, Write] = {}
        self._field_writes: dict[FieldDescriptor, Write] = {}
        self._encoder = msgspec.json.Encoder()

    def encode(self, message: Any) -> bytes:
        """A message as JSON; raises `Unwritable`."""
        return self._encode(self.of(message.DESCRIPTOR), message)

    def encode_field(self, message: Message, field: FieldDescriptor) -> bytes:
        """A field of a message as JSON; raises `Unwritable`."""
        if field.has_presence and not message.HasField(field.name):
            return b"null"
        write = self._field_writes.get(field)
        if write is None:
            write = self._field_writes[field] = _field_write(field, self) or _itself
        return self._encode(write, getattr(message, field.name))

    def of(self, type_: Descriptor) -> Write:
        """The writer of a type."""
        write = self._writes.get(type_)
        if write is None:
            write = self._special(type_)
            if write is None:
                writer = _MessageWriter()
                write = writer.write
                # Before its fields: they may be of the same type.
                self._writes[type_] = write
                writer.learn(type_, self)
            self._writes[type_] = write
        return write

    def is_special(self, type_: Descriptor) -> bool:
        """Whether its JSON is something else than an object of its fields."""
        return self._special(type_) is not None

    def scalar(self, field: FieldDescriptor) -> Write | None:
        """How a value of a field that is no message is written; None where it is itself."""
        if field.enum_type is not None:
            return enum_writer(field.enum_type)
        if field.cpp_type in _INT64:
            return write_int64 if self._style.int64_as_numbers else str
        if field.type == FieldDescriptor.TYPE_BYTES:
            return write_bytes
        return {
            FieldDescriptor.CPPTYPE_DOUBLE: write_double,
            FieldDescriptor.CPPTYPE_FLOAT: write_float,
        }.get(field.cpp_type)

    def _encode(self, write: Write, value: Any) -> bytes:
        try:
            return self._encoder.encode(write(value))
        except RecursionError:
            refuse_writing("a message is nested too deeply")

    def _special(self, type_: Descriptor) -> Write | None:
        name = type_.full_name
        if name in _TEXTS:
            return _TEXTS[name]
        if type_.file.name == WRAPPERS_FILE:
            write = self.scalar(type_.fields_by_name["value"]) or _itself
            return lambda message: write(message.value)
        if name == DECIMAL and self._style.decimal_as_numbers:
            return _decimal
        if name == ANY:
            return _AnyWriter(self).write
        return free_values.WRITERS.get(name)


class _MessageWriter:
    """Makes objects of messages of one type."""

    def __init__(self) -> None:
        # The name in JSON, the name of the field, whether it can be absent, how it is written.
        self._plan: tuple[tuple[str, str, bool, Write | None], ...] = ()

    def learn(self, type_: Descriptor, writers: Writers) -> None:
        self._plan = tuple(
            (field.json_name, field.name, field.has_presence, _field_write(field, writers))
            for field in type_.fields
        )

    def write(self, message: Any) -> dict[str, Any]:
        written = {}
        for json_name, name, can_be_absent, write in self._plan:
            if can_be_absent and not message.HasField(name):
                continue
            value = getattr(message, name)
            written[json_name] = value if write is None else write(value)
        return written


def _field_write(field: FieldDescriptor, writers: Writers) -> Write | None:
    type_ = field.message_type
    if type_ is not None and type_.GetOptions().map_entry:
        return _map(type_, writers)
    write = writers.scalar(field) if type_ is None else writers.of(type_)
    if not field.is_repeated:
        return write
    if write is None:
        return list
    return lambda items: [write(item) for item in items]


def _map(type_: Descriptor, writers: Writers) -> Write:
    entry = type_.fields_by_name
    is_bool = entry["key"].cpp_type == FieldDescriptor.CPPTYPE_BOOL
    write_key: Write = write_bool_key if is_bool else str
    write = _field_write(entry["value"], writers) or _itself
    # In order, so that the same message is always the same text.
    return lambda items: {write_key(key): write(items[key]) for key in sorted(items)}


def _itself(value: Any) -> Any:
    return value


def _decimal(message: Any) -> Any:
    text = message.value
    return msgspec.Raw(text.encode()) if is_number(text) else text


class _AnyWriter:
    """Makes objects that name their type of what a `google.protobuf.Any` holds."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers

    def write(self, message: Any) -> dict[str, Any]:
        url = message.type_url
        if not url and not message.value:
            return {}
        try:
            type_ = message.DESCRIPTOR.file.pool.FindMessageTypeByName(url.rpartition("/")[2])
            inner = message_factory.GetMessageClass(type_).FromString(message.value)
        except (KeyError, DecodeError):
            refuse_writing("a google.protobuf.Any holds what is not known here")
        written = self._writers.of(type_)(inner)
        if self._writers.is_special(type_):
            return {"@type": url, "value": written}
        return {"@type": url, **written}
