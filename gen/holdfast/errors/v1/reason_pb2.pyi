from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    INVALID_FIELD: _ClassVar[Reason]
    TOKEN_MISSING: _ClassVar[Reason]
    TOKEN_INVALID: _ClassVar[Reason]
    TOKEN_EXPIRED: _ClassVar[Reason]
    SCOPE_MISSING: _ClassVar[Reason]
    EVENT_NOT_FOUND: _ClassVar[Reason]
    RESERVATION_NOT_FOUND: _ClassVar[Reason]
    BOOKING_NOT_FOUND: _ClassVar[Reason]
    PAYMENT_NOT_FOUND: _ClassVar[Reason]
    SEAT_NOT_AVAILABLE: _ClassVar[Reason]
    RESERVATION_NOT_ACTIVE: _ClassVar[Reason]
    RESERVATION_EXPIRED: _ClassVar[Reason]
    RESERVATIONS_MIXED: _ClassVar[Reason]
    BOOKING_NOT_CANCELLABLE: _ClassVar[Reason]
    PAYMENT_NOT_REFUNDABLE: _ClassVar[Reason]
    REFUND_EXCEEDS_PAYMENT: _ClassVar[Reason]
    SEATS_LOST: _ClassVar[Reason]
    PAYMENT_FAILED: _ClassVar[Reason]
    IDEMPOTENCY_KEY_REQUIRED: _ClassVar[Reason]
    IDEMPOTENCY_KEY_INVALID: _ClassVar[Reason]
    IDEMPOTENCY_KEY_IN_USE: _ClassVar[Reason]
    IDEMPOTENCY_KEY_REUSED: _ClassVar[Reason]
    OVERLOADED: _ClassVar[Reason]
    DEPENDENCY_UNAVAILABLE: _ClassVar[Reason]
    DEADLINE_TOO_SHORT: _ClassVar[Reason]
    INTERNAL: _ClassVar[Reason]
    SAGA_NOT_FOUND: _ClassVar[Reason]
    SAGA_NOT_PARKED: _ClassVar[Reason]
    WEBHOOK_REFUSED: _ClassVar[Reason]
    CURSOR_EXPIRED: _ClassVar[Reason]
    USER_HAS_OPEN_BOOKINGS: _ClassVar[Reason]
REASON_UNSPECIFIED: Reason
INVALID_FIELD: Reason
TOKEN_MISSING: Reason
TOKEN_INVALID: Reason
TOKEN_EXPIRED: Reason
SCOPE_MISSING: Reason
EVENT_NOT_FOUND: Reason
RESERVATION_NOT_FOUND: Reason
BOOKING_NOT_FOUND: Reason
PAYMENT_NOT_FOUND: Reason
SEAT_NOT_AVAILABLE: Reason
RESERVATION_NOT_ACTIVE: Reason
RESERVATION_EXPIRED: Reason
RESERVATIONS_MIXED: Reason
BOOKING_NOT_CANCELLABLE: Reason
PAYMENT_NOT_REFUNDABLE: Reason
REFUND_EXCEEDS_PAYMENT: Reason
SEATS_LOST: Reason
PAYMENT_FAILED: Reason
IDEMPOTENCY_KEY_REQUIRED: Reason
IDEMPOTENCY_KEY_INVALID: Reason
IDEMPOTENCY_KEY_IN_USE: Reason
IDEMPOTENCY_KEY_REUSED: Reason
OVERLOADED: Reason
DEPENDENCY_UNAVAILABLE: Reason
DEADLINE_TOO_SHORT: Reason
INTERNAL: Reason
SAGA_NOT_FOUND: Reason
SAGA_NOT_PARKED: Reason
WEBHOOK_REFUSED: Reason
CURSOR_EXPIRED: Reason
USER_HAS_OPEN_BOOKINGS: Reason
