import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from holdfast.auth.v1 import access_pb2 as _access_pb2
from holdfast.booking.v1 import booking_pb2 as _booking_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Saga(_message.Message):
    __slots__ = ("booking_id", "booking_reference", "name", "state", "step", "direction", "tries", "refusals", "attempt", "owner", "leased_until", "began_at", "last_error", "timeline", "request_id", "trace_id", "booking")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Saga.State]
        RUNNING: _ClassVar[Saga.State]
        SUCCEEDED: _ClassVar[Saga.State]
        UNDONE: _ClassVar[Saga.State]
        NEEDS_ATTENTION: _ClassVar[Saga.State]
        SUPERSEDED: _ClassVar[Saga.State]
    STATE_UNSPECIFIED: Saga.State
    RUNNING: Saga.State
    SUCCEEDED: Saga.State
    UNDONE: Saga.State
    NEEDS_ATTENTION: Saga.State
    SUPERSEDED: Saga.State
    class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DIRECTION_UNSPECIFIED: _ClassVar[Saga.Direction]
        FORWARD: _ClassVar[Saga.Direction]
        BACKWARD: _ClassVar[Saga.Direction]
    DIRECTION_UNSPECIFIED: Saga.Direction
    FORWARD: Saga.Direction
    BACKWARD: Saga.Direction
    class StepRecord(_message.Message):
        __slots__ = ("step", "action", "attempt", "outcome", "detail", "began_at", "took")
        class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            OUTCOME_UNSPECIFIED: _ClassVar[Saga.StepRecord.Outcome]
            DONE: _ClassVar[Saga.StepRecord.Outcome]
            REFUSED: _ClassVar[Saga.StepRecord.Outcome]
            UNKNOWN: _ClassVar[Saga.StepRecord.Outcome]
            PENDING: _ClassVar[Saga.StepRecord.Outcome]
            GIVEN_UP: _ClassVar[Saga.StepRecord.Outcome]
            RESOLVED: _ClassVar[Saga.StepRecord.Outcome]
            RETRIED: _ClassVar[Saga.StepRecord.Outcome]
        OUTCOME_UNSPECIFIED: Saga.StepRecord.Outcome
        DONE: Saga.StepRecord.Outcome
        REFUSED: Saga.StepRecord.Outcome
        UNKNOWN: Saga.StepRecord.Outcome
        PENDING: Saga.StepRecord.Outcome
        GIVEN_UP: Saga.StepRecord.Outcome
        RESOLVED: Saga.StepRecord.Outcome
        RETRIED: Saga.StepRecord.Outcome
        STEP_FIELD_NUMBER: _ClassVar[int]
        ACTION_FIELD_NUMBER: _ClassVar[int]
        ATTEMPT_FIELD_NUMBER: _ClassVar[int]
        OUTCOME_FIELD_NUMBER: _ClassVar[int]
        DETAIL_FIELD_NUMBER: _ClassVar[int]
        BEGAN_AT_FIELD_NUMBER: _ClassVar[int]
        TOOK_FIELD_NUMBER: _ClassVar[int]
        step: str
        action: str
        attempt: int
        outcome: Saga.StepRecord.Outcome
        detail: str
        began_at: _timestamp_pb2.Timestamp
        took: _duration_pb2.Duration
        def __init__(self, step: _Optional[str] = ..., action: _Optional[str] = ..., attempt: _Optional[int] = ..., outcome: _Optional[_Union[Saga.StepRecord.Outcome, str]] = ..., detail: _Optional[str] = ..., began_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., took: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    BOOKING_ID_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    TRIES_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    LEASED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    BEGAN_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOKING_FIELD_NUMBER: _ClassVar[int]
    booking_id: int
    booking_reference: str
    name: str
    state: Saga.State
    step: str
    direction: Saga.Direction
    tries: int
    refusals: int
    attempt: int
    owner: str
    leased_until: _timestamp_pb2.Timestamp
    began_at: _timestamp_pb2.Timestamp
    last_error: str
    timeline: _containers.RepeatedCompositeFieldContainer[Saga.StepRecord]
    request_id: str
    trace_id: str
    booking: _booking_pb2.Booking
    def __init__(self, booking_id: _Optional[int] = ..., booking_reference: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[Saga.State, str]] = ..., step: _Optional[str] = ..., direction: _Optional[_Union[Saga.Direction, str]] = ..., tries: _Optional[int] = ..., refusals: _Optional[int] = ..., attempt: _Optional[int] = ..., owner: _Optional[str] = ..., leased_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., began_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_error: _Optional[str] = ..., timeline: _Optional[_Iterable[_Union[Saga.StepRecord, _Mapping]]] = ..., request_id: _Optional[str] = ..., trace_id: _Optional[str] = ..., booking: _Optional[_Union[_booking_pb2.Booking, _Mapping]] = ...) -> None: ...

class ListSagasRequest(_message.Message):
    __slots__ = ("state", "booking_reference", "page_size", "page_token")
    STATE_FIELD_NUMBER: _ClassVar[int]
    BOOKING_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    state: Saga.State
    booking_reference: str
    page_size: int
    page_token: str
    def __init__(self, state: _Optional[_Union[Saga.State, str]] = ..., booking_reference: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSagasResponse(_message.Message):
    __slots__ = ("sagas", "next_page_token")
    SAGAS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sagas: _containers.RepeatedCompositeFieldContainer[Saga]
    next_page_token: str
    def __init__(self, sagas: _Optional[_Iterable[_Union[Saga, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetSagaRequest(_message.Message):
    __slots__ = ("booking_id", "name")
    BOOKING_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    booking_id: int
    name: str
    def __init__(self, booking_id: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class RetrySagaRequest(_message.Message):
    __slots__ = ("booking_id", "name")
    BOOKING_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    booking_id: int
    name: str
    def __init__(self, booking_id: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class ResolveSagaRequest(_message.Message):
    __slots__ = ("booking_id", "name", "note")
    BOOKING_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    booking_id: int
    name: str
    note: str
    def __init__(self, booking_id: _Optional[int] = ..., name: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...
