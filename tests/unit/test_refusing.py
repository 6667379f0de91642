"""Calls that are ended with an error."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc._cython.cygrpc import ExecuteBatchError

from chassis.interceptors.around import refuse


class Over:
    """The context of a call that gRPC itself has ended, as for a message that is too large."""

    async def abort(self, *_: Any) -> None:
        batch = "SendStatusFromServer"
        raise ExecuteBatchError(batch, ())


async def test_a_call_that_is_over() -> None:
    """A call that was over when it was to be refused is one that was cancelled, and no fault."""
    context: Any = Over()
    with pytest.raises(asyncio.CancelledError):
        await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "did not come")
