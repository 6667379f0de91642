"""Path templates as OpenAPI has them: a parameter is one segment, and nothing else varies.

`/v1/{name=shelves/*/books/*}` is `/v1/shelves/{name.1}/books/{name.2}`; what `**` stands for is one
parameter that may hold slashes, which OpenAPI cannot say otherwise.
"""

from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.rules import Binding
from gateway.template import ANY, ONE, Variable

ANY_NOTE = "May hold several segments, with slashes between them."


@dataclass(frozen=True)
class Parameter:
    """A segment of the path that varies."""

    name: str
    # The field that it is the text of, or part of the text of; None: it goes nowhere.
    field: FieldDescriptor | None
    json_path: tuple[str, ...]
    # Whether it is all of the field.
    is_whole: bool
    note: str


@dataclass(frozen=True)
class Path:
    """A path with its parameters by name."""

    text: str
    parameters: tuple[Parameter, ...]


class Names:
    """Gives paths of one shape the same names, as OpenAPI demands."""

    def __init__(self) -> None:
        """Know no path yet."""
        self._known: dict[str, list[str]] = {}

    def of(self, binding: Binding) -> Path:
        """The path of a binding."""
        template = binding.template
        found = [
            _parameter(binding, index)
            for index, segment in enumerate(template.segments)
            if segment in (ONE, ANY)
        ]
        verb = f":{template.verb}" if template.verb else ""
        shape = (
            "/" + "/".join("{}" if one in (ONE, ANY) else one for one in template.segments) + verb
        )
        names = self._known.setdefault(shape, [one.name for one in found])
        named = tuple(
            Parameter(name, one.field, one.json_path, one.is_whole, one.note)
            for name, one in zip(names, found, strict=True)
        )
        return Path(shape.replace("{}", "{{{}}}").format(*names), named)


def _parameter(binding: Binding, index: int) -> Parameter:
    template = binding.template
    note = ANY_NOTE if template.segments[index] == ANY else ""
    variable = next((one for one in template.variables if _covers(one, index)), None)
    wild = [n for n, one in enumerate(template.segments) if one in (ONE, ANY)]
    if variable is None:
        return Parameter(f"segment.{wild.index(index) + 1}", None, (), is_whole=False, note=note)
    field, names = _field(binding, variable)
    inside = [n for n in wild if _covers(variable, n)]
    # The text of a field with literals in it is more than this segment.
    is_whole = variable.count in (None, 1) and variable.first == index
    name = ".".join(names)
    if len(inside) > 1:
        name += f".{inside.index(index) + 1}"
    return Parameter(name, field if is_whole else None, names, is_whole, note)


def _covers(variable: Variable, index: int) -> bool:
    last = None if variable.count is None else variable.first + variable.count
    return variable.first <= index and (last is None or index < last)


def _field(binding: Binding, variable: Variable) -> tuple[FieldDescriptor, tuple[str, ...]]:
    message: Descriptor | None = binding.method.input_type
    fields = []
    for name in variable.field_path:
        if message is not None:
            fields.append(message.fields_by_name[name])
            message = fields[-1].message_type
    return fields[-1], tuple(one.json_name for one in fields)
