"""Authentication, and the table of which scope opens which method."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from chassis import context as call_context
from chassis.errors import ScopeMissing, TokenMissing
from chassis.interceptors.around import AroundInterceptor, Call, Context
from chassis.tokens import Verifier

SCHEME = "bearer "


class AuthInterceptor(AroundInterceptor):
    """Lets a call pass if its token has one of the scopes of its method."""

    def __init__(
        self,
        verifier: Verifier,
        scopes: Mapping[str, frozenset[str]],
        open_methods: frozenset[str] = frozenset(),
    ) -> None:
        """Check tokens with `verifier`; a method that `scopes` does not name needs `admin`.

        `open_methods` need no token: they check for themselves who calls.
        """
        self._verifier = verifier
        self._scopes = scopes
        self._open_methods = open_methods

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        if call.method in self._open_methods:
            yield
            return
        caller = self._verifier.verify(_token(call.context))
        call_context.set_caller(caller)
        scopes = self._scopes.get(call.method, frozenset())
        if not any(caller.has(scope) for scope in scopes | {call_context.ADMIN}):
            raise ScopeMissing(scopes or frozenset({call_context.ADMIN}))
        yield


def _token(context: Context) -> str:
    value = dict(context.invocation_metadata() or ()).get("authorization", "")
    if not isinstance(value, str) or not value.lower().startswith(SCHEME):
        raise TokenMissing
    return value[len(SCHEME) :].strip()
