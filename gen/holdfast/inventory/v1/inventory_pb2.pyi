import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.type import decimal_pb2 as _decimal_pb2
from holdfast.auth.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("event_id", "name", "currency", "seat_count", "created_at")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    SEAT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    name: str
    currency: str
    seat_count: int
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[int] = ..., name: _Optional[str] = ..., currency: _Optional[str] = ..., seat_count: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Seat(_message.Message):
    __slots__ = ("seat_id", "seat_number", "price", "status")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Seat.Status]
        AVAILABLE: _ClassVar[Seat.Status]
        HELD: _ClassVar[Seat.Status]
        BOOKED: _ClassVar[Seat.Status]
    STATUS_UNSPECIFIED: Seat.Status
    AVAILABLE: Seat.Status
    HELD: Seat.Status
    BOOKED: Seat.Status
    SEAT_ID_FIELD_NUMBER: _ClassVar[int]
    SEAT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    seat_id: int
    seat_number: str
    price: _decimal_pb2.Decimal
    status: Seat.Status
    def __init__(self, seat_id: _Optional[int] = ..., seat_number: _Optional[str] = ..., price: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., status: _Optional[_Union[Seat.Status, str]] = ...) -> None: ...

class Reservation(_message.Message):
    __slots__ = ("reservation_id", "event_id", "user_id", "status", "expires_at", "seat", "currency", "booking_reference", "created_at", "confirmed_at", "ended_at")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Reservation.Status]
        ACTIVE: _ClassVar[Reservation.Status]
        CONFIRMED: _ClassVar[Reservation.Status]
        CANCELLED: _ClassVar[Reservation.Status]
        EXPIRED: _ClassVar[Reservation.Status]
    STATUS_UNSPECIFIED: Reservation.Status
    ACTIVE: Reservation.Status
    CONFIRMED: Reservation.Status
    CANCELLED: Reservation.Status
    EXPIRED: Reservation.Status
    class ReservedSeat(_message.Message):
        __slots__ = ("seat_id", "seat_number", "price")
        SEAT_ID_FIELD_NUMBER: _ClassVar[int]
        SEAT_NUMBER_FIELD_NUMBER: _ClassVar[int]
        PRICE_FIELD_NUMBER: _ClassVar[int]
        seat_id: int
        seat_number: str
        price: _decimal_pb2.Decimal
        def __init__(self, seat_id: _Optional[int] = ..., seat_number: _Optional[str] = ..., price: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ...) -> None: ...
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    SEAT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    reservation_id: int
    event_id: int
    user_id: str
    status: Reservation.Status
    expires_at: _timestamp_pb2.Timestamp
    seat: Reservation.ReservedSeat
    currency: str
    booking_reference: str
    created_at: _timestamp_pb2.Timestamp
    confirmed_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    def __init__(self, reservation_id: _Optional[int] = ..., event_id: _Optional[int] = ..., user_id: _Optional[str] = ..., status: _Optional[_Union[Reservation.Status, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., seat: _Optional[_Union[Reservation.ReservedSeat, _Mapping]] = ..., currency: _Optional[str] = ..., booking_reference: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., confirmed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateEventRequest(_message.Message):
    __slots__ = ("name", "currency", "seats", "idempotency_key")
    class NewSeat(_message.Message):
        __slots__ = ("seat_number", "price")
        SEAT_NUMBER_FIELD_NUMBER: _ClassVar[int]
        PRICE_FIELD_NUMBER: _ClassVar[int]
        seat_number: str
        price: _decimal_pb2.Decimal
        def __init__(self, seat_number: _Optional[str] = ..., price: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    SEATS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    currency: str
    seats: _containers.RepeatedCompositeFieldContainer[CreateEventRequest.NewSeat]
    idempotency_key: str
    def __init__(self, name: _Optional[str] = ..., currency: _Optional[str] = ..., seats: _Optional[_Iterable[_Union[CreateEventRequest.NewSeat, _Mapping]]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListSeatsRequest(_message.Message):
    __slots__ = ("event_id", "page_size", "page_token")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    page_size: int
    page_token: str
    def __init__(self, event_id: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSeatsResponse(_message.Message):
    __slots__ = ("seats", "next_page_token", "currency")
    SEATS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    seats: _containers.RepeatedCompositeFieldContainer[Seat]
    next_page_token: str
    currency: str
    def __init__(self, seats: _Optional[_Iterable[_Union[Seat, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., currency: _Optional[str] = ...) -> None: ...

class ReserveSeatsRequest(_message.Message):
    __slots__ = ("event_id", "seat_numbers", "ttl", "idempotency_key")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SEAT_NUMBERS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    event_id: int
    seat_numbers: _containers.RepeatedScalarFieldContainer[str]
    ttl: _duration_pb2.Duration
    idempotency_key: str
    def __init__(self, event_id: _Optional[int] = ..., seat_numbers: _Optional[_Iterable[str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class ReserveSeatsResponse(_message.Message):
    __slots__ = ("reservations",)
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[Reservation]
    def __init__(self, reservations: _Optional[_Iterable[_Union[Reservation, _Mapping]]] = ...) -> None: ...

class GetReservationsRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class GetReservationsResponse(_message.Message):
    __slots__ = ("reservations",)
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[Reservation]
    def __init__(self, reservations: _Optional[_Iterable[_Union[Reservation, _Mapping]]] = ...) -> None: ...

class ExtendReservationsRequest(_message.Message):
    __slots__ = ("reservation_ids", "ttl")
    RESERVATION_IDS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    reservation_ids: _containers.RepeatedScalarFieldContainer[int]
    ttl: _duration_pb2.Duration
    def __init__(self, reservation_ids: _Optional[_Iterable[int]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ExtendReservationsResponse(_message.Message):
    __slots__ = ("reservations",)
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[Reservation]
    def __init__(self, reservations: _Optional[_Iterable[_Union[Reservation, _Mapping]]] = ...) -> None: ...

class ConfirmReservationsRequest(_message.Message):
    __slots__ = ("reservation_ids", "booking_reference", "retake_expired")
    RESERVATION_IDS_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RETAKE_EXPIRED_FIELD_NUMBER: _ClassVar[int]
    reservation_ids: _containers.RepeatedScalarFieldContainer[int]
    booking_reference: str
    retake_expired: bool
    def __init__(self, reservation_ids: _Optional[_Iterable[int]] = ..., booking_reference: _Optional[str] = ..., retake_expired: _Optional[bool] = ...) -> None: ...

class ConfirmReservationsResponse(_message.Message):
    __slots__ = ("reservations",)
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[Reservation]
    def __init__(self, reservations: _Optional[_Iterable[_Union[Reservation, _Mapping]]] = ...) -> None: ...

class CancelReservationsRequest(_message.Message):
    __slots__ = ("reservation_ids", "booking_reference")
    RESERVATION_IDS_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reservation_ids: _containers.RepeatedScalarFieldContainer[int]
    booking_reference: str
    def __init__(self, reservation_ids: _Optional[_Iterable[int]] = ..., booking_reference: _Optional[str] = ...) -> None: ...

class CancelReservationsResponse(_message.Message):
    __slots__ = ("reservations",)
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[Reservation]
    def __init__(self, reservations: _Optional[_Iterable[_Union[Reservation, _Mapping]]] = ...) -> None: ...
