"""The contracts that the gateway serves: its own file, another one, or what a server reflects."""

from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from chassis.tls import Tls, open_blocking

REFLECTION_TIMEOUT_S = 5.0
# A proxy for the way out is none for the way to a service.
DIRECTLY = (("grpc.enable_http_proxy", 0),)


class ContractError(Exception):
    """The contracts cannot be had, or lack a service; the text says which."""


@dataclass(frozen=True)
class Contracts:
    """Services by their names, and the files that they stand in, with comments if there are any."""

    services: dict[str, ServiceDescriptor]
    files: dict[str, FileDescriptorProto]


def from_file(path: Path, names: list[str]) -> Contracts:
    """The services of a file that `protoc --descriptor_set_out --include_imports` writes.

    Raises:
        ContractError: there is no such file, it is none, or it lacks one of the services.
    """
    try:
        found = FileDescriptorSet.FromString(path.read_bytes())
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise ContractError(message) from None
    except DecodeError:
        message = f"{path} is no FileDescriptorSet; make it with protoc --descriptor_set_out"
        raise ContractError(message) from None
    pool = descriptor_pool.DescriptorPool()
    for one in found.file:
        _add(pool, one, path)
    return Contracts(
        {name: _service(pool, name, str(path)) for name in names},
        {one.name: one for one in found.file},
    )


def from_reflection(targets: dict[str, str], tls: Tls) -> Contracts:
    """The services of running servers, each by its name and its target.

    Raises:
        ContractError: a server does not answer, or does not reflect its service.
    """
    services = {}
    for name, target in targets.items():
        with open_blocking(target, DIRECTLY, tls.files) as channel:
            pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
            try:
                # A server that accepts and says nothing would be waited for without end.
                grpc.channel_ready_future(channel).result(timeout=REFLECTION_TIMEOUT_S)
                services[name] = _service(pool, name, target)
            except grpc.FutureTimeoutError:
                message = f"{target} does not reflect {name}: it does not answer"
                raise ContractError(message) from None
            except grpc.RpcError as error:
                message = f"{target} does not reflect {name}: {error.code().name}"
                raise ContractError(message) from None
    return Contracts(services, {})


def _add(pool: descriptor_pool.DescriptorPool, file: FileDescriptorProto, path: Path) -> None:
    try:
        pool.AddSerializedFile(file.SerializeToString())
    except TypeError as error:
        message = f"{path}: {file.name}: {error}; make it with --include_imports"
        raise ContractError(message) from None


def _service(pool: descriptor_pool.DescriptorPool, name: str, where: str) -> ServiceDescriptor:
    try:
        return pool.FindServiceByName(name)
    except KeyError:
        message = f"{where} has no service {name}"
        raise ContractError(message) from None
