"""Messages of any type with values of every kind, and JSON that hardly fits, for hypothesis."""

import json
import math
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from support.gateway_descriptors import PACKAGE, WELL_KNOWN, message_class

DEPTH_MAX = 2
FIELDS_MAX = 6

# What an Any holds; without maps, which json_format puts into its bytes in any order.
HELD = [one for one in WELL_KNOWN.values() if not one.endswith(("Struct", "Value"))] + [
    one for one in WELL_KNOWN.values() if one.endswith(("32Value", "64Value", "sValue", "gValue"))
]

_FIELD = FieldDescriptor
_FLOATS = st.just(math.nan) | st.floats(allow_nan=False)
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    _FIELD.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    _FIELD.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1) | st.integers(2**53 - 2, 2**53 + 2),
    _FIELD.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    _FIELD.CPPTYPE_UINT64: st.integers(0, 2**64 - 1) | st.integers(2**53 - 2, 2**53 + 2),
    _FIELD.CPPTYPE_DOUBLE: _FLOATS,
    _FIELD.CPPTYPE_FLOAT: st.just(math.nan) | st.floats(allow_nan=False, width=32),
    _FIELD.CPPTYPE_BOOL: st.booleans(),
    _FIELD.CPPTYPE_STRING: st.text(max_size=20),
}
_NANOS = st.sampled_from([0, 1, 999_999_999, 500_000_000, 120_000]) | st.integers(0, 10**9 - 1)
_DECIMALS = st.sampled_from(["150.00", "-0", "1E+5", "", "+1", "01", ".5", "NaN", "1" * 60])
_PATHS = st.from_regex(
    r"[a-z][a-z0-9]{0,3}(_[a-z][a-z0-9]{0,3}){0,2}(\.[a-z]{1,3})?", fullmatch=True
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def messages(type_: Descriptor, depth: int = DEPTH_MAX) -> st.SearchStrategy[Message]:
    """Messages with some of their fields set."""
    return st.builds(message_class(type_.full_name)).flatmap(
        lambda message: _filled(message, depth)
    )


@st.composite
def _filled(draw: st.DrawFn, message: Any, depth: int) -> Message:
    type_ = message.DESCRIPTOR
    special = _SPECIAL.get(type_.full_name)
    if special is not None:
        special(draw, message)
        return message
    fields = [one for one in type_.fields if depth or one.message_type is None]
    for field in draw(
        st.lists(st.sampled_from(fields), max_size=FIELDS_MAX) if fields else st.just([])
    ):
        _set(draw, message, field, depth)
    return message


def _set(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name
        for key in draw(st.lists(_scalar(entry["key"]), max_size=3)):
            if entry["value"].message_type is None:
                target[key] = draw(_scalar(entry["value"]))
            else:
                target[key].CopyFrom(draw(messages(entry["value"].message_type, depth - 1)))
    elif field.message_type is not None:
        made = messages(field.message_type, depth - 1)
        if field.is_repeated:
            target.extend(draw(st.lists(made, max_size=3)))
        else:
            target.CopyFrom(draw(made))
            target.SetInParent()
    elif field.is_repeated:
        target[:] = draw(st.lists(_scalar(field), max_size=3))
    else:
        setattr(message, field.name, draw(_scalar(field)))


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type == _FIELD.TYPE_BYTES:
        return st.binary(max_size=20)
    return _SCALARS[field.cpp_type]


def _enum(enum: EnumDescriptor) -> st.SearchStrategy[int]:
    if enum.full_name == "google.protobuf.NullValue":
        return st.just(0)
    return st.sampled_from([value.number for value in enum.values]) | st.integers(-9, 9)


def _timestamp(draw: st.DrawFn, message: Any) -> None:
    message.seconds = draw(st.integers(-62_135_596_800, 253_402_300_799))
    message.nanos = draw(_NANOS)


def _duration(draw: st.DrawFn, message: Any) -> None:
    sign = draw(st.sampled_from([1, -1]))
    message.seconds = sign * draw(st.integers(0, 315_576_000_000))
    message.nanos = sign * draw(_NANOS)


def _value(draw: st.DrawFn, message: Any) -> None:
    _set_value(message, draw(_JSON))


def _set_value(message: Any, value: Any) -> None:
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, float):
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, list):
        message.list_value.SetInParent()
        for one in value:
            _set_value(message.list_value.values.add(), one)
    else:
        message.struct_value.SetInParent()
        for name, one in value.items():
            _set_value(message.struct_value.fields[name], one)


def _struct(draw: st.DrawFn, message: Any) -> None:
    for name in draw(st.lists(st.text(), max_size=3)):
        _set_value(message.fields[name], draw(_JSON))


def _list(draw: st.DrawFn, message: Any) -> None:
    for value in draw(st.lists(_JSON, max_size=3)):
        _set_value(message.values.add(), value)


def _any(draw: st.DrawFn, message: Any) -> None:
    held = draw(st.sampled_from([None, f"{PACKAGE}.Small", *HELD]))
    if held is not None:
        inner = draw(messages(message_class(held).DESCRIPTOR, 0))
        message.type_url = f"type.googleapis.com/{held}"
        message.value = inner.SerializeToString(deterministic=True)


def _mask(draw: st.DrawFn, message: Any) -> None:
    message.paths.extend(draw(st.lists(_PATHS, max_size=3)))


def _decimal(draw: st.DrawFn, message: Any) -> None:
    message.value = draw(_DECIMALS | st.decimals(allow_nan=False).map(str) | st.text())


_SPECIAL: dict[str, Callable[[st.DrawFn, Any], None]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Value": _value,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Any": _any,
    "google.protobuf.FieldMask": _mask,
    "google.type.Decimal": _decimal,
}

# Values that fit one field and not another, as they stand in JSON.
ODD = [
    *("null", "true", "false", "{}", "[]", "[[]]", "[{}]", "[null]", '{"value": "1"}'),
    *("0", "-0", "-0.0", "1", "-1", "7", "1.0", "1.5", "1e2", "1e-2", "1e400", "-1e400"),
    *("2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", "1e39", "0.1", "5e-324"),
    *map(
        json.dumps,
        [
            *("", "1", "-1", "1.0", "1e2", "1.5", "+1", " 1", "1 ", "0x1", "1_0", "01", "\u0661"),
            *(
                "NaN",
                "Infinity",
                "-Infinity",
                "nan",
                "inf",
                "true",
                "false",
                "a",
                "\x00",
                "\U0001f39f",
            ),
            *("RED", "red", "ALSO_GREEN", "NULL_VALUE", "9223372036854775807", "1e400"),
            *("QQ==", "QQ", "QQ=", "Q", "-_-_", "+/+/", "Q*==", "é"),
            *("2026-11-16T10:30:00Z", "2026-11-16T10:30:00.5+02:00", "2026-11-16T10:30:00"),
            *(
                "0001-01-01T00:00:00Z",
                "0001-01-01T00:00:00+00:01",
                "9999-12-31T23:59:59.999999999Z",
            ),
            *("9999-12-31T23:59:59-00:01", "2026-02-30T00:00:00Z", "2026-11-16t10:30:00z"),
            *("1970-01-01T00:00:00.0000000001Z", "10000-01-01T00:00:00Z", "2026-11-16T24:00:00Z"),
            *(
                "1s",
                "1.5s",
                "-0.5s",
                "-1s",
                "s",
                "1",
                "315576000000s",
                "315576000001s",
                "0.0000000001s",
            ),
            *("aB,cD.eF", "a_b", "a,,b", ","),
            {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"},
            {"@type": f"type.googleapis.com/{PACKAGE}.Small", "size": "7"},
            {"@type": "type.googleapis.com/no.such.Type"},
            {"@type": 7},
            {"value": 7},
            {"name": "a", "size": 7, "tags": ["b"]},
            {"name": 7},
            {"noSuch": 7},
            {"1": "a", "true": "b"},
        ],
    ),
]


def documents(type_: Descriptor) -> st.SearchStrategy[str]:
    """JSON that names fields of a message, with values that may not fit them."""
    names = [name for field in type_.fields for name in (field.json_name, field.name)]
    value = st.sampled_from(ODD)
    many = st.lists(value, max_size=2).map(lambda values: f"[{', '.join(values)}]")
    keys = st.sampled_from(["k", "1", "-1", "true", "1.0", "", "x", "18446744073709551616"])
    mapped = st.builds(lambda key, of: f"{{{json.dumps(key)}: {of}}}", keys, value)
    member = st.tuples(st.sampled_from(names), value | many | mapped)
    return st.lists(member, max_size=3, unique_by=lambda one: one[0]).map(
        lambda members: "{" + ", ".join(f"{json.dumps(name)}: {of}" for name, of in members) + "}"
    )
