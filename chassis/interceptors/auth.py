"""Authentication, and whether what the caller may do opens the method."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import context as call_context
from chassis.access import Access
from chassis.errors import ScopeMissing, TokenMissing
from chassis.interceptors.around import AroundInterceptor, Call, Context
from chassis.tokens import Verifier

SCHEME = "bearer "


class AuthInterceptor(AroundInterceptor):
    """Lets a call pass if its token has one of the scopes of its method."""

    def __init__(self, verifier: Verifier, access: Access) -> None:
        """Check tokens with `verifier`, and what they open with `access`."""
        self._verifier = verifier
        self._access = access

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        if call.method in self._access.open_methods:
            yield
            return
        caller = self._verifier.verify(_token(call.context))
        call_context.set_caller(caller)
        scopes = self._access.scopes_of(call.method)
        if not any(caller.has(scope) for scope in scopes):
            raise ScopeMissing(scopes)
        yield


def _token(context: Context) -> str:
    value = dict(context.invocation_metadata() or ()).get("authorization", "")
    if not isinstance(value, str) or not value.lower().startswith(SCHEME):
        raise TokenMissing
    return value[len(SCHEME) :].strip()
