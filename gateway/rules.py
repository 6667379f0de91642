"""Where a method is reached: the rules of `google.api.http` in its contract."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor

from gateway.template import Template, TemplateError, parse

WHOLE = "*"


class RuleError(ValueError):
    """A rule of the contract cannot be followed; the text names the method."""


@dataclass(frozen=True)
class Binding:
    """One way to reach a method."""

    method: MethodDescriptor
    # Of HTTP, in capitals.
    verb: str
    template: Template
    # What the body is: a field of the request by its name, "*" for all that is not in the path,
    # or "" for none.
    body: str
    # What the answer is: a field of the response by its name, or "" for all of it.
    response_body: str


def bindings_of(service: ServiceDescriptor) -> list[Binding]:
    """The ways to reach the methods of a service, in the order of its contract.

    Raises:
        RuleError: a rule cannot be followed.
    """
    return [_binding(method, rule) for method in service.methods for rule in _rules(method)]


def _rules(method: MethodDescriptor) -> Iterator[HttpRule]:
    options = method.GetOptions()
    if options.HasExtension(annotations_pb2.http):
        rule = options.Extensions[annotations_pb2.http]
        yield rule
        yield from rule.additional_bindings


def _binding(method: MethodDescriptor, rule: HttpRule) -> Binding:
    verb, path = _pattern(method, rule)
    try:
        template = parse(path)
    except TemplateError as error:
        message = f"{method.full_name}: {error}"
        raise RuleError(message) from None
    binding = Binding(method, verb, template, rule.body, rule.response_body)
    _require_fields(binding)
    return binding


def _pattern(method: MethodDescriptor, rule: HttpRule) -> tuple[str, str]:
    kind = rule.WhichOneof("pattern")
    if kind is None:
        message = f"{method.full_name}: its rule has no path"
        raise RuleError(message)
    if kind == "custom":
        return rule.custom.kind.upper(), rule.custom.path
    return kind.upper(), getattr(rule, kind)


def _require_fields(binding: Binding) -> None:
    """Refuse what names fields that are not there: it could never be called."""
    request, response = binding.method.input_type, binding.method.output_type
    wanted: list[tuple[Descriptor, tuple[str, ...]]] = []
    if binding.body not in ("", WHOLE):
        wanted.append((request, (binding.body,)))
    if binding.response_body:
        wanted.append((response, (binding.response_body,)))
    wanted += [(request, one.field_path) for one in binding.template.variables]
    for message, path in wanted:
        present: Descriptor | None = message
        for name in path:
            field = None if present is None else present.fields_by_name.get(name)
            if field is None:
                text = f"{binding.method.full_name}: {message.name} has no field {'.'.join(path)}"
                raise RuleError(text)
            present = field.message_type
