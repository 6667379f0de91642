"""Messages as JSON and back: proto3 JSON, with two differences that can be switched off.

Text is read by `json_text`, given to messages by `json_reading`, and made from messages by
`json_writing`; `wellknown` has the types that have a JSON form of their own.
"""

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.errors import Invalid
from gateway.json_reading import Readers
from gateway.json_scalars import Scalar
from gateway.json_text import Misfit, parse
from gateway.json_writing import Style, Writers
from gateway.wellknown import Unwritable

__all__ = ["Codec", "Style", "Unwritable"]


class Codec:
    """Reads and writes messages of any type; what it learns of a type, it keeps."""

    def __init__(self, style: Style = Style()) -> None:  # noqa: B008  Style is frozen
        """Write in this style. Reading follows it in the form of decimals only."""
        self._readers = Readers(decimal_as_numbers=style.decimal_as_numbers)
        self._writers = Writers(style)

    def decode(self, data: bytes, message: Message, /) -> None:
        """Set the fields that the JSON names; an empty body names none.

        Raises:
            Invalid: it is no JSON, or not of this message; with the path of what is wrong.
        """
        if not data:
            return
        try:
            text = parse(data)
            self._readers.fill(message, text.value)
            text.require_carriable(message)
        except Misfit as misfit:
            raise Invalid(*misfit.violations()) from None

    def decode_field(self, data: bytes, message: Message, field: FieldDescriptor) -> None:
        """Set one field to what the JSON is; an empty body leaves it as it is.

        Raises:
            Invalid: as for `decode`; the path begins with the field.
        """
        if not data:
            return
        try:
            text = parse(data)
            self._readers.fill_field(message, field, text.value)
            text.require_carriable(message)
        except Misfit as misfit:
            raise Invalid(*misfit.violations()) from None

    def encode(self, message: Message) -> bytes:
        """Write a message.

        Raises:
            Unwritable: it holds what has no JSON form, such as a time after the year 9999.
        """
        return self._writers.encode(message)

    def encode_field(self, message: Message, field: FieldDescriptor) -> bytes:
        """Write one field of a message; `null` when it is absent.

        Raises:
            Unwritable: as for `encode`.
        """
        return self._writers.encode_field(message, field)

    def scalar(self, field: FieldDescriptor, text: str, path: str = "") -> Scalar:
        """What a field that is no message, or one value of it, is as text in a path or a query.

        Raises:
            Invalid: it cannot be that; named by `path`, or by the field's own JSON name.
        """
        try:
            return self._readers.scalar(field, text)
        except Misfit as misfit:
            raise Invalid((path or field.json_name, misfit.what)) from None

    def set_text(self, message: Message, field: FieldDescriptor, text: str, path: str = "") -> None:
        """Set a field from text in a path or a query; add it to a repeated one.

        Times, durations, field masks, wrappers and decimals have a text, other messages have none.

        Raises:
            Invalid: as for `scalar`.
        """
        try:
            self._readers.set_text(message, field, text)
        except Misfit as misfit:
            raise Invalid((path or field.json_name, misfit.what)) from None
