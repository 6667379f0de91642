"""Values of fields that are no messages, from JSON and to it."""

import base64
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from gateway.json_text import Number, refuse

Scalar = bool | int | float | str | bytes
Read = Callable[[Any], Any]
Write = Callable[[Any], Any]

NULL_VALUE = "google.protobuf.NullValue"

# Integers within are numbers that every reader of JSON has exactly.
_EXACT = 2**53
_FLOAT = struct.Struct("<f")
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
# Longer ones are not looked into: 1.000… with a million zeros would be an integer.
_INTEGER_LENGTH_MAX = 100
# As 2^64 has 20 digits.
_INTEGER_DIGITS_MAX = 20
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_PLAIN_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)").fullmatch
_NAMED_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}").fullmatch
_URL_SAFE = str.maketrans("-_", "+/")
_ENUM_NAMES_SHOWN_MAX = 10


def scalar_reader(field: FieldDescriptor) -> Read:
    """How a value of this field is read; each raises `Misfit`."""
    if field.enum_type is not None:
        return enum_reader(field.enum_type)
    if field.cpp_type in _INTEGERS:
        return integer_reader(*_INTEGERS[field.cpp_type])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return read_bytes
    return {
        FieldDescriptor.CPPTYPE_BOOL: read_bool,
        FieldDescriptor.CPPTYPE_DOUBLE: read_double,
        FieldDescriptor.CPPTYPE_FLOAT: read_float,
        FieldDescriptor.CPPTYPE_STRING: read_string,
    }[field.cpp_type]


def text_reader(field: FieldDescriptor) -> Callable[[str], Any]:
    """How a value of this field is read from a path, a query, or the key of a map."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _bool_of_text
    read = scalar_reader(field)
    if field.enum_type is None:
        return read
    return lambda text: read(Number(text) if _NUMBER(text) else text)


def is_number(text: str) -> bool:
    """Whether a text is a number in JSON as it stands."""
    return _NUMBER(text) is not None


def read_string(value: Any) -> str:
    """A string."""
    if type(value) is not str:
        refuse("must be a string")
    return value


def read_bool(value: Any) -> bool:
    """True or false, without quotes."""
    if type(value) is not bool:
        refuse("must be true or false")
    return value


def _bool_of_text(text: str) -> bool:
    if text not in ("true", "false"):
        refuse("must be true or false")
    return text == "true"


def read_bytes(value: Any) -> bytes:
    """Base64 in either alphabet, with its padding or without."""
    text = read_string(value).translate(_URL_SAFE)
    bare = text.rstrip("=")
    is_padded = len(bare) != len(text)
    # One letter over is a quarter of nothing.
    if not _BASE64(text) or len(bare) % 4 == 1 or (is_padded and len(text) % 4):
        refuse("must be in base64")
    return base64.b64decode(bare + "=" * (-len(bare) % 4))


def read_double(value: Any) -> float:
    """A number, or its text; what is not finite, by its name."""
    number = _float_of(value)
    if math.isinf(number) and value not in _NAMED_FLOATS:
        refuse("is out of the range of a double")
    return number


def read_float(value: Any) -> float:
    """As `read_double`, for 32 bits."""
    number = read_double(value)
    try:
        _FLOAT.pack(number)
    except OverflowError:
        refuse("is out of the range of a float")
    return number


def _float_of(value: Any) -> float:
    if type(value) is str and value in _NAMED_FLOATS:
        return _NAMED_FLOATS[value]
    if not isinstance(value, str) or not _NUMBER(value):
        refuse("must be a number")
    return float(value)


def integer_reader(least: int, most: int) -> Read:
    """How integers between two are read: as numbers or as their text, also as 1.0 or 1e2."""

    def read(value: Any) -> int:
        try:
            is_short = type(value) is Number and len(value) <= _INTEGER_DIGITS_MAX
            number = int(value) if is_short else _integer_of(value)
        except ValueError:
            # 1.0 and 1e2 are integers too.
            number = _integer_of(value)
        if not least <= number <= most:
            refuse(f"must be between {least} and {most}")
        return number

    return read


def _integer_of(value: Any) -> int:
    if not isinstance(value, str) or len(value) > _INTEGER_LENGTH_MAX:
        refuse("must be an integer")
    if _PLAIN_INTEGER(value):
        return int(value)
    if not _NUMBER(value):
        refuse("must be an integer")
    try:
        number = Decimal(value)
    except InvalidOperation:
        refuse("is out of range")
    # Before it is written out: 1e999999 has a million digits.
    if number and number.adjusted() > _INTEGER_DIGITS_MAX:
        refuse("is out of range")
    if number != number.to_integral_value():
        refuse("must be an integer")
    return int(number)


def enum_reader(enum: EnumDescriptor) -> Read:
    """How the values of an enum are read: by name, or by number, also one that is not named."""
    numbers = {name: value.number for name, value in enum.values_by_name.items()}
    named = set(numbers.values())
    integer = integer_reader(*_INTEGERS[FieldDescriptor.CPPTYPE_INT32])
    is_null = enum.full_name == NULL_VALUE
    shown = ", ".join(list(numbers)[:_ENUM_NAMES_SHOWN_MAX])
    what = f"must be one of {shown}" + (", …" if len(numbers) > _ENUM_NAMES_SHOWN_MAX else "")

    def read(value: Any) -> int:
        if type(value) is str and value in numbers:
            return numbers[value]
        if value is None and is_null:
            return 0
        if type(value) is not Number:
            refuse(what)
        number: int = integer(value)
        if enum.is_closed and number not in named:
            refuse(what)
        return number

    return read


def write_bool_key(key: bool) -> str:  # noqa: FBT001
    """A key of a map, of which JSON has only text."""
    return "true" if key else "false"


def write_int64(value: int) -> int | str:
    """A number where each reader of JSON has it exactly, else its text."""
    return value if -_EXACT < value < _EXACT else str(value)


def write_bytes(value: bytes) -> str:
    """Base64."""
    return base64.b64encode(value).decode()


def write_double(value: float) -> float | int | str:
    """A number, or the name of what is not finite."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    # 3 rather than 3.0: some readers of JSON take only that for an integer.
    if value.is_integer() and 0 < abs(value) < _EXACT:
        return int(value)
    return value


def write_float(value: float) -> float | int | str:
    """With the fewest digits that are this value in 32 bits, as 0.1 and not 0.10000000149011612."""
    if math.isfinite(value):
        packed = _FLOAT.pack(value)
        for digits in (6, 7, 8, 9):
            short = float(f"{value:.{digits}g}")
            try:
                if _FLOAT.pack(short) == packed:
                    return write_double(short)
            except OverflowError:
                continue
    return write_double(value)


class _EnumNames(dict[int, Any]):
    """Names by number; a number without one is itself."""

    def __missing__(self, number: int) -> int:
        return number


def enum_writer(enum: EnumDescriptor) -> Write:
    """How the values of an enum are written: by name, or by number where they have none."""
    if enum.full_name == NULL_VALUE:
        return lambda _: None
    # Of several names of a number, the first.
    names = {value.number: value.name for value in reversed(list(enum.values))}
    return _EnumNames(names).__getitem__
