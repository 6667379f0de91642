"""All methods of all our services, as the contracts have them: a new one is here by itself."""

from typing import Any

import protovalidate
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from holdfast.booking.v1 import booking_pb2, saga_pb2
from holdfast.inventory.v1 import inventory_pb2
from holdfast.payment.v1 import payment_pb2
from holdfast.privacy.v1 import privacy_pb2

from gateway import openapi
from gateway.codec import Codec
from gateway.comments import Comment, comments_of
from gateway.openapi_limits import is_required
from support.source import ROOT

FILES = FileDescriptorSet.FromString((ROOT / "gen/holdfast/descriptors.binpb").read_bytes()).file
COMMENTS = comments_of(FILES)
# To import them is to make them known.
KNOWN = (booking_pb2, saga_pb2, inventory_pb2, payment_pb2, privacy_pb2)


def _contracts() -> dict[str, list[ServiceDescriptor]]:
    found: dict[str, list[ServiceDescriptor]] = {}
    for file in FILES:
        for one in file.service:
            service = descriptor_pool.Default().FindServiceByName(f"{file.package}.{one.name}")
            found.setdefault(f"{file.package.split('.')[1]}_svc", []).append(service)
    # What each program serves of its own.
    everywhere = found.pop("privacy_svc")
    return {program: services + everywhere for program, services in found.items()}


# By the program that serves them.
CONTRACTS = _contracts()
METHODS: list[MethodDescriptor] = list(
    {
        method.full_name: method
        for services in CONTRACTS.values()
        for service in services
        for method in service.methods
    }.values()
)


def path_of(method: MethodDescriptor) -> str:
    """As gRPC names it on the wire."""
    return f"/{method.containing_service.full_name}/{method.name}"


def request_of(method: MethodDescriptor) -> Message:
    """The smallest request that keeps all rules: the example of the contract, or what is required.

    Where neither will do, give the message an `Example:` in its comment.
    """
    message: Message = GetMessageClass(method.input_type)()
    example = COMMENTS.get(method.input_type.full_name, Comment()).example
    if example is not None:
        Codec().decode(openapi.written(example), message)
    else:
        for field in filter(is_required, method.input_type.fields):
            value: Any = "x" if field.cpp_type == field.CPPTYPE_STRING else 1
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    protovalidate.validate(message)
    return message
