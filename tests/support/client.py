"""Calls as a user makes them, and what a refusal says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from chassis.status import ErrorInfo, from_rpc_error
from support.tokens import metadata_for

TIMEOUT_S = 60.0


class As:
    """A stub as one user: `As(stub, "ann").GetSeats(request)` carries Ann's token.

    Works with stubs of `grpc` and of `grpc.aio`. `idempotency_key=` and other keywords
    become metadata.
    """

    def __init__(self, stub: Any, user_id: str, scope: str = "bookings") -> None:
        self._stub = stub
        self._user_id = user_id
        self._scope = scope

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(request: Message, *, timeout: float = TIMEOUT_S, **metadata: str) -> Any:
            pairs = metadata_for(self._user_id, self._scope, **metadata)
            return getattr(self._stub, method)(request, timeout=timeout, metadata=pairs)

        return call


@contextmanager
def refused(reason: str, **facts: str) -> Iterator[list[ErrorInfo]]:
    """Expect the block to be refused for a reason, with these facts among its metadata.

    Gives a list to which what the refusal said is added.
    """
    said: list[ErrorInfo] = []
    with pytest.raises(grpc.RpcError) as caught:
        yield said
    info = from_rpc_error(caught.value)
    assert info.reason == reason, info
    assert facts.items() <= info.metadata.items()
    said.append(info)


async def replayed(call: Any) -> bool:
    """Whether a call's answer says that it was given before."""
    await call
    return ("idempotent-replayed", "true") in tuple(await call.trailing_metadata())


def reason_of(error: grpc.RpcError) -> str:
    """The reason of a failed call; empty if it is not one of ours."""
    return from_rpc_error(error).reason


def bad_fields(error: grpc.RpcError) -> dict[str, str]:
    """Field → what is wrong with it, of a failed call's BadRequest detail."""
    bad = error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(bad)
    return {one.field: one.description for one in bad.field_violations}
