"""What the gateway does not take for JSON, or not for JSON of a message."""

import contextlib
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.gateway_descriptors import PACKAGE, descriptor, kinds
from support.gateway_messages import documents

from gateway.codec import Codec
from gateway.errors import Invalid

CODEC = Codec()
KINDS = descriptor(f"{PACKAGE}.Kinds")
ANYTHING = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def refused(body: str | bytes) -> tuple[str, str]:
    with pytest.raises(Invalid) as found:
        CODEC.decode(body.encode() if isinstance(body, str) else body, kinds()())
    (violation,) = found.value.violations
    return violation


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"{}x",
        b"{",
        b" ",
        b"{'ofInt32': 1}",
        b'{"ofInt32": 1,}',
        b'{"ofInt32": 01}',
        b'{"ofInt32": .5}',
        b'{"ofInt32": 1.}',
        b'{"ofInt32": +1}',
        b'{"ofInt32": 0x1}',
        b'{"ofString": "\n"}',
        b'{"ofString": "\x00"}',
        b'{"ofString": "\\x"}',
        b'{"ofString": "\\u12"}',
        b'{"ofInt32": 1} // a',
        b"[1",
        b"{\x00}",
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_no_json(body: bytes) -> None:
    """What is not JSON to the letter is refused, for the whole body."""
    path, what = refused(body)
    assert path == ""
    assert "is not valid" in what


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"ofString": "\xff"}', "is not valid UTF-8, at byte 14"),
        (b'{"ofString": "\xed\xa0\x80"}', "is not valid UTF-8, at byte 14"),
        (b'{"ofString": "\xc0\x80"}', "is not valid UTF-8, at byte 14"),
        (b'{"ofString": "\\ud83c"}', "holds half a character, at character 14"),
        (b'{"ofString": "\\udf9f\\ud83c"}', "holds half a character, at character 14"),
        (b'{"\\ud83c": 1}', "holds half a character, at character 2"),
        (b'{"ofString": "\\\\\\ud83cx"}', "holds half a character, at character 16"),
        (b'{"ofDouble": NaN}', "holds NaN or Infinity outside of quotes"),
        (b'{"ofDouble": -Infinity}', "holds NaN or Infinity outside of quotes"),
    ],
)
def test_no_text(body: bytes, what: str) -> None:
    """Characters that are none, and numbers that are none, are named as such."""
    assert refused(body) == ("", what)


def test_whole_characters() -> None:
    """A pair of escapes is one character, and an escaped backslash begins no escape."""
    message = kinds()()
    CODEC.decode(b'{"ofString": "\\ud83c\\udf9f \\\\ud83c \\u00e9\\u0000"}', message)
    assert message.of_string == "\U0001f39f \\ud83c é\x00"


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        ("[]", "", "must be an object"),
        ("null", "", "must be an object"),
        ('"{}"', "", "must be an object"),
        ('{"noSuch": 1}', "noSuch", "is not known"),
        ('{"ofSmall": {"noSuch": 1}}', "ofSmall.noSuch", "is not known"),
        ('{"manySmall": [{}, {"a": 1}]}', "manySmall[1].a", "is not known"),
        ('{"mapSmall": {"k\\n": {"a": 1}}}', 'mapSmall["k\n"].a', "is not known"),
        ('{"ofInt32": 1, "ofInt32": 1}', "ofInt32", "is given twice"),
        ('{"manySmall": [{"size": 1, "size": 2}]}', "manySmall[0].size", "is given twice"),
        ('{"byString": {"a": "", "a": ""}}', "byString.a", "is given twice"),
        ('{"ofStruct": {"b": {"a": 1, "a": 1}}}', "ofStruct.b.a", "is given twice"),
        ('{"ofValue": [{"a": 1, "\\u0061": 1}]}', "ofValue[0].a", "is given twice"),
        ('{"ofDecimal": {"value": "", "value": ""}}', "ofDecimal.value", "is given twice"),
        ('{"ofAny": {"@type": "", "@type": ""}}', "ofAny.@type", "is given twice"),
        ('{"byInt32": {"1": "", "1.0": ""}}', 'byInt32["1.0"]', "is given twice"),
        ('{"ofInt32": 1, "of_int32": 1}', "of_int32", "is given twice, by both of its names"),
        (
            '{"choiceInt32": 1, "choiceString": ""}',
            "choiceString",
            "is given with another field that it excludes",
        ),
        ('{"ofString": 1}', "ofString", "must be a string"),
        ('{"ofBool": "true"}', "ofBool", "must be true or false"),
        ('{"ofInt32": true}', "ofInt32", "must be an integer"),
        ('{"ofInt32": 1.5}', "ofInt32", "must be an integer"),
        ('{"ofInt32": 2147483648}', "ofInt32", "must be between -2147483648 and 2147483647"),
        ('{"ofUint32": -1}', "ofUint32", "must be between 0 and 4294967295"),
        ('{"manyInt32": [1, null]}', "manyInt32[1]", "must be an integer"),
        ('{"manyInt32": 1}', "manyInt32", "must be a list"),
        ('{"manySmall": [null]}', "manySmall[0]", "must be an object"),
        ('{"byString": []}', "byString", "must be an object"),
        ('{"byBool": {"True": ""}}', 'byBool["True"]', "must be true or false"),
        ('{"byInt32": {"a": ""}}', 'byInt32["a"]', "must be an integer"),
        ('{"mapString": {"a": null}}', 'mapString["a"]', "must be a string"),
        ('{"ofColor": "red"}', "ofColor", "must be one of"),
        ('{"ofBytes": "Q"}', "ofBytes", "must be in base64"),
        ('{"ofFloat": 1e39}', "ofFloat", "is out of the range of a float"),
        ('{"ofDouble": 1e309}', "ofDouble", "is out of the range of a double"),
        ('{"ofValue": {"a": [1e309]}}', "ofValue.a[0]", "is out of the range of a double"),
        ('{"ofTimestamp": 7}', "ofTimestamp", "must be a time such as"),
        ('{"ofTimestamp": "2026-02-30T00:00:00Z"}', "ofTimestamp", "is no time that there is"),
        ('{"ofTimestamp": "2026-02-01T00:00:60Z"}', "ofTimestamp", "is no time that there is"),
        ('{"ofTimestamp": "2026-02-01T00:00:00+24:00"}', "ofTimestamp", "is no time that there is"),
        ('{"ofTimestamp": "0001-01-01T00:00:00+00:01"}', "ofTimestamp", "must be in the years"),
        ('{"ofDuration": "315576000001s"}', "ofDuration", "must be within 315576000000s"),
        ('{"ofDuration": 1}', "ofDuration", "must be a duration such as 1.5s"),
        ('{"ofFieldMask": "a_b"}', "ofFieldMask", "must be names in lowerCamelCase"),
        ('{"ofListValue": {}}', "ofListValue", "must be a list"),
        ('{"ofDecimal": true}', "ofDecimal", "must be a number, or its text"),
        ('{"ofEmpty": {"a": 1}}', "ofEmpty.a", "is not known"),
        ('{"ofAny": {"a": 1}}', "ofAny.@type", "must name its type"),
        ('{"ofAny": {"@type": "a/b.C"}}', "ofAny.@type", "is not a type that is known here"),
        (
            '{"ofAny": {"@type": "a/google.protobuf.Duration", "value": 1}}',
            "ofAny.value",
            "must be a duration such as 1.5s",
        ),
    ],
)
def test_path_and_reason(body: str, path: str, what: str) -> None:
    """A refusal names where it is, in the names that the caller wrote, and what is wrong."""
    found_path, found_what = refused(body)
    assert found_path == path
    assert found_what.startswith(what)


def test_all_unknown_members_are_named() -> None:
    """Of an object with several members that are not known, each is named, up to a number."""
    with pytest.raises(Invalid) as found:
        CODEC.decode(b'{"manySmall": [{"a": 1, "size": 2, "b.c": 3}]}', kinds()())
    paths = [path for path, _ in found.value.violations]
    assert paths == ["manySmall[0].a", "manySmall[0].b.c"]
    many = ", ".join(f'"{number}": 1' for number in range(99))
    with pytest.raises(Invalid) as found:
        CODEC.decode(f"{{{many}}}".encode(), kinds()())
    assert len(found.value.violations) == 20


def test_a_refusal_is_short() -> None:
    """A refusal repeats no value, and of a long name only its beginning."""
    path, what = refused(f'{{"{"n" * 10_000}": "4111111111111111"}}')
    assert len(path) < 100
    path, what = refused('{"ofInt32": "4111111111111111"}')
    assert "4111" not in path + what
    path, what = refused(f'{{"mapSmall": {{"{"n" * 10_000}": 1}}}}')
    assert len(path) < 100


@pytest.mark.parametrize("levels", [65, 200, 100_000])
def test_too_deep(levels: int) -> None:
    """What is nested more than 64 levels deep is refused, however deep it is."""
    for body in (
        '{"ofValue": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}",
        '{"ofKinds": ' * (levels - 1) + "{}" + "}" * (levels - 1),
    ):
        path, what = refused(body)
        assert path == ""
        assert "levels deep" in what


def test_deep_enough() -> None:
    """64 levels of messages are read; free values only as deep as the service can read them."""
    body = b'{"ofKinds": ' * 63 + b"{}" + b"}" * 63
    CODEC.decode(body, kinds()())
    message = kinds()()
    CODEC.decode(b'{"ofValue": ' + b'{"a": ' * 30 + b"1" + b"}" * 31, message)
    assert kinds().FromString(message.SerializeToString()) == message
    path, what = refused('{"ofValue": ' + '{"a": ' * 50 + "1" + "}" * 51)
    assert path == ""
    assert "than a service can read" in what


HUGE = {
    "exponent": "1e999999999",
    "below zero": "-1e999999999",
    "nearly zero": "1e-999999999",
    "zero": "0e999999999",
    "digits": "1" * 900_000,
    "fraction": "0." + "1" * 900_000,
    "an integer": "1." + "0" * 900_000,
    "exponent of exponents": "1e99999999999999999999",
    "exponent of digits": "1e" + "9" * 900_000,
}


@pytest.mark.parametrize("number", HUGE.values(), ids=HUGE)
@pytest.mark.parametrize("name", ["int64", "double", "float", "decimal", "value", "color"])
def test_huge_numbers_take_no_time(name: str, number: str) -> None:
    """A number of a million digits, or one that would have as many, is judged at once."""
    for form in (number, f'"{number}"'):
        start = time.process_time()
        with contextlib.suppress(Invalid):
            CODEC.decode(f'{{"of_{name}": {form}}}'.encode(), kinds()())
        assert time.process_time() - start < 1


@ANYTHING
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(body: bytes) -> None:
    """Any bytes are read or refused, and nothing else happens."""
    _read_or_refuse(body)


@ANYTHING
@given(documents(KINDS), st.data())
def test_spoiled_documents(text: str, data: st.DataObject) -> None:
    """A document with some of its bytes changed is read or refused, and nothing else happens."""
    body = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2)
            | st.sampled_from([b'"', b"\\", b"\\ud800", b"{", b"]", b"-", b"e"])
        )
    _read_or_refuse(bytes(body))


def _read_or_refuse(body: bytes) -> None:
    message = kinds()()
    try:
        CODEC.decode(body, message)
    except Invalid:
        return
    again = kinds()()
    CODEC.decode(CODEC.encode(message), again)
    assert again.SerializeToString(deterministic=True) == message.SerializeToString(
        deterministic=True
    )
