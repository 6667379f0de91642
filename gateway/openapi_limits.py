"""The rules of protovalidate, as far as JSON Schema can say them."""

import re
from collections.abc import Mapping
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

Schema = dict[str, Any]

LENGTHS = {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"}
NUMBERS = {
    "gt": "exclusiveMinimum",
    "gte": "minimum",
    "lt": "exclusiveMaximum",
    "lte": "maximum",
}
ITEMS = {"min_items": "minItems", "max_items": "maxItems"}
PAIRS = {"min_pairs": "minProperties", "max_pairs": "maxProperties"}
KEYWORDS = {"string": LENGTHS, "repeated": ITEMS, "map": PAIRS}
FORMATS = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
NUMERIC = {
    "float", "double", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32",
    "fixed64", "sfixed32", "sfixed64",
}  # fmt: skip


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    """What the contract demands of a field; empty if it demands nothing."""
    options: Any = field.GetOptions()
    rules: validate_pb2.FieldRules = options.Extensions[validate_pb2.field]
    never = rules.ignore == validate_pb2.IGNORE_ALWAYS
    return validate_pb2.FieldRules() if never else rules


def limits(rules: validate_pb2.FieldRules) -> Schema:
    """The keywords that say the same."""
    kind = rules.WhichOneof("type")
    if kind is None:
        return {}
    demanded = getattr(rules, kind)
    if kind in NUMERIC:
        return _range(demanded)
    found = _named(demanded, KEYWORDS.get(kind, {}))
    if kind == "string":
        found |= _string(demanded)
    if kind == "repeated" and demanded.unique:
        found["uniqueItems"] = True
    return found


def is_required(field: FieldDescriptor) -> bool:
    """Whether a message without the field is refused.

    So it is if the contract says so, and if the value that stands for an absent field breaks a
    rule.
    """
    rules = rules_of(field)
    if rules.required:
        return True
    if field.has_presence or rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
        return False
    return _refuses_nothing(limits(rules))


def in_words(rules: validate_pb2.FieldRules | validate_pb2.MessageRules) -> list[str]:
    """The rules that only words can say."""
    return [f"Rule: {one.message}." for one in rules.cel if one.message]


def message_rules(message: Descriptor) -> validate_pb2.MessageRules:
    """What the contract demands of a message as a whole."""
    options: Any = message.GetOptions()
    rules: validate_pb2.MessageRules = options.Extensions[validate_pb2.message]
    return rules


def _named(demanded: Any, keywords: Mapping[str, str]) -> Schema:
    return {
        keyword: getattr(demanded, name)
        for name, keyword in keywords.items()
        if demanded.HasField(name)
    }


def _range(demanded: Any) -> Schema:
    found = _named(demanded, NUMBERS) | _choice(demanded)
    low = found.get("minimum", found.get("exclusiveMinimum"))
    high = found.get("maximum", found.get("exclusiveMaximum"))
    # Turned round it means all but what lies between, which has no keyword.
    if low is not None and high is not None and high < low:
        return _choice(demanded)
    return found


def _string(demanded: Any) -> Schema:
    found = _choice(demanded)
    if demanded.HasField("len"):
        found |= {"minLength": demanded.len, "maxLength": demanded.len}
    known = demanded.WhichOneof("well_known")
    if known in FORMATS:
        found["format"] = FORMATS[known]
    return found


def _choice(demanded: Any) -> Schema:
    allowed = list(getattr(demanded, "in"))
    if demanded.HasField("const"):
        allowed = [demanded.const]
    return {"enum": allowed} if allowed else {}


def _refuses_nothing(found: Schema) -> bool:
    """Whether the empty text, list or map, or the number 0, is refused."""
    return (
        any(found.get(one, 0) > 0 for one in ("minLength", "minItems", "minProperties", "minimum"))
        or found.get("exclusiveMinimum", -1) >= 0
        or found.get("maximum", 0) < 0
        or found.get("exclusiveMaximum", 1) <= 0
        or "format" in found
        or not _matches_nothing(found.get("pattern", ""))
        or not {"", 0} & set(found.get("enum", [0]))
    )


def _matches_nothing(pattern: str) -> bool:
    try:
        return re.search(pattern, "") is not None
    except re.error:
        return True
