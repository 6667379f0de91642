import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.type import decimal_pb2 as _decimal_pb2
from holdfast.auth.v1 import access_pb2 as _access_pb2
from holdfast.http.v1 import answers_pb2 as _answers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Payment(_message.Message):
    __slots__ = ("payment_id", "status", "amount", "currency", "transaction_id", "processed_at", "error_code", "error_message", "booking_reference", "user_id", "payment_method", "refunded_amount", "created_at", "refunds", "log")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Payment.Status]
        PENDING: _ClassVar[Payment.Status]
        SUCCESS: _ClassVar[Payment.Status]
        FAILED: _ClassVar[Payment.Status]
        REFUNDED: _ClassVar[Payment.Status]
        PARTIALLY_REFUNDED: _ClassVar[Payment.Status]
        CANCELLED: _ClassVar[Payment.Status]
    STATUS_UNSPECIFIED: Payment.Status
    PENDING: Payment.Status
    SUCCESS: Payment.Status
    FAILED: Payment.Status
    REFUNDED: Payment.Status
    PARTIALLY_REFUNDED: Payment.Status
    CANCELLED: Payment.Status
    class DeclineCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DECLINE_CODE_UNSPECIFIED: _ClassVar[Payment.DeclineCode]
        INSUFFICIENT_FUNDS: _ClassVar[Payment.DeclineCode]
        CARD_DECLINED: _ClassVar[Payment.DeclineCode]
        EXPIRED_CARD: _ClassVar[Payment.DeclineCode]
    DECLINE_CODE_UNSPECIFIED: Payment.DeclineCode
    INSUFFICIENT_FUNDS: Payment.DeclineCode
    CARD_DECLINED: Payment.DeclineCode
    EXPIRED_CARD: Payment.DeclineCode
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESSED_AT_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    REFUNDS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    status: Payment.Status
    amount: _decimal_pb2.Decimal
    currency: str
    transaction_id: str
    processed_at: _timestamp_pb2.Timestamp
    error_code: Payment.DeclineCode
    error_message: str
    booking_reference: str
    user_id: str
    payment_method: PaymentMethodSummary
    refunded_amount: _decimal_pb2.Decimal
    created_at: _timestamp_pb2.Timestamp
    refunds: _containers.RepeatedCompositeFieldContainer[Refund]
    log: _containers.RepeatedCompositeFieldContainer[PaymentLogEntry]
    def __init__(self, payment_id: _Optional[str] = ..., status: _Optional[_Union[Payment.Status, str]] = ..., amount: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., currency: _Optional[str] = ..., transaction_id: _Optional[str] = ..., processed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error_code: _Optional[_Union[Payment.DeclineCode, str]] = ..., error_message: _Optional[str] = ..., booking_reference: _Optional[str] = ..., user_id: _Optional[str] = ..., payment_method: _Optional[_Union[PaymentMethodSummary, _Mapping]] = ..., refunded_amount: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., refunds: _Optional[_Iterable[_Union[Refund, _Mapping]]] = ..., log: _Optional[_Iterable[_Union[PaymentLogEntry, _Mapping]]] = ...) -> None: ...

class PaymentLogEntry(_message.Message):
    __slots__ = ("happened_at", "actor", "action", "outcome", "detail", "refund_id", "status")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[PaymentLogEntry.Action]
        CHARGE: _ClassVar[PaymentLogEntry.Action]
        LOOKUP: _ClassVar[PaymentLogEntry.Action]
        VOID: _ClassVar[PaymentLogEntry.Action]
        REFUND: _ClassVar[PaymentLogEntry.Action]
        CANCEL: _ClassVar[PaymentLogEntry.Action]
        WEBHOOK: _ClassVar[PaymentLogEntry.Action]
    ACTION_UNSPECIFIED: PaymentLogEntry.Action
    CHARGE: PaymentLogEntry.Action
    LOOKUP: PaymentLogEntry.Action
    VOID: PaymentLogEntry.Action
    REFUND: PaymentLogEntry.Action
    CANCEL: PaymentLogEntry.Action
    WEBHOOK: PaymentLogEntry.Action
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[PaymentLogEntry.Outcome]
        ASKED: _ClassVar[PaymentLogEntry.Outcome]
        SUCCEEDED: _ClassVar[PaymentLogEntry.Outcome]
        PENDING: _ClassVar[PaymentLogEntry.Outcome]
        DECLINED: _ClassVar[PaymentLogEntry.Outcome]
        NOT_DONE: _ClassVar[PaymentLogEntry.Outcome]
        UNKNOWN: _ClassVar[PaymentLogEntry.Outcome]
    OUTCOME_UNSPECIFIED: PaymentLogEntry.Outcome
    ASKED: PaymentLogEntry.Outcome
    SUCCEEDED: PaymentLogEntry.Outcome
    PENDING: PaymentLogEntry.Outcome
    DECLINED: PaymentLogEntry.Outcome
    NOT_DONE: PaymentLogEntry.Outcome
    UNKNOWN: PaymentLogEntry.Outcome
    HAPPENED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    happened_at: _timestamp_pb2.Timestamp
    actor: str
    action: PaymentLogEntry.Action
    outcome: PaymentLogEntry.Outcome
    detail: str
    refund_id: str
    status: Payment.Status
    def __init__(self, happened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., action: _Optional[_Union[PaymentLogEntry.Action, str]] = ..., outcome: _Optional[_Union[PaymentLogEntry.Outcome, str]] = ..., detail: _Optional[str] = ..., refund_id: _Optional[str] = ..., status: _Optional[_Union[Payment.Status, str]] = ...) -> None: ...

class PaymentMethod(_message.Message):
    __slots__ = ("type", "card_number", "expiry_month", "expiry_year", "cvv", "token")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[PaymentMethod.Type]
        CREDIT_CARD: _ClassVar[PaymentMethod.Type]
        DEBIT_CARD: _ClassVar[PaymentMethod.Type]
    TYPE_UNSPECIFIED: PaymentMethod.Type
    CREDIT_CARD: PaymentMethod.Type
    DEBIT_CARD: PaymentMethod.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CARD_NUMBER_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_MONTH_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_YEAR_FIELD_NUMBER: _ClassVar[int]
    CVV_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    type: PaymentMethod.Type
    card_number: str
    expiry_month: int
    expiry_year: int
    cvv: str
    token: str
    def __init__(self, type: _Optional[_Union[PaymentMethod.Type, str]] = ..., card_number: _Optional[str] = ..., expiry_month: _Optional[int] = ..., expiry_year: _Optional[int] = ..., cvv: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class PaymentMethodSummary(_message.Message):
    __slots__ = ("type", "brand", "last_four")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    BRAND_FIELD_NUMBER: _ClassVar[int]
    LAST_FOUR_FIELD_NUMBER: _ClassVar[int]
    type: PaymentMethod.Type
    brand: str
    last_four: str
    def __init__(self, type: _Optional[_Union[PaymentMethod.Type, str]] = ..., brand: _Optional[str] = ..., last_four: _Optional[str] = ...) -> None: ...

class Refund(_message.Message):
    __slots__ = ("refund_id", "status", "refunded_amount", "currency", "payment_id", "reason", "created_at")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Refund.Status]
        PENDING: _ClassVar[Refund.Status]
        REFUNDED: _ClassVar[Refund.Status]
        FAILED: _ClassVar[Refund.Status]
    STATUS_UNSPECIFIED: Refund.Status
    PENDING: Refund.Status
    REFUNDED: Refund.Status
    FAILED: Refund.Status
    REFUND_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REFUNDED_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    refund_id: str
    status: Refund.Status
    refunded_amount: _decimal_pb2.Decimal
    currency: str
    payment_id: str
    reason: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, refund_id: _Optional[str] = ..., status: _Optional[_Union[Refund.Status, str]] = ..., refunded_amount: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., currency: _Optional[str] = ..., payment_id: _Optional[str] = ..., reason: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ProcessPaymentRequest(_message.Message):
    __slots__ = ("amount", "currency", "booking_reference", "user_id", "payment_method", "idempotency_key")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_METHOD_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    amount: _decimal_pb2.Decimal
    currency: str
    booking_reference: str
    user_id: str
    payment_method: PaymentMethod
    idempotency_key: str
    def __init__(self, amount: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., currency: _Optional[str] = ..., booking_reference: _Optional[str] = ..., user_id: _Optional[str] = ..., payment_method: _Optional[_Union[PaymentMethod, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class GetPaymentRequest(_message.Message):
    __slots__ = ("payment_id", "view")
    class View(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VIEW_UNSPECIFIED: _ClassVar[GetPaymentRequest.View]
        BASIC: _ClassVar[GetPaymentRequest.View]
        FULL: _ClassVar[GetPaymentRequest.View]
    VIEW_UNSPECIFIED: GetPaymentRequest.View
    BASIC: GetPaymentRequest.View
    FULL: GetPaymentRequest.View
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    view: GetPaymentRequest.View
    def __init__(self, payment_id: _Optional[str] = ..., view: _Optional[_Union[GetPaymentRequest.View, str]] = ...) -> None: ...

class ListPaymentsRequest(_message.Message):
    __slots__ = ("booking_reference", "page_size", "page_token")
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    booking_reference: str
    page_size: int
    page_token: str
    def __init__(self, booking_reference: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPaymentsResponse(_message.Message):
    __slots__ = ("payments", "next_page_token")
    PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    payments: _containers.RepeatedCompositeFieldContainer[Payment]
    next_page_token: str
    def __init__(self, payments: _Optional[_Iterable[_Union[Payment, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RefundPaymentRequest(_message.Message):
    __slots__ = ("payment_id", "amount", "reason", "idempotency_key")
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    payment_id: str
    amount: _decimal_pb2.Decimal
    reason: str
    idempotency_key: str
    def __init__(self, payment_id: _Optional[str] = ..., amount: _Optional[_Union[_decimal_pb2.Decimal, _Mapping]] = ..., reason: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CancelPaymentRequest(_message.Message):
    __slots__ = ("booking_reference", "reason", "idempotency_key")
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    booking_reference: str
    reason: str
    idempotency_key: str
    def __init__(self, booking_reference: _Optional[str] = ..., reason: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CancelPaymentResponse(_message.Message):
    __slots__ = ("payments",)
    PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    payments: _containers.RepeatedCompositeFieldContainer[Payment]
    def __init__(self, payments: _Optional[_Iterable[_Union[Payment, _Mapping]]] = ...) -> None: ...

class HandleWebhookRequest(_message.Message):
    __slots__ = ("provider", "body")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    provider: str
    body: _httpbody_pb2.HttpBody
    def __init__(self, provider: _Optional[str] = ..., body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class HandleWebhookResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTestCardsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTestCardsResponse(_message.Message):
    __slots__ = ("test_cards",)
    TEST_CARDS_FIELD_NUMBER: _ClassVar[int]
    test_cards: _containers.RepeatedCompositeFieldContainer[TestCard]
    def __init__(self, test_cards: _Optional[_Iterable[_Union[TestCard, _Mapping]]] = ...) -> None: ...

class TestCard(_message.Message):
    __slots__ = ("name", "card_number", "token", "description", "outcome")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CARD_NUMBER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    name: str
    card_number: str
    token: str
    description: str
    outcome: str
    def __init__(self, name: _Optional[str] = ..., card_number: _Optional[str] = ..., token: _Optional[str] = ..., description: _Optional[str] = ..., outcome: _Optional[str] = ...) -> None: ...

class StreamPaymentEventsRequest(_message.Message):
    __slots__ = ("cursor",)
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    def __init__(self, cursor: _Optional[str] = ...) -> None: ...

class PaymentEvent(_message.Message):
    __slots__ = ("cursor", "payment", "occurred_at")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    payment: Payment
    occurred_at: _timestamp_pb2.Timestamp
    def __init__(self, cursor: _Optional[str] = ..., payment: _Optional[_Union[Payment, _Mapping]] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
