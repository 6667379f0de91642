"""A contract with every kind of field, made in code and in a pool of its own.

So does the gateway meet the contracts that it serves: as descriptors, without generated code.
"""

from functools import cache

from google.api import httpbody_pb2
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.message import Message
from google.type import decimal_pb2

PACKAGE = "holdfast.kinds.v1"
SCALARS = [
    *("double", "float", "bool", "string", "bytes"),
    *("int32", "uint32", "sint32", "fixed32", "sfixed32"),
    *("int64", "uint64", "sint64", "fixed64", "sfixed64"),
]
# What may be the key of a map.
KEYS = [one for one in SCALARS if one not in ("double", "float", "bytes")]
# The name of a field, and the message that it holds.
WELL_KNOWN = {
    "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
    "field_mask": "google.protobuf.FieldMask",
    "struct": "google.protobuf.Struct",
    "value": "google.protobuf.Value",
    "list_value": "google.protobuf.ListValue",
    "any": "google.protobuf.Any",
    "empty": "google.protobuf.Empty",
    "double_value": "google.protobuf.DoubleValue",
    "float_value": "google.protobuf.FloatValue",
    "int64_value": "google.protobuf.Int64Value",
    "uint64_value": "google.protobuf.UInt64Value",
    "int32_value": "google.protobuf.Int32Value",
    "uint32_value": "google.protobuf.UInt32Value",
    "bool_value": "google.protobuf.BoolValue",
    "string_value": "google.protobuf.StringValue",
    "bytes_value": "google.protobuf.BytesValue",
    "decimal": "google.type.Decimal",
    "http_body": "google.api.HttpBody",
}
IMPORTED = [
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
    decimal_pb2,
    httpbody_pb2,
]


def kinds() -> type[Message]:
    """`Kinds`, the message with a field of every kind.

    Of each scalar type: `of_int32` (singular), `maybe_int32` (optional), `many_int32` (repeated).
    So with the enum (`of_color` …); `of_small`, `of_kinds` and their `many_` are messages.
    Of each well-known type: `of_timestamp` and `many_timestamp`.
    Maps: `by_int32` from each type of key to a string; `map_int32` from a string to each scalar,
    the enum, `Small`, `Kinds` and each well-known type (`map_timestamp`).
    A oneof `choice` of `choice_int32`, `choice_string`, `choice_kinds`, `choice_null`.
    `renamed`, whose JSON name is `@other`, and `snake_case_2_name`.
    """
    return message_class(f"{PACKAGE}.Kinds")


def small() -> type[Message]:
    """`Small`: a string `name`, an int64 `size`, repeated string `tags`."""
    return message_class(f"{PACKAGE}.Small")


def method(name: str) -> MethodDescriptor:
    """A method of `KindsService`: `Echo` of Kinds, `EchoSmall`, `EchoHttpBody`."""
    service = pool().FindServiceByName(f"{PACKAGE}.KindsService")
    return service.methods_by_name[name]


def message_class(full_name: str) -> type[Message]:
    """The class of any message of the pool, imported ones too."""
    return message_factory.GetMessageClass(descriptor(full_name))


def descriptor(full_name: str) -> Descriptor:
    """Any message of the pool."""
    return pool().FindMessageTypeByName(full_name)


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """The pool, made once."""
    made = descriptor_pool.DescriptorPool()
    for module in IMPORTED:
        made.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    made.AddSerializedFile(file().SerializeToString())
    return made


def file() -> FileDescriptorProto:
    """The contract as a file."""
    made = FileDescriptorProto(name="holdfast/kinds/v1/kinds.proto", package=PACKAGE)
    made.syntax = "proto3"
    made.dependency.extend(module.DESCRIPTOR.name for module in IMPORTED)
    color = made.enum_type.add(name="Color")
    color.options.allow_alias = True
    numbers = {"COLOR_UNSPECIFIED": 0, "RED": 1, "GREEN": 2, "ALSO_GREEN": 2, "NEGATIVE": -7}
    for name, number in numbers.items():
        color.value.add(name=name, number=number)
    _small(made.message_type.add(name="Small"))
    _kinds(made.message_type.add(name="Kinds"))
    service = made.service.add(name="KindsService")
    for name, of in {
        "Echo": f".{PACKAGE}.Kinds",
        "EchoSmall": f".{PACKAGE}.Small",
        "EchoHttpBody": ".google.api.HttpBody",
    }.items():
        service.method.add(name=name, input_type=of, output_type=of)
    return made


def _small(message: DescriptorProto) -> None:
    _field(message, "name", "string")
    _field(message, "size", "int64")
    _field(message, "tags", "string", repeated=True)


def _kinds(message: DescriptorProto) -> None:
    message.oneof_decl.add(name="choice")
    types = {one: one for one in SCALARS} | {"color": f".{PACKAGE}.Color"}
    types |= {"small": f".{PACKAGE}.Small", "kinds": f".{PACKAGE}.Kinds"}
    types |= {name: f".{of}" for name, of in WELL_KNOWN.items()}
    for name, of in types.items():
        _field(message, f"of_{name}", of)
        _field(message, f"many_{name}", of, repeated=True)
        _map(message, f"map_{name}", "string", of)
    for key in KEYS:
        _map(message, f"by_{key}", key, "string")
    _field(message, "of_null", ".google.protobuf.NullValue")
    _field(message, "choice_int32", "int32").oneof_index = 0
    _field(message, "choice_string", "string").oneof_index = 0
    _field(message, "choice_kinds", f".{PACKAGE}.Kinds").oneof_index = 0
    _field(message, "choice_null", ".google.protobuf.NullValue").oneof_index = 0
    _field(message, "renamed", "string").json_name = "@other"
    _field(message, "snake_case_2_name", "string")
    for name in [*SCALARS, "color"]:
        _optional(message, f"maybe_{name}", types[name])


def _optional(message: DescriptorProto, name: str, of: str) -> None:
    """Proto3's `optional` is a oneof of one, which must come after the others."""
    field = _field(message, name, of)
    field.proto3_optional = True
    field.oneof_index = len(message.oneof_decl)
    message.oneof_decl.add(name=f"_{name}")


def _map(message: DescriptorProto, name: str, key: str, of: str) -> None:
    entry = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    nested = message.nested_type.add(name=entry)
    nested.options.map_entry = True
    _field(nested, "key", key)
    _field(nested, "value", of)
    _field(message, name, f".{PACKAGE}.{message.name}.{entry}", repeated=True)


def _field(
    message: DescriptorProto, name: str, of: str, *, repeated: bool = False
) -> FieldDescriptorProto:
    field = message.field.add(name=name, number=len(message.field) + 1)
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if not of.startswith("."):
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{of.upper()}")
        return field
    is_enum = of in (f".{PACKAGE}.Color", ".google.protobuf.NullValue")
    field.type = field.TYPE_ENUM if is_enum else field.TYPE_MESSAGE
    field.type_name = of
    return field
