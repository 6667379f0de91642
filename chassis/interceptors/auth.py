"""Authentication, and whether what the caller may do opens the method."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import context as call_context
from chassis.access import Access
from chassis.context import Caller
from chassis.errors import ScopeMissing, TokenInvalid, TokenMissing
from chassis.interceptors.around import AroundInterceptor, Call, Context
from chassis.tls import Identities
from chassis.tokens import Verifier

SCHEME = "bearer "


class AuthInterceptor(AroundInterceptor):
    """Lets a call pass if its token has one of the scopes of its method.

    A call with no token at all may be that of a service that its connection's certificate names.
    """

    def __init__(
        self, verifier: Verifier, access: Access, identities: Identities | None = None
    ) -> None:
        """Check tokens with `verifier`, certificates with `identities`, and both with `access`.

        Without identities no certificate counts.
        """
        self._verifier = verifier
        self._access = access
        self._identities = identities

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Surround one call."""
        if call.method in self._access.open_methods:
            yield
            return
        caller = self._caller(call.context)
        call_context.set_caller(caller)
        scopes = self._access.scopes_of(call.method)
        if not any(caller.has(scope) for scope in scopes):
            raise ScopeMissing(scopes)
        yield

    def _caller(self, context: Context) -> Caller:
        value = dict(context.invocation_metadata() or ()).get("authorization")
        if value is None and self._identities is not None:
            known = self._identities.caller(context.auth_context())
            if known is not None:
                return known
        # Whatever it is that came as a token counts for itself, or for nothing.
        caller = self._verifier.verify(_token(value))
        if self._identities is not None and self._identities.has(caller.user_id):
            # Who makes tokens may let people choose their names: this one is no person's.
            raise TokenInvalid
        return caller


def _token(value: object) -> str:
    if not isinstance(value, str) or not value.lower().startswith(SCHEME):
        raise TokenMissing
    return value[len(SCHEME) :].strip()
