"""Errors on the wire: what goes in comes out again."""

import subprocess
import sys

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from chassis import errors
from chassis.status import ErrorInfo, from_rpc_error, to_status


def as_rpc_error(status: object) -> grpc.aio.AioRpcError:
    """What a client would catch."""
    sent = rpc_status.to_status(status)
    trailing = grpc.aio.Metadata(*sent.trailing_metadata)
    return grpc.aio.AioRpcError(sent.code, grpc.aio.Metadata(), trailing, sent.details)


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidField(("a", "is wrong"), ("b[1]", "is too")),
        errors.TokenExpired(),
        errors.ScopeMissing(frozenset({"b", "a"})),
        errors.IdempotencyKeyInUse(),
        errors.DependencyUnavailable("gone", {"what": "the database ☃"}),
        errors.Internal("7"),
    ],
    ids=lambda error: error.reason,
)
def test_an_error_survives_the_wire(error: errors.DomainError) -> None:
    """Code, reason, facts and text of an error can be read from its status."""
    assert from_rpc_error(as_rpc_error(to_status(error))) == ErrorInfo(
        grpc.StatusCode[error.kind.name], error.reason, error.metadata, error.message
    )


def test_details_are_sent_where_they_fit() -> None:
    """RetryInfo comes with what may be repeated, BadRequest with bad fields, and neither else."""

    def kinds(error: errors.DomainError) -> list[str]:
        return [detail.type_url.rsplit(".", 1)[1] for detail in to_status(error).details]

    assert kinds(errors.TokenMissing()) == ["ErrorInfo"]
    assert kinds(errors.Overloaded("busy")) == ["ErrorInfo", "RetryInfo"]
    assert kinds(errors.InvalidField(("a", "b"))) == ["ErrorInfo", "BadRequest"]


def test_the_same_refusal_is_the_same_bytes() -> None:
    """A refusal that is repeated by another process is what it was, byte for byte."""
    # In a process of its own each: a map has another order in each.
    script = (
        "from chassis import errors, status\n"
        "facts = {f'fact{number}': 'x' for number in range(20)}\n"
        "error = errors.DependencyUnavailable('no', facts)\n"
        "print(status.to_status(error).SerializeToString().hex())\n"
    )
    said = [subprocess.check_output([sys.executable, "-c", script]) for _ in range(2)]
    assert said[0] == said[1]


def test_the_delay_is_in_the_retry_info() -> None:
    """The delay before the same call is sent exactly."""
    info = error_details_pb2.RetryInfo()
    to_status(errors.IdempotencyKeyInUse()).details[1].Unpack(info)
    assert info.retry_delay.ToMilliseconds() == 1000


def test_an_answer_that_grpc_cut_has_no_reason() -> None:
    """Details that contradict the code, as when gRPC refuses our answer, are not read."""
    sent = rpc_status.to_status(to_status(errors.InvalidField(("a", "is wrong"))))
    trailing = grpc.aio.Metadata(*sent.trailing_metadata)
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    cut = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, "too large")
    assert from_rpc_error(cut) == ErrorInfo(code, "", {}, "too large")


def test_an_error_of_someone_else_has_no_reason() -> None:
    """A status without our ErrorInfo, such as a proxy's, has its code and no reason."""
    bare = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "no route"
    )
    assert from_rpc_error(bare) == ErrorInfo(grpc.StatusCode.UNAVAILABLE, "", {}, "no route")
