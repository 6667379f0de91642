"""Free JSON: `google.protobuf.Value`, and the `Struct` and the `ListValue` of them."""

import math
from typing import Any

from gateway.json_scalars import read_double, write_double
from gateway.json_text import Misfit, Number, members, require_list
from gateway.wellknown import refuse_writing

VALUE = "google.protobuf.Value"


def read_value(message: Any, value: Any) -> None:
    """Set a value to whatever the JSON is."""
    if value is None:
        message.null_value = 0
    elif type(value) is bool:
        message.bool_value = value
    elif type(value) is Number:
        message.number_value = read_double(value)
    elif type(value) is str:
        message.string_value = value
    elif type(value) is list:
        message.list_value.SetInParent()
        read_list(message.list_value, value)
    else:
        message.struct_value.SetInParent()
        read_struct(message.struct_value, value)


def read_struct(message: Any, value: Any) -> None:
    """Set an object of free values."""
    message.ClearField("fields")
    for name, member in members(value).items():
        try:
            read_value(message.fields[name], member)
        except Misfit as misfit:
            misfit.within(name)
            raise


def read_list(message: Any, value: Any) -> None:
    """Set a list of free values."""
    require_list(value)
    message.ClearField("values")
    for index, item in enumerate(value):
        try:
            read_value(message.values.add(), item)
        except Misfit as misfit:
            misfit.at(index)
            raise


def write_value(message: Any) -> Any:
    """Whatever a value is; null where it is nothing."""
    kind = message.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    if kind == "list_value":
        return write_list(message.list_value)
    if kind == "struct_value":
        return write_struct(message.struct_value)
    value = getattr(message, kind)
    if kind == "number_value":
        if not math.isfinite(value):
            refuse_writing("a number in a google.protobuf.Value is not finite")
        return write_double(value)
    return value


def write_struct(message: Any) -> dict[str, Any]:
    """An object of free values, in order."""
    fields = message.fields
    return {name: write_value(fields[name]) for name in sorted(fields)}


def write_list(message: Any) -> list[Any]:
    """A list of free values."""
    return [write_value(value) for value in message.values]


READERS = {
    VALUE: read_value,
    "google.protobuf.Struct": read_struct,
    "google.protobuf.ListValue": read_list,
}
WRITERS = {
    VALUE: write_value,
    "google.protobuf.Struct": write_struct,
    "google.protobuf.ListValue": write_list,
}
