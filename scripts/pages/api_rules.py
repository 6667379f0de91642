"""The rules of protovalidate in a few words, for a cell of a table."""

from collections.abc import Iterator

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

from gateway.openapi_limits import Schema, in_words, is_required, limits, rules_of

NANOS = 1_000_000_000
COMMAS_FROM = 10_000


def rules_in_words(field: FieldDescriptor) -> str:
    """All of a field; empty if there is none."""
    rules = rules_of(field)
    said = ["required"] if is_required(field) else []
    if rules.ignore == validate_pb2.IGNORE_IF_ZERO_VALUE:
        said.append("if it is set")
    said += [*_limits(limits(rules)), *_of_duration(rules)]
    said += [f"each {one}" for one in _limits(limits(rules.repeated.items))]
    if rules.enum.defined_only:
        said.append("one of its values")
    return "; ".join([*said, *in_words(rules)])


def _limits(found: Schema) -> Iterator[str]:
    for unit, low, high in (
        ("characters", "minLength", "maxLength"),
        ("items", "minItems", "maxItems"),
        ("", "minimum", "maximum"),
    ):
        if low in found or high in found:
            yield _between(found.get(low), found.get(high), unit)
    if "exclusiveMinimum" in found:
        yield f"more than {_number(found['exclusiveMinimum'])}"
    if "exclusiveMaximum" in found:
        yield f"less than {_number(found['exclusiveMaximum'])}"
    if found.get("uniqueItems"):
        yield "no two alike"
    if "pattern" in found:
        yield f"matches `{found['pattern']}`"


def _between(low: int | None, high: int | None, unit: str) -> str:
    said = f"at least {_number(low)}" if high is None else f"at most {_number(high)}"
    if low is not None and high is not None:
        said = f"{_number(low)} to {_number(high)}"
    return f"{said} {unit}".rstrip()


def _number(value: float | None) -> str:
    """With commas where it is long; a year has none."""
    return f"{value:,}" if abs(value or 0) >= COMMAS_FROM else str(value)


def _of_duration(rules: validate_pb2.FieldRules) -> Iterator[str]:
    if rules.duration.HasField("gte"):
        least = rules.duration.gte
        yield f"at least {least.seconds + least.nanos / NANOS:g} s"
