"""What happens around every call, outermost first.

calllog → errors → deadline → auth → parsing → validation → the servicer
"""

from collections.abc import Mapping, Sequence

import grpc.aio

from chassis.interceptors.auth import AuthInterceptor
from chassis.interceptors.calllog import CallLogInterceptor
from chassis.interceptors.deadline import DeadlineInterceptor
from chassis.interceptors.errors import ErrorInterceptor
from chassis.interceptors.parsing import ParsingInterceptor
from chassis.interceptors.validation import ValidationInterceptor
from chassis.tokens import Verifier


def standard(
    verifier: Verifier, scopes: Mapping[str, frozenset[str]]
) -> Sequence[grpc.aio.ServerInterceptor]:
    """The interceptors of every server, in their order."""
    return (
        CallLogInterceptor(),
        ErrorInterceptor(),
        DeadlineInterceptor(),
        AuthInterceptor(verifier, scopes),
        ParsingInterceptor(),
        ValidationInterceptor(),
    )
