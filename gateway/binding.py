"""The request message of a call: from the body, the path and the query.

Each field has one place (`google.api.http`): the path names some, the rule's body says which are in
the body, and all others are parameters of the query. What is given twice, or in another place than
its own, is refused, and so is a parameter that is not known: nothing is overwritten or left out
unnoticed. Only what is in the path may be in the body once more, if it says the same.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.codec import Codec
from gateway.errors import Invalid
from gateway.json_reading import DECIMAL, WRAPPERS_FILE
from gateway.percent import EncodingError, decode
from gateway.rules import WHOLE, Binding, RuleError
from gateway.wellknown import DURATION, FIELD_MASK, TIMESTAMP

# The field of a message, of the message in that, and so on.
Fields = tuple[FieldDescriptor, ...]

HTTP_BODY = "google.api.HttpBody"
# Messages that are one text in JSON; the wrappers are, too.
TEXTS = frozenset({TIMESTAMP, DURATION, FIELD_MASK, DECIMAL})
INTEGERS = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)

# Services read messages that are 100 deep.
NESTING_MAX = 32
# Names come from the caller: an answer does not repeat more of one than this.
NAME_LENGTH_MAX = 60


class Binder:
    """Makes the requests of one way to reach a method."""

    def __init__(self, binding: Binding, codec: Codec) -> None:
        """Prepare what is the same for every request.

        Raises:
            RuleError: its path names a field that no path can hold.
        """
        self._codec = codec
        self._type = binding.method.input_type
        self._new = message_factory.GetMessageClass(self._type)
        self._names: dict[Descriptor, dict[str, FieldDescriptor]] = {}
        self._paths = {
            one.field_path: _path_fields(binding, one.field_path)
            for one in binding.template.variables
        }
        self._in_path = frozenset(self._paths.values())
        self._takes_whole = binding.body == WHOLE
        self._body_field = self._type.fields_by_name.get(binding.body)

    def request(
        self,
        variables: Iterable[tuple[tuple[str, ...], str]],
        query: bytes,
        body: bytes,
        *,
        content_type: str = "",
    ) -> Message:
        """Make the message; the body is empty if there is none, or if the rule has none.

        Raises:
            Invalid: a part of it is wrong, with the names of the fields and parameters.
        """
        message = self._new()
        self._set_body(message, body, content_type)
        wrong: list[tuple[str, str]] = []
        for field_path, text in variables:
            fields = self._paths[field_path]
            name = ".".join(field.json_name for field in fields)
            try:
                self._set_variable(message, fields, text, name)
            except Invalid as invalid:
                wrong += invalid.violations
        if query:
            wrong += self._set_query(message, query)
        if not (wrong or message.IsInitialized()):
            # Of proto2. It could not be sent.
            missing: Any = message
            wrong = [(name, "is required") for name in missing.FindInitializationErrors()]
        if wrong:
            raise Invalid(*wrong)
        return message

    def _set_body(self, message: Any, body: bytes, content_type: str) -> None:
        field = self._body_field
        if field is None:
            if self._takes_whole and self._type.full_name == HTTP_BODY:
                _set_raw(message, body, content_type)
            elif self._takes_whole:
                self._codec.decode(body, message)
        elif field.message_type is not None and field.message_type.full_name == HTTP_BODY:
            _set_raw(getattr(message, field.name), body, content_type)
        else:
            self._codec.decode_field(body, message, field)

    def _set_variable(self, message: Any, fields: Fields, text: str, name: str) -> None:
        parent, leaf = _parent(message, fields, name), fields[-1]
        before = deepcopy(getattr(parent, leaf.name)) if _is_set(parent, leaf) else None
        self._codec.set_text(parent, leaf, text, name)
        if before is not None and before != getattr(parent, leaf.name):
            raise Invalid((name, "is another one in the body than in the path"))

    def _set_query(self, message: Message, query: bytes) -> Iterator[tuple[str, str]]:
        """Set all parameters that can be set; what is wrong with the others."""
        given: set[Fields] = set()
        for raw in query.split(b"&"):
            if raw:
                try:
                    name, text = _pair(raw)
                    self._set_parameter(message, name, text, given)
                except Invalid as invalid:
                    yield from invalid.violations

    def _set_parameter(self, message: Any, name: str, text: str, given: set[Fields]) -> None:
        fields = self._fields(name)
        self._require_place(fields, name)
        parent, leaf = _parent(message, fields, name), fields[-1]
        if leaf.is_repeated:
            # A list of integers may be one text; other texts may have commas in them.
            for one in text.split(",") if leaf.cpp_type in INTEGERS else (text,):
                self._codec.set_text(parent, leaf, one, name)
            return
        is_message_given = leaf.message_type is not None and parent.HasField(leaf.name)
        if is_message_given or not given.isdisjoint(_beginnings(fields)):
            raise _invalid(name, "is given more than once")
        given.add(fields)
        self._codec.set_text(parent, leaf, text, name)

    def _fields(self, name: str) -> Fields:
        """The fields that a parameter names, by the names of the contract or those of JSON."""
        type_: Descriptor | None = self._type
        fields: list[FieldDescriptor] = []
        for step in name.split(".", NESTING_MAX):
            field = None if type_ is None else self._fields_of(type_).get(step)
            if field is None:
                raise _invalid(name, "is not known")
            fields.append(field)
            type_ = _inside(field)
        return tuple(fields)

    def _fields_of(self, type_: Descriptor) -> dict[str, FieldDescriptor]:
        found = self._names.get(type_)
        if found is None:
            found = {field.name: field for field in type_.fields}
            # The name in JSON wins where it is the name of another field in the contract.
            found |= {field.json_name: field for field in type_.fields}
            self._names[type_] = found
        return found

    def _require_place(self, fields: Fields, name: str) -> None:
        """Refuse what is not the query's to say."""
        if not self._in_path.isdisjoint(_beginnings(fields)):
            raise _invalid(name, "is in the path already")
        if self._takes_whole or fields[0] is self._body_field:
            raise _invalid(name, "must be in the body, not in the query")


def _path_fields(binding: Binding, field_path: tuple[str, ...]) -> Fields:
    type_: Descriptor | None = binding.method.input_type
    fields: list[FieldDescriptor] = []
    for name in field_path:
        field = None if type_ is None else type_.fields_by_name.get(name)
        if field is None:
            break
        fields.append(field)
        type_ = _inside(field)
    if len(fields) < len(field_path) or not _has_text(fields[-1]):
        what = f"{'.'.join(field_path)} cannot stand in a path"
        message = f"{binding.method.full_name}: {binding.template.text!r}: {what}"
        raise RuleError(message)
    return tuple(fields)


def _has_text(field: FieldDescriptor) -> bool:
    type_ = field.message_type
    if field.is_repeated:
        return False
    return type_ is None or type_.full_name in TEXTS or type_.file.name == WRAPPERS_FILE


def _inside(field: FieldDescriptor) -> Descriptor | None:
    """The message whose fields can be named through this one."""
    type_ = field.message_type
    # The types of `google.protobuf` have a JSON of their own, without their fields.
    if field.is_repeated or type_ is None or type_.file.package == "google.protobuf":
        return None
    return type_


def _parent(message: Any, fields: Fields, name: str) -> Any:
    """The message in which the last of the fields is; none of them may exclude what is set."""
    for field in fields:
        parent = message
        oneof = field.containing_oneof
        if oneof is not None and parent.WhichOneof(oneof.name) not in (None, field.name):
            raise _invalid(name, "is given with another field that it excludes")
        message = getattr(parent, field.name)
    return parent


def _is_set(message: Any, field: FieldDescriptor) -> bool:
    if field.has_presence:
        return bool(message.HasField(field.name))
    return bool(getattr(message, field.name) != field.default_value)


def _beginnings(fields: Fields) -> Iterator[Fields]:
    return (fields[:length] for length in range(1, len(fields) + 1))


def _set_raw(message: Any, body: bytes, content_type: str) -> None:
    message.data = body
    message.content_type = content_type


def _pair(raw: bytes) -> tuple[str, str]:
    """A parameter's name and its text: percent-encoded, with "+" for a space as forms write it."""
    raw_name, _, raw_text = raw.replace(b"+", b" ").partition(b"=")
    shown = raw_name.decode("ascii", "replace")
    try:
        name = shown = decode(raw_name)
        return name, decode(raw_text)
    except EncodingError as error:
        raise _invalid(shown, str(error)) from None


def _invalid(name: str, what: str) -> Invalid:
    return Invalid((name[:NAME_LENGTH_MAX] or "''", what))
