"""What happens around every call, outermost first.

receiving → observation → errors → admission → deadline → auth → parsing → validation → streams
→ the servicer
"""

import asyncio
from collections.abc import Sequence

import grpc.aio

from chassis.interceptors.admission import AdmissionInterceptor
from chassis.interceptors.auth import AuthInterceptor
from chassis.interceptors.deadline import DeadlineInterceptor
from chassis.interceptors.errors import ErrorInterceptor
from chassis.interceptors.observation import ObservationInterceptor
from chassis.interceptors.parsing import ParsingInterceptor
from chassis.interceptors.receiving import ReceivingInterceptor
from chassis.interceptors.streams import StreamInterceptor
from chassis.interceptors.validation import ValidationInterceptor


def standard(
    admission: AdmissionInterceptor,
    auth: AuthInterceptor,
    stopping: asyncio.Event,
    open_methods: frozenset[str],
) -> Sequence[grpc.aio.ServerInterceptor]:
    """The interceptors of every server, in their order.

    Streams end when `stopping` is set. `open_methods` need no token.
    """
    return (
        ReceivingInterceptor(open_methods),
        ObservationInterceptor(),
        ErrorInterceptor(),
        admission,
        DeadlineInterceptor(),
        auth,
        ParsingInterceptor(),
        ValidationInterceptor(),
        StreamInterceptor(stopping),
    )
