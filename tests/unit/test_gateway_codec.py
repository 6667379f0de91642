"""How the gateway writes messages as JSON and reads them."""

import json
import math
from typing import Any

import pytest
from support.gateway_descriptors import PACKAGE, descriptor, kinds, message_class, small

from gateway.codec import Codec, Style, Unwritable
from gateway.errors import Invalid

CODEC = Codec()
PLAIN = Codec(Style(int64_as_numbers=False, decimal_as_numbers=False))
KINDS = descriptor(f"{PACKAGE}.Kinds").fields_by_name
EXACT = 2**53


def read(text: str | bytes, codec: Codec = CODEC) -> Any:
    message = kinds()()
    codec.decode(text.encode() if isinstance(text, str) else text, message)
    return message


def written(field: str, codec: Codec = CODEC, **values: Any) -> str:
    message = kinds()(**values)
    return codec.encode_field(message, KINDS[field]).decode()


def test_fields_without_presence_are_always_written() -> None:
    """Of an empty message, plain fields are written and those that can be absent are not."""
    assert CODEC.encode(small()()) == b'{"name":"","size":0,"tags":[]}'
    assert not json.loads(CODEC.encode(kinds()())).keys() & {"maybeInt32", "ofSmall", "choiceInt32"}


def test_fields_are_in_the_order_of_the_contract() -> None:
    """Members are written in the order in which the contract has the fields."""
    message = kinds()(snake_case_2_name="z", of_double=1)
    message.of_small.SetInParent()
    order = [field.json_name for field in KINDS.values()]
    names = list(json.loads(CODEC.encode(message)))
    assert names == sorted(names, key=order.index)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (EXACT - 1, "9007199254740991"),
        (EXACT, '"9007199254740992"'),
        (1 - EXACT, "-9007199254740991"),
        (-EXACT, '"-9007199254740992"'),
        (0, "0"),
    ],
)
def test_int64_is_a_number_where_it_is_exact(number: int, shown: str) -> None:
    """A 64-bit integer is a number below 2^53 and a text from there on; both are read."""
    assert written("of_int64", of_int64=number) == shown
    assert written("of_int64", PLAIN, of_int64=number) == f'"{number}"'
    assert read(f'{{"ofInt64": {number}}}') == read(f'{{"ofInt64": "{number}"}}')


@pytest.mark.parametrize("number", ["150.00", "-0", "0.10", "1E+5", "2.5e-8", "9" * 60 + ".50"])
def test_decimal_is_a_number_with_its_digits(number: str) -> None:
    """A decimal goes in and out as a number, digit for digit."""
    message = read(f'{{"ofDecimal": {number}}}')
    assert message.of_decimal.value == number
    assert CODEC.encode_field(message, KINDS["of_decimal"]).decode() == number


@pytest.mark.parametrize("text", ["", "+1", "01", ".5", "1.", "NaN", "1e", "\u0661", "1\n", "a"])
def test_decimal_that_is_no_number_is_text(text: str) -> None:
    """A decimal whose text is no number of JSON is written as text, and read from it."""
    shown = written("of_decimal", of_decimal={"value": text})
    assert json.loads(shown) == text
    assert read(f'{{"ofDecimal": {shown}}}').of_decimal.value == text


def test_decimal_has_three_forms() -> None:
    """A decimal is read from a number, from its text, and from the message that it is."""
    forms = ["150.00", '"150.00"', '{"value": "150.00"}']
    assert {read(f'{{"ofDecimal": {form}}}').of_decimal.value for form in forms} == {"150.00"}


def test_decimal_as_a_plain_message() -> None:
    """With the difference off, a decimal is a message like others, both ways."""
    assert written("of_decimal", PLAIN, of_decimal={"value": "1.0"}) == '{"value":"1.0"}'
    assert read('{"ofDecimal": {"value": "1.0"}}', PLAIN).of_decimal.value == "1.0"
    for form in ("150.00", '"150.00"'):
        with pytest.raises(Invalid, match="must be an object"):
            read(f'{{"ofDecimal": {form}}}', PLAIN)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3.0, "3"), (0.1, "0.1"), (-0.0, "-0.0"), (2.0**53, "9007199254740992.0"), (1e22, "1e22")],
)
def test_double_is_as_short_as_it_can_be(value: float, shown: str) -> None:
    """A double is written with the fewest digits that are it, and as an integer where it is one."""
    assert written("of_double", of_double=value) == shown
    assert math.copysign(1, read(f'{{"ofDouble": {shown}}}').of_double) == math.copysign(1, value)


@pytest.mark.parametrize("value", [0.1, 16777216.0, 3.4028234663852886e38, 1e-45, 123456.789])
def test_float_is_as_short_as_it_can_be(value: float) -> None:
    """A float of 32 bits is written with at most nine digits, and read as the same one."""
    message = kinds()(of_float=value)
    shown = CODEC.encode_field(message, KINDS["of_float"]).decode()
    assert len(shown.split("e")[0].replace(".", "")) <= 9
    assert read(f'{{"ofFloat": {shown}}}').of_float == message.of_float


def test_floats_that_are_not_finite_have_names() -> None:
    """NaN and the infinities are read and written by their names in quotes."""
    for name, value in {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.items():
        assert written("of_float", of_float=value) == f'"{name}"'
        found = read(f'{{"ofDouble": "{name}"}}').of_double
        assert found == value or math.isnan(found) == math.isnan(value)


def test_enum_without_a_name_is_its_number() -> None:
    """A value that the contract does not name is written and read as its number."""
    assert written("of_color", of_color=99) == "99"
    assert read('{"ofColor": 99}').of_color == 99
    assert read('{"ofColor": "ALSO_GREEN"}').of_color == 2


def test_enum_with_two_names_has_the_first() -> None:
    """A number with several names is written by the one that the contract has first."""
    assert written("of_color", of_color=2) == written("maybe_color", maybe_color=2) == '"GREEN"'


def test_map_is_written_in_order() -> None:
    """The same map is always the same text, whatever the order in which it was made."""
    numbers = list(range(-9, 99))
    shown = written("by_sint32", by_sint32=dict.fromkeys(reversed(numbers), ""))
    assert [int(key) for key in json.loads(shown)] == numbers
    shown = written("of_struct", of_struct={str(number): None for number in numbers})
    assert list(json.loads(shown)) == sorted(map(str, numbers))
    assert written("by_bool", by_bool={True: "b", False: "a"}) == '{"false":"a","true":"b"}'


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("2026-11-16T12:30:00.5+02:00", 1794825000, 500_000_000),
        ("2026-11-16T06:30:00-04:00", 1794825000, 0),
        ("1969-12-31T23:59:59.000000001Z", -1, 1),
        ("9999-12-31T23:59:59.999999999Z", 253402300799, 999_999_999),
        ("0001-01-01T00:00:00Z", -62135596800, 0),
    ],
)
def test_times(text: str, seconds: int, nanos: int) -> None:
    """A time is read with any offset, down to the nanosecond, and present even at zero."""
    found = read(f'{{"ofTimestamp": "{text}"}}')
    assert (found.of_timestamp.seconds, found.of_timestamp.nanos) == (seconds, nanos)
    assert found.HasField("of_timestamp")


def test_absent_and_present() -> None:
    """Null is as if the member was not there, but for a free value, which it is."""
    message = read('{"ofInt32": null, "ofSmall": null, "manyInt32": null, "ofValue": null}')
    assert [field.name for field, _ in message.ListFields()] == ["of_value"]
    assert read('{"choiceInt32": null, "choiceString": ""}').WhichOneof("choice") == "choice_string"
    assert read('{"choiceNull": null}').WhichOneof("choice") == "choice_null"
    assert read('{"maybeInt32": 0, "ofEmpty": {}}').HasField("of_empty")


def test_names_of_both_kinds_are_read() -> None:
    """A member may have the name of JSON or that of the contract."""
    assert read('{"of_int32": 1}') == read('{"ofInt32": 1}')
    assert read('{"renamed": "a"}') == read('{"@other": "a"}')
    assert '"@other":"a"' in CODEC.encode(kinds()(renamed="a")).decode()


def test_an_empty_body_names_nothing() -> None:
    """An empty body leaves the message as it is."""
    message = kinds()(of_int32=1)
    CODEC.decode(b"", message)
    CODEC.decode_field(b"", message, KINDS["of_small"])
    CODEC.decode_field(b"null", message, KINDS["of_small"])
    assert message == kinds()(of_int32=1)


def test_what_is_there_stays() -> None:
    """Reading sets what the JSON names, replaces lists and maps, and leaves the rest."""
    message = kinds()(of_int32=1, of_string="a", many_int32=[1, 2], by_string={"a": "b"})
    message.of_small.name = "kept"
    CODEC.decode(
        b'{"ofInt32": 2, "manyInt32": [3], "byString": {}, "ofSmall": {"size": 4}}', message
    )
    assert message == kinds()(
        of_int32=2, of_string="a", many_int32=[3], of_small={"name": "kept", "size": 4}
    )


def test_one_field_as_the_body() -> None:
    """A body can be one field; what is wrong in it is named from the message on."""
    message = kinds()()
    CODEC.decode_field(b'[{"size": 1}, {}]', message, KINDS["many_small"])
    CODEC.decode_field(b"1.50", message, KINDS["of_decimal"])
    assert CODEC.encode_field(message, KINDS["of_decimal"]) == b"1.50"
    assert len(message.many_small) == 2
    assert CODEC.encode_field(message, KINDS["of_small"]) == b"null"
    with pytest.raises(Invalid) as refused:
        CODEC.decode_field(b'[{}, {"size": "a"}]', message, KINDS["many_small"])
    assert refused.value.violations == (("manySmall[1].size", "must be an integer"),)


def test_any_of_a_known_type() -> None:
    """What an Any holds is written with its type, in the style of all else, and read again."""
    holder = message_class("google.type.Decimal")(value="1.50")
    message = kinds()()
    message.of_any.Pack(holder)
    shown = CODEC.encode_field(message, KINDS["of_any"])
    assert shown == b'{"@type":"type.googleapis.com/google.type.Decimal","value":1.50}'
    assert read(b'{"ofAny": ' + shown + b"}") == message


def test_any_of_free_json() -> None:
    """An Any holds any other kind of JSON too, and another Any."""
    held = '{"@type":"a/google.protobuf.Struct","value":{"a":1,"b":[null]}}'
    shown = f'{{"@type":"a/google.protobuf.Any","value":{held}}}'
    message = read(f'{{"ofAny": {shown}}}')
    assert CODEC.encode_field(message, KINDS["of_any"]).decode() == shown


def test_any_without_end() -> None:
    """An Any within an Any, and so on, is no way to break the writer."""
    holder = message_class("google.protobuf.Any")()
    for _ in range(2_000):
        outer = message_class("google.protobuf.Any")()
        outer.Pack(holder)
        holder = outer
    with pytest.raises(Unwritable, match="too deeply"):
        CODEC.encode(holder)


def test_a_closed_enum_has_its_values_only() -> None:
    """An enum of proto2 is read by its names and numbers, and no other number."""
    type_ = message_class("google.protobuf.FieldDescriptorProto")
    for form in ('"TYPE_INT32"', "5"):
        field = type_()
        CODEC.decode(f'{{"type": {form}}}'.encode(), field)
        assert field.type == 5
    with pytest.raises(Invalid, match="type: must be one of TYPE_DOUBLE"):
        CODEC.decode(b'{"type": 99}', type_())


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("of_timestamp", {"seconds": 253402300800}),
        ("of_timestamp", {"nanos": -1}),
        ("of_duration", {"seconds": 1, "nanos": -1}),
        ("of_duration", {"seconds": 315576000001}),
        ("of_field_mask", {"paths": ["aB"]}),
        ("of_field_mask", {"paths": ["a_2"]}),
        ("of_value", {"number_value": math.nan}),
        ("of_any", {"type_url": "a/no.such.Type", "value": b"a"}),
        ("of_any", {"type_url": f"a/{PACKAGE}.Small", "value": b"\xff"}),
    ],
)
def test_what_has_no_json_form(field: str, values: dict[str, Any]) -> None:
    """What cannot be written is the fault of who made it, and no refusal of the request."""
    with pytest.raises(Unwritable):
        CODEC.encode(kinds()(**{field: values}))


TEXTS = {
    "of_string": ("a b", "a b"),
    "of_int32": ("-7", -7),
    "of_uint64": ("18446744073709551615", 2**64 - 1),
    "of_bool": ("true", True),
    "of_double": ("-Infinity", -math.inf),
    "of_float": ("0.5", 0.5),
    "of_bytes": ("_-8", b"\xff\xef"),
    "of_color": ("GREEN", 2),
    "maybe_color": ("-7", -7),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_of_a_scalar(name: str) -> None:
    """A value in a path or a query is its plain text; of a list, each is added."""
    text, value = TEXTS[name]
    message = kinds()()
    CODEC.set_text(message, KINDS[name], text)
    assert getattr(message, name) == value == CODEC.scalar(KINDS[name], text)
    many = name.replace("of_", "many_").replace("maybe_", "many_")
    CODEC.set_text(message, KINDS[many], text)
    CODEC.set_text(message, KINDS[many], text)
    assert list(getattr(message, many)) == [value, value]


def test_text_of_a_message() -> None:
    """Times, durations, field masks, wrappers and decimals have a text in a query."""
    texts = {
        "of_timestamp": "2026-11-16T10:30:00Z",
        "of_duration": "1.500s",
        "of_field_mask": "aB,c",
        "of_decimal": "150.00",
        "of_int64_value": "7",
        "of_string_value": "7",
        "of_bool_value": "false",
    }
    message = kinds()()
    for name, text in texts.items():
        CODEC.set_text(message, KINDS[name], text)
    CODEC.set_text(message, KINDS["many_duration"], "1s")
    found = json.loads(CODEC.encode(message), parse_float=str)
    shown = {name: found[KINDS[name].json_name] for name in texts}
    assert shown == {**texts, "of_int64_value": 7, "of_bool_value": False}
    assert message.many_duration[0].seconds == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("of_int32", text) for text in ("", " 1", "+1", "1_0", "a", "2147483648", "true")),
        *(("of_bool", text) for text in ("", "1", "True", "TRUE")),
        *(("of_color", text) for text in ("", "red", "1.5", "99999999999")),
        *(("of_float", text) for text in ("nan", "1e39", "", "inf")),
        *(("of_bytes", text) for text in ("a", "é", "QQ=")),
        *((f"of_{name}", "{}") for name in ("small", "struct", "value", "list_value", "any")),
        *((f"of_{name}", "{}") for name in ("empty", "timestamp", "duration", "int32_value")),
        ("map_string", "a"),
    ],
)
def test_text_that_does_not_fit(name: str, text: str) -> None:
    """A text that is no value of its field is refused, by the name that the caller knows."""
    with pytest.raises(Invalid) as refused:
        CODEC.set_text(kinds()(), KINDS[name], text)
    assert refused.value.violations[0][0] == KINDS[name].json_name
    with pytest.raises(Invalid) as refused:
        CODEC.set_text(kinds()(), KINDS[name], text, "a.b")
    assert refused.value.violations[0][0] == "a.b"
