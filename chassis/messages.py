"""The well-known messages that all contracts use, from and to our own values."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal

from chassis import money
from chassis.cards import Card, Method, Token


def decimal(minor: int, currency: str) -> Decimal:
    """Minor units as a decimal with all decimals of the currency."""
    return Decimal(value=money.to_text(minor, currency))


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment as a message; none stays none, and so an absent field."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def seconds(duration: Duration) -> float:
    """A duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def duration(length_s: float) -> Duration:
    """Seconds as a duration, to the millisecond."""
    message = Duration()
    message.FromMilliseconds(round(length_s * 1000))
    return message


def struct(
    fields: Mapping[str, Any], stored: Callable[[bytes], Message] = Struct.FromString
) -> Struct:
    """A row of a table as a message, with stored messages as objects, as `stored` reads them."""
    message = Struct()
    message.update({name: _plain(value, stored) for name, value in fields.items()})
    return message


def _plain(value: Any, stored: Callable[[bytes], Message]) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return json_format.MessageToDict(stored(value)) if isinstance(value, bytes) else value


def payment_method(message: Any) -> Method:
    """The means of payment that a `holdfast.payment.v1.PaymentMethod` gives: a card or a token."""
    type_ = message.Type.Name(message.type)
    if message.token:
        return Token(type_, message.token)
    return Card(
        type=type_,
        number=message.card_number,
        expiry_month=message.expiry_month,
        expiry_year=message.expiry_year,
        cvv=message.cvv,
    )
