"""Trees of JSON values to messages: a reader for each type, made when it is first needed."""

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway import free_values, wellknown
from gateway.errors import VIOLATIONS_MAX
from gateway.json_scalars import (
    NULL_VALUE,
    Read,
    Scalar,
    read_string,
    scalar_reader,
    text_reader,
)
from gateway.json_text import Misfit, members, refuse, require_list

DECIMAL = "google.type.Decimal"
ANY = "google.protobuf.Any"
WRAPPERS_FILE = "google/protobuf/wrappers.proto"

# Sets a message to a value; sets a field of a message to a value.
Fill = Callable[[Any, Any], None]
Store = Callable[[Any, Any], None]

_TEXTS: dict[str, Fill] = {
    wellknown.TIMESTAMP: wellknown.read_timestamp,
    wellknown.DURATION: wellknown.read_duration,
    wellknown.FIELD_MASK: wellknown.read_field_mask,
}


class Readers:
    """The readers of all types that were met."""

    def __init__(self, *, decimal_as_numbers: bool) -> None:
        """Read a `google.type.Decimal` also from a number, or as the message that it is."""
        self._decimal_as_numbers = decimal_as_numbers
        self._fills: dict[Descriptor, Fill] = {}
        self._slots: dict[FieldDescriptor, _Slot] = {}
        self._text_readers: dict[FieldDescriptor, Callable[[str], Any]] = {}

    def fill(self, message: Any, value: Any) -> None:
        """Set what the value names of a message; raises `Misfit`."""
        self.of(message.DESCRIPTOR)(message, value)

    def fill_field(self, message: Message, field: FieldDescriptor, value: Any) -> None:
        """Set one field of a message; raises `Misfit`."""
        slot = self._slots.get(field)
        if slot is None:
            slot = self._slots[field] = _slot(field, self)
        if value is None and not slot.takes_null:
            return
        try:
            slot.store(message, value)
        except Misfit as misfit:
            misfit.within(field.json_name)
            raise

    def scalar(self, field: FieldDescriptor, text: str) -> Scalar:
        """The value of a text; raises `Misfit`."""
        read = self._text_readers.get(field)
        if read is None:
            read = self._text_readers[field] = text_reader(field)
        return read(text)  # type: ignore[no-any-return]

    def set_text(self, message: Message, field: FieldDescriptor, text: str) -> None:
        """Set or add to a field the value of a text; raises `Misfit`."""
        if field.message_type is None:
            value = self.scalar(field, text)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
            return
        target = getattr(message, field.name)
        if field.message_type.GetOptions().map_entry:
            refuse("cannot be given here")
        target = target.add() if field.is_repeated else target
        target.SetInParent()
        self._set_message_text(target, field.message_type, text)

    def of(self, type_: Descriptor) -> Fill:
        """The reader of a type."""
        fill = self._fills.get(type_)
        if fill is None:
            fill = self._special(type_)
            if fill is None:
                reader = _MessageReader()
                fill = reader.fill
                # Before its fields: they may be of the same type.
                self._fills[type_] = fill
                reader.learn(type_, self)
            self._fills[type_] = fill
        return fill

    def is_special(self, type_: Descriptor) -> bool:
        """Whether its JSON is something else than an object of its fields."""
        return self._special(type_) is not None

    def _special(self, type_: Descriptor) -> Fill | None:
        name = type_.full_name
        if name in _TEXTS:
            return _TEXTS[name]
        if type_.file.name == WRAPPERS_FILE:
            return _wrapper(type_)
        if name == DECIMAL and self._decimal_as_numbers:
            reader = _MessageReader()
            reader.learn(type_, self)
            return _decimal(reader.fill)
        if name == ANY:
            return _AnyReader(self).fill
        return free_values.READERS.get(name)

    def _set_message_text(self, message: Any, type_: Descriptor, text: str) -> None:
        if type_.full_name in _TEXTS:
            _TEXTS[type_.full_name](message, text)
        elif type_.file.name == WRAPPERS_FILE:
            message.value = self.scalar(type_.fields_by_name["value"], text)
        elif type_.full_name == DECIMAL and self._decimal_as_numbers:
            message.value = text
        else:
            refuse("cannot be given here")


class _Slot(NamedTuple):
    """Where a member goes."""

    number: int
    # Of which only one may be given, where there are several.
    oneof: str | None
    # Else a null is as if it was not there.
    takes_null: bool
    store: Store


class _MessageReader:
    """Sets messages of one type from objects."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}

    def learn(self, type_: Descriptor, readers: Readers) -> None:
        slots = [(field, _slot(field, readers)) for field in type_.fields]
        self._slots = {field.name: slot for field, slot in slots}
        # The name in JSON wins where it is the name of another field in the contract.
        self._slots.update({field.json_name: slot for field, slot in slots})

    def fill(self, message: Any, value: Any) -> None:
        if type(value) is not dict:
            value = members(value)
        given: set[int | str] = set()
        for name, member in value.items():
            slot = self._slots.get(name)
            if slot is None:
                refuse("is not known", *self._unknown(value))
            number, oneof, takes_null, store = slot
            if number in given:
                refuse("is given twice, by both of its names", name)
            given.add(number)
            if member is None and not takes_null:
                continue
            if oneof is not None:
                if oneof in given:
                    refuse("is given with another field that it excludes", name)
                given.add(oneof)
            try:
                store(message, member)
            except Misfit as misfit:
                misfit.within(name)
                raise

    def _unknown(self, value: dict[str, Any]) -> list[str]:
        return [name for name in value if name not in self._slots][:VIOLATIONS_MAX]


def _slot(field: FieldDescriptor, readers: Readers) -> _Slot:
    oneof = field.containing_oneof
    of_null = {free_values.VALUE, NULL_VALUE}
    type_ = field.message_type or field.enum_type
    takes_null = not field.is_repeated and type_ is not None and type_.full_name in of_null
    name = oneof.name if oneof is not None and len(oneof.fields) > 1 else None
    return _Slot(field.number, name, takes_null, _store(field, readers))


def _store(field: FieldDescriptor, readers: Readers) -> Store:
    name, type_ = field.name, field.message_type
    if type_ is None:
        read = scalar_reader(field)
        return _scalar_list(name, read) if field.is_repeated else _one_scalar(name, read)
    if type_.GetOptions().map_entry:
        return _map(name, type_, readers)
    fill = readers.of(type_)
    return _message_list(name, fill) if field.is_repeated else _one_message(name, fill)


def _one_scalar(name: str, read: Read) -> Store:
    def store(message: Any, value: Any) -> None:
        setattr(message, name, read(value))

    return store


def _one_message(name: str, fill: Fill) -> Store:
    def store(message: Any, value: Any) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        fill(inner, value)

    return store


def _scalar_list(name: str, read: Read) -> Store:
    def store(message: Any, value: Any) -> None:
        require_list(value)
        items: list[Any] = []
        try:
            for item in value:
                items.append(read(item))  # noqa: PERF401  how far it came is needed
        except Misfit as misfit:
            misfit.at(len(items))
            raise
        message.ClearField(name)
        getattr(message, name).extend(items)

    return store


def _message_list(name: str, fill: Fill) -> Store:
    def store(message: Any, value: Any) -> None:
        require_list(value)
        message.ClearField(name)
        target = getattr(message, name)
        try:
            for item in value:
                fill(target.add(), item)
        except Misfit as misfit:
            misfit.at(len(target) - 1)
            raise

    return store


def _map(name: str, type_: Descriptor, readers: Readers) -> Store:
    entry = type_.fields_by_name
    read_key, value_type = text_reader(entry["key"]), entry["value"].message_type
    fill = readers.of(value_type) if value_type else None
    read = None if value_type else scalar_reader(entry["value"])

    def store(message: Any, value: Any) -> None:
        value = members(value)
        message.ClearField(name)
        target = getattr(message, name)
        for text, item in value.items():
            try:
                key = read_key(text)
                if key in target:
                    refuse("is given twice")
                if read:
                    target[key] = read(item)
                elif fill:
                    fill(target[key], item)
            except Misfit as misfit:
                misfit.under(text)
                raise

    return store


def _wrapper(type_: Descriptor) -> Fill:
    return _one_scalar("value", scalar_reader(type_.fields_by_name["value"]))


def _decimal(fill_fields: Fill) -> Fill:
    def fill(message: Any, value: Any) -> None:
        if isinstance(value, str):
            # The text of a number is its value, digit for digit.
            message.value = str(value)
        elif isinstance(value, dict):
            fill_fields(message, value)
        else:
            refuse("must be a number, or its text")

    return fill


class _AnyReader:
    """Sets a `google.protobuf.Any` from an object that names its type."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def fill(self, message: Any, value: Any) -> None:
        rest = dict(members(value))
        if not rest:
            return
        if "@type" not in rest:
            refuse("must name its type", "@type")
        url = read_string(rest.pop("@type"))
        try:
            type_ = message.DESCRIPTOR.file.pool.FindMessageTypeByName(url.rpartition("/")[2])
        except KeyError:
            refuse("is not a type that is known here", "@type")
        inner = message_factory.GetMessageClass(type_)()
        if not self._readers.is_special(type_):
            self._readers.fill(inner, rest)
        elif rest.keys() == {"value"}:
            self._fill_special(inner, rest["value"])
        else:
            refuse("must have its type and its `value` only")
        message.type_url = url
        message.value = inner.SerializePartialToString(deterministic=True)

    def _fill_special(self, inner: Message, value: Any) -> None:
        try:
            self._readers.fill(inner, value)
        except Misfit as misfit:
            misfit.within("value")
            raise
