"""Every error that the services know is one that the contract knows."""

import re

import pytest
from holdfast.errors.v1 import reason_pb2
from support.source import ROOT, SERVICES, modules

from chassis.errors import DomainError, Kind

CONTRACT = ROOT / "protos/holdfast/errors/v1/reason.proto"
for package in ("chassis", *SERVICES):
    modules(package)


def below(error: type[DomainError]) -> list[type[DomainError]]:
    """All subclasses that can be raised; a name with an underscore is a base of others."""
    found = [one for child in error.__subclasses__() for one in (child, *below(child))]
    return [one for one in found if not one.__name__.startswith("_")]


ERRORS = sorted(set(below(DomainError)), key=lambda error: f"{error.__module__}.{error.__name__}")


def documented_kinds() -> dict[str, str]:
    """Reason → gRPC code, as the comments of the contract say."""
    comment = r"// `([A-Z_]+)`:(?:[^\n]*\n  //)*[^\n]*\n  ([A-Z_]+) = \d+;"
    return {reason: code for code, reason in re.findall(comment, CONTRACT.read_text())}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.__module__}.{error.__name__}")
def test_an_error_has_a_reason_of_the_contract(error: type[DomainError]) -> None:
    """Each error names a reason of the contract, and the gRPC code that the contract gives it."""
    assert isinstance(error.kind, Kind)
    assert error.reason in reason_pb2.Reason.keys()  # noqa: SIM118 - an enum is no mapping
    assert error.kind.name == documented_kinds()[error.reason]


def test_every_reason_says_its_code() -> None:
    """The comment of every reason begins with its gRPC code."""
    reasons = set(reason_pb2.Reason.keys()) - {"REASON_UNSPECIFIED"}
    assert documented_kinds().keys() == reasons
    assert set(documented_kinds().values()) <= set(Kind.__members__)


def test_every_reason_is_used() -> None:
    """The contract has no reason that no error gives."""
    reasons = set(reason_pb2.Reason.keys()) - {"REASON_UNSPECIFIED"}
    assert reasons == {error.reason for error in ERRORS}
