"""The one place where an error becomes the answer of a call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from grpc_status import rpc_status

from chassis import context as call_context
from chassis.errors import DomainError, Internal
from chassis.interceptors.around import AroundInterceptor, Call, Context, refuse
from chassis.status import to_status

log = structlog.get_logger(__name__)


class ErrorInterceptor(AroundInterceptor):
    """Answers a DomainError with its status, and anything else with INTERNAL and no detail."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        try:
            yield
        except DomainError as error:
            await _abort(call.context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:
            log.exception("unexpected_error", method=call.method)
            await _abort(call.context, Internal(call_context.request_id.get()))


async def _abort(context: Context, error: DomainError) -> None:
    call_context.reason.set(error.reason)
    status: Any = rpc_status.to_status(to_status(error))
    trailing = (*(call_context.answer_metadata.get() or ()), *status.trailing_metadata)
    await refuse(context, status.code, status.details, trailing)
