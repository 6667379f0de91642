import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.type import decimal_pb2 as _decimal_pb2
from holdfast.auth.v1 import access_pb2 as _access_pb2
from holdfast.errors.v1 import reason_pb2 as _reason_pb2
from holdfast.http.v1 import answers_pb2 as _answers_pb2
from holdfast.payment.v1 import payment_pb2 as _payment_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Booking(_message.Message):
    __slots__ = ("booking_id", "booking_reference", "event_id", "user_id", "seats", "total_amount", "currency", "status", "payment_id", "payment_status", "confirmed_at", "failure_reason", "failure_message", "created_at", "cancelled_at")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Booking.Status]
        PENDING: _ClassVar[Booking.Status]
        CONFIRMED: _ClassVar[Booking.Status]
        FAILED: _ClassVar[Booking.Status]
        CANCELLING: _ClassVar[Booking.Status]
        CANCELLED: _ClassVar[Booking.Status]
    STATUS_UNSPECIFIED: Booking.Status
    PENDING: Booking.Status
    CONFIRMED: Booking.Status
    FAILED: Booking.Status
    CANCELLING: Booking.Status
    CANCELLED: Booking.Status
    class BookedSeat(_message.Message):
        __slots__ = ("seat_number", "price", "reservation_id")
        SEAT_NUMBER_FIELD_NUMBER: _ClassVar[int]
        PRICE_FIELD_NUMBER: _ClassVar[int]
        RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
        seat_number: str
        price: _decimal_pb2.Decimal
        reservation_id: int
        def __init__(self, seat_number: _Optional[str] = ..., price: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., reservation_id: _Optional[int] = ...) -> None: ...
    BOOKING_ID_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_STATUS_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_AT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_AT_FIELD_NUMBER: _ClassVar[int]
    booking_id: int
    booking_reference: str
    event_id: int
    user_id: str
    seats: _containers.RepeatedCompositeFieldContainer[Booking.BookedSeat]
    total_amount: _decimal_pb2.Decimal
    currency: str
    status: Booking.Status
    payment_id: str
    payment_status: _payment_pb2.Payment.Status
    confirmed_at: _timestamp_pb2.Timestamp
    failure_reason: _reason_pb2.Reason
    failure_message: str
    created_at: _timestamp_pb2.Timestamp
    cancelled_at: _timestamp_pb2.Timestamp
    def __init__(self, booking_id: _Optional[int] = ..., booking_reference: _Optional[str] = ..., event_id: _Optional[int] = ..., user_id: _Optional[str] = ..., seats: _Optional[_Iterable[_Union[Booking.BookedSeat, _Mapping]]] = ..., total_amount: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., currency: _Optional[str] = ..., status: _Optional[_Union[Booking.Status, str]] = ..., payment_id: _Optional[str] = ..., payment_status: _Optional[_Union[_payment_pb2.Payment.Status, str]] = ..., confirmed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failure_reason: _Optional[_Union[_reason_pb2.Reason, str]] = ..., failure_message: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cancelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ConfirmBookingRequest(_message.Message):
    __slots__ = ("reservation_ids", "payment_method", "idempotency_key")
    RESERVATION_IDS_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    reservation_ids: _containers.RepeatedScalarFieldContainer[int]
    payment_method: _payment_pb2.PaymentMethod
    idempotency_key: str
    def __init__(self, reservation_ids: _Optional[_Iterable[int]] = ..., payment_method: _Optional[_Union[_payment_pb2.PaymentMethod, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ListMyBookingsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "booking_reference")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    booking_reference: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., booking_reference: _Optional[str] = ...) -> None: ...

class ListMyBookingsResponse(_message.Message):
    __slots__ = ("bookings", "next_page_token")
    BOOKINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bookings: _containers.RepeatedCompositeFieldContainer[Booking]
    next_page_token: str
    def __init__(self, bookings: _Optional[_Iterable[_Union[Booking, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListBookingsRequest(_message.Message):
    __slots__ = ("status", "page_size", "page_token")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    status: Booking.Status
    page_size: int
    page_token: str
    def __init__(self, status: _Optional[_Union[Booking.Status, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBookingsResponse(_message.Message):
    __slots__ = ("bookings", "next_page_token")
    BOOKINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    bookings: _containers.RepeatedCompositeFieldContainer[Booking]
    next_page_token: str
    def __init__(self, bookings: _Optional[_Iterable[_Union[Booking, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetBookingRequest(_message.Message):
    __slots__ = ("booking_id",)
    BOOKING_ID_FIELD_NUMBER: _ClassVar[int]
    booking_id: int
    def __init__(self, booking_id: _Optional[int] = ...) -> None: ...

class CancelBookingRequest(_message.Message):
    __slots__ = ("booking_id",)
    BOOKING_ID_FIELD_NUMBER: _ClassVar[int]
    booking_id: int
    def __init__(self, booking_id: _Optional[int] = ...) -> None: ...

class WatchBookingRequest(_message.Message):
    __slots__ = ("booking_id",)
    BOOKING_ID_FIELD_NUMBER: _ClassVar[int]
    booking_id: int
    def __init__(self, booking_id: _Optional[int] = ...) -> None: ...

class StreamBookingEventsRequest(_message.Message):
    __slots__ = ("cursor",)
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    def __init__(self, cursor: _Optional[str] = ...) -> None: ...

class BookingEvent(_message.Message):
    __slots__ = ("cursor", "type", "booking", "occurred_at")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[BookingEvent.Type]
        CONFIRMED: _ClassVar[BookingEvent.Type]
        FAILED: _ClassVar[BookingEvent.Type]
        CANCELLED: _ClassVar[BookingEvent.Type]
    TYPE_UNSPECIFIED: BookingEvent.Type
    CONFIRMED: BookingEvent.Type
    FAILED: BookingEvent.Type
    CANCELLED: BookingEvent.Type
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    BOOKING_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    type: BookingEvent.Type
    booking: Booking
    occurred_at: _timestamp_pb2.Timestamp
    def __init__(self, cursor: _Optional[str] = ..., type: _Optional[_Union[BookingEvent.Type, str]] = ..., booking: _Optional[_Union[Booking, _Mapping]] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
