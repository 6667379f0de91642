"""The JSON of the gateway side by side with `google.protobuf.json_format`."""

import json
import re

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.message import Message
from hypothesis import HealthCheck, assume, given, settings
from support.gateway_descriptors import PACKAGE, descriptor, kinds, pool
from support.gateway_messages import ODD, documents, messages

from gateway.codec import Codec, Style
from gateway.errors import Invalid

PLAIN = Codec(Style(int64_as_numbers=False, decimal_as_numbers=False))
OURS = Codec()
KINDS = descriptor(f"{PACKAGE}.Kinds")
SLOW = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Values that json_format reads and the gateway does not, for each type, with the reasons.
_NOT_JSON = {'"+1"', '"01"', '"1_0"', '"\\u0661"'}  # the number in quotes is none of JSON
_SPACED = {'" 1"', '"1 "'}  # a number in quotes is the number and nothing more
_TRUTHS = {"true", "false"}  # are no numbers
_NO_OBJECT = {'""', "[]"}  # no object, and nothing in it
STRICTER: dict[str, set[str]] = {
    "integer": _NOT_JSON,
    # Infinity has one name, and too large a number is not another one for it.
    "float": {*_NOT_JSON, *_SPACED, *_TRUTHS, '"inf"', '"1e400"'},
    # A name or a number of 32 bits: not a number in quotes, nor half a number.
    "enum": {
        *(_NOT_JSON | _SPACED | _TRUTHS),
        *('"1"', '"-1"', "0.1", "1.5", "1e-2", "5e-324", "4294967296"),
    },
    "message": _NO_OBJECT,
    # Less than a nanosecond would be lost.
    "google.protobuf.Duration": {'"0.0000000001s"'},
    # A path that names nothing.
    "google.protobuf.FieldMask": {'","', '"a,,b"'},
    # No double is that large.
    "google.protobuf.Value": {"1e400", "-1e400"},
}

# The same of whole documents.
STRICTER_DOCUMENTS = {
    '{"of_int32": 1, "ofInt32": 2}': "the same field twice, by both of its names",
    '{"byInt32": {"1": "a", "1.0": "b"}}': "the same key twice",
    '{"ofInt32": "1\\n"}': "a number in quotes is the number and nothing more",
    '{"ofTimestamp": "2026-1-2T3:4:5Z"}': "RFC 3339 has two digits for each",
    '{"ofTimestamp": "2026-11-16T10:30:00+99:00"}': "an offset that no clock has",
    '{"ofDuration": "1_0s"}': "digits as Python has them",
    '{"ofDuration": "1.s"}': "a point with nothing behind it",
    '{"ofAny": {"@type": "a/google.protobuf.Duration", "value": "1s", "a": 1}}': "unknown member",
    '{"ofKinds": ' * 70 + "{}" + "}" * 70: "nested more deeply than any request needs",
}

# What the gateway reads and json_format does not: what both write, which must be read again.
LAXER = {
    '{"ofFloat": 3.4028235e+38}': "the largest float, in the digits in which it is written",
}

# What both read, and the gateway exactly.
EXACT = {
    '{"ofDouble": -0}': "minus zero stays so, with a point or without",
    '{"ofInt64": 9007199254740993.0}': "an integer is never a float in between",
}


def theirs(text: str) -> Message | None:
    """What json_format reads; None where it refuses."""
    try:
        return json_format.Parse(text, kinds()(), descriptor_pool=pool())
    except json_format.ParseError:
        return None


def ours(text: str, codec: Codec = PLAIN) -> Message | None:
    """What the gateway reads; None where it refuses."""
    message = kinds()()
    try:
        codec.decode(text.encode(), message)
    except Invalid:
        return None
    return message


def same(one: Message | None, other: Message | None) -> bool:
    """Whether they are equal; a NaN equals a NaN."""
    return _bytes(one) == _bytes(other)


def _bytes(message: Message | None) -> bytes | None:
    return None if message is None else message.SerializeToString(deterministic=True)


def _written_by_json_format(message: Message) -> str:
    return json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, descriptor_pool=pool()
    )


@SLOW
@given(messages(KINDS))
def test_plain_json_is_that_of_json_format(message: Message) -> None:
    """With both differences off, each message is written as json_format writes it."""
    assert json.loads(PLAIN.encode(message)) == json.loads(_written_by_json_format(message))


@SLOW
@given(messages(KINDS))
def test_json_of_json_format_is_read(message: Message) -> None:
    """What json_format writes of a message is read as that message."""
    read = kinds()()
    OURS.decode(_written_by_json_format(message).encode(), read)
    assert same(read, message)


@SLOW
@given(messages(KINDS))
def test_json_format_reads_plain_json(message: Message) -> None:
    """What is written with both differences off, json_format reads as the same message."""
    text = PLAIN.encode(message).decode()
    assert same(theirs(text), message)


@SLOW
@given(messages(KINDS))
def test_round_trip_in_our_style(message: Message) -> None:
    """What is written in our style is read as the same message."""
    read = kinds()()
    OURS.decode(OURS.encode(message), read)
    assert same(read, message)


@settings(SLOW, max_examples=500)
@given(documents(KINDS))
def test_what_is_read_is_read_alike(text: str) -> None:
    """What json_format refuses is refused; what is read is the same message."""
    assume(not re.search(r"-0[,}\]]", text))
    read = ours(text)
    assert read is None or same(read, theirs(text)), text


@pytest.mark.parametrize("field", list(KINDS.fields), ids=lambda field: field.name)
def test_no_more_is_refused_than_is_written_down(field: FieldDescriptor) -> None:
    """What json_format reads of one field is read, but for the values that are written down."""
    kind, shape = _kind(field), _shape(field)
    only_theirs = set()
    for value in ODD:
        text = f'{{"{field.json_name}": {shape % value}}}'
        if ours(text) is None and theirs(text) is not None:
            only_theirs.add(value)
    if kind == "bytes":
        # Letters that are in neither alphabet, and half a padding.
        assert not any(re.fullmatch(r'"[A-Za-z0-9+/_-]*(==)?"', value) for value in only_theirs)
    else:
        assert only_theirs == STRICTER.get(kind, set())


def _shape(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return '{"1": %s}' if field.name != "by_bool" else '{"true": %s}'
    return "[%s]" if field.is_repeated else "%s"


def _kind(field: FieldDescriptor) -> str:
    type_ = field.message_type
    if type_ is not None and type_.GetOptions().map_entry:
        return _kind(type_.fields_by_name["value"])
    if type_ is not None:
        if type_.file.name.endswith("wrappers.proto"):
            return _kind(type_.fields_by_name["value"])
        is_own = type_.full_name.startswith("google.protobuf.") and type_.name != "Empty"
        return type_.full_name if is_own else "message"
    if field.enum_type is not None:
        return "enum"
    name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if name in ("float", "double"):
        return "float"
    return name if name in ("bool", "string", "bytes") else "integer"


@pytest.mark.parametrize("text", STRICTER_DOCUMENTS, ids=STRICTER_DOCUMENTS.get)
def test_stricter_than_json_format(text: str) -> None:
    """Each document of the list is read by json_format and refused here."""
    assert theirs(text) is not None
    assert ours(text) is None


@pytest.mark.parametrize("text", LAXER)
def test_laxer_than_json_format(text: str) -> None:
    """Each kind of JSON that only the gateway reads is one that is written."""
    assert theirs(text) is None
    assert ours(text) is not None


@pytest.mark.parametrize("text", EXACT)
def test_more_exact_than_json_format(text: str) -> None:
    """Where json_format goes through a float or loses a sign, the gateway does not."""
    read, rounded = ours(text), theirs(text)
    assert read is not None
    assert rounded is not None
    assert not same(read, rounded)
