from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
ANSWERS_FIELD_NUMBER: _ClassVar[int]
answers: _descriptor.FieldDescriptor

class Answers(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[AnswerRule]
    def __init__(self, rules: _Optional[_Iterable[_Union[AnswerRule, _Mapping]]] = ...) -> None: ...

class AnswerRule(_message.Message):
    __slots__ = ("code", "field", "value", "replayed", "location")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    code: int
    field: str
    value: str
    replayed: bool
    location: str
    def __init__(self, code: _Optional[int] = ..., field: _Optional[str] = ..., value: _Optional[str] = ..., replayed: _Optional[bool] = ..., location: _Optional[str] = ...) -> None: ...
