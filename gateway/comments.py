"""What the contracts say in their comments: by the full name of what a comment stands at.

Descriptors in memory have no comments. A file of `protoc --descriptor_set_out
--include_source_info` has them; what a server reflects has none, and then nothing is said.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto

DECLARATIONS = {
    "service", "method", "message_type", "nested_type", "field", "enum_type", "value",
}  # fmt: skip
# An example is JSON, indented as Markdown has it, below a line that says so.
EXAMPLE = "Example:"
CODE_INDENT = "    "
LIST_ITEM = re.compile(r"[-*] |\d+\. ")
SENTENCE = re.compile(r"(.+?[.!?])(?:\s+|$)", re.DOTALL)


@dataclass(frozen=True)
class Comment:
    """A comment: Markdown without its line breaks, and the example in it."""

    text: str = ""
    # JSON, whose decimals are exact. None: there is none.
    example: Any = None

    @property
    def first(self) -> str:
        """Its first sentence, without the full stop."""
        match = SENTENCE.match(self.text)
        return (match[1] if match else self.text).rstrip(".")

    @property
    def rest(self) -> str:
        """What comes after the first sentence."""
        match = SENTENCE.match(self.text)
        return self.text[match.end() :] if match else ""


Comments = Mapping[str, Comment]
NONE: Comments = {}


def comments_of(files: Iterable[FileDescriptorProto]) -> Comments:
    """All comments of files. A value of an enum is named below the enum: `pkg.Enum.VALUE`."""
    return {name: _read(text) for file in files for name, text in _named(file)}


def _named(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        text = location.leading_comments or location.trailing_comments
        name = _name(file, list(location.path)) if text else ""
        if name:
            yield name, text


def _name(file: FileDescriptorProto, path: list[int]) -> str:
    """The full name of what a path of numbers and indices leads to, if that is declared."""
    names: list[str] = [file.package]
    node: Any = file
    # Each step is the number of a repeated field and an index.
    for number, index in zip(path[::2], path[1::2], strict=False):
        field = node.DESCRIPTOR.fields_by_number.get(number)
        if field is None or field.name not in DECLARATIONS:
            return ""
        node = getattr(node, field.name)[index]
        names.append(node.name)
    return ".".join(filter(None, names)) if path and len(path) % 2 == 0 else ""


def _read(text: str) -> Comment:
    lines = [line.removeprefix(" ").rstrip() for line in text.splitlines()]
    paragraphs: list[str] = []
    example = None
    for block in re.split(r"\n{2,}", "\n".join(lines).strip("\n")):
        if not block.startswith(CODE_INDENT):
            paragraphs.append(_unwrapped(block))
            continue
        found = _json(block) if paragraphs and paragraphs[-1] == EXAMPLE else None
        if found is None:
            paragraphs.append(block)
        else:
            paragraphs.pop()
            example = found
    return Comment("\n\n".join(paragraphs), example)


def _json(block: str) -> Any:
    """What JSON says, or None if it is none: others have examples of other things."""
    try:
        return json.loads(block, parse_float=Decimal)
    except ValueError:
        return None


def _unwrapped(block: str) -> str:
    """A paragraph in one line; each item of a list in its own."""
    lines: list[str] = []
    for line in block.split("\n"):
        if lines and not LIST_ITEM.match(line.lstrip()):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return "\n".join(lines)
