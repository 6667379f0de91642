"""The contracts as the pages read them: descriptors, with the comments that belong to them."""

from pathlib import Path

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import descriptors
from gateway.comments import Comments, comments_of

PATH = Path(__file__).parents[2] / "gen/holdfast/descriptors.binpb"


def read() -> tuple[list[ServiceDescriptor], Comments]:
    """All services in the order of their files, and all comments."""
    files = FileDescriptorSet.FromString(PATH.read_bytes()).file
    names = [f"{file.package}.{one.name}" for file in files for one in file.service]
    return list(descriptors.from_file(PATH, names).services.values()), comments_of(files)
