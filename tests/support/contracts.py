"""Contracts that a test writes itself."""

from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_tools import protoc

from gateway import descriptors
from gateway.rules import Binding, bindings_of
from support.source import ROOT

HEAD = """\
syntax = "proto3";
package shop.v1;
"""
IMPORTS = (
    "buf/validate/validate.proto",
    "google/api/annotations.proto",
    "google/api/httpbody.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/wrappers.proto",
    "google/type/decimal.proto",
    "holdfast/auth/v1/access.proto",
    "holdfast/http/v1/answers.proto",
)


@dataclass(frozen=True)
class Contract:
    """The service `shop.v1.Shop`, as the gateway knows it."""

    bindings: list[Binding]
    files: dict[str, FileDescriptorProto]


def compiled(folder: Path, text: str) -> Contract:
    """A contract, of what stands below its imports."""
    imports = "".join(f'import "{one}";\n' for one in IMPORTS)
    (folder / "shop.proto").write_text(HEAD + imports + text)
    out = folder / "shop.binpb"
    places = [folder, *(ROOT / one for one in ("protos", "third_party/googleapis"))]
    places.append(ROOT / "third_party/protovalidate")
    includes = [f"-I{one}" for one in places]
    flags = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
    bundled = Path(protoc.__file__).with_name("_proto")
    assert protoc.main(["", *includes, f"-I{bundled}", *flags, "shop.proto"]) == 0
    contracts = descriptors.from_file(out, ["shop.v1.Shop"])
    return Contract(bindings_of(contracts.services["shop.v1.Shop"]), contracts.files)
