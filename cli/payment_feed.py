"""The stream of what becomes of payments, through stops of the server."""

from collections.abc import Callable, Iterator

import grpc
from holdfast.payment.v1 import payment_pb2 as pb

from cli import calls

# Between two tries to reach a server that stopped: doubled up to the most, and the first one
# again once an event has come.
RETRY_FIRST_S = 0.5
RETRY_MOST_S = 8.0
GONE = "the server stopped; waiting for it to come back"
BACK = "the server is back; going on where it was"


def follow(
    subscribe: Callable[[str], Iterator[pb.PaymentEvent]],
    cursor: str,
    is_back: Callable[[], bool],
    note: Callable[[str], None],
    sleep: Callable[[float], None],
) -> Iterator[pb.PaymentEvent]:
    """The events after a cursor, each once, without end.

    Raises:
        Refused: the stream cannot be had. That its server is away is no reason.
    """
    delay_s = RETRY_FIRST_S
    while True:
        try:
            for event in subscribe(cursor):
                delay_s = RETRY_FIRST_S
                if event.cursor != cursor:
                    yield event
                cursor = event.cursor
        except calls.Refused as refused:
            if refused.info.code is not grpc.StatusCode.UNAVAILABLE:
                raise
        note(GONE)
        back = False
        while not back:
            sleep(delay_s)
            delay_s = min(2 * delay_s, RETRY_MOST_S)
            back = is_back()
        note(BACK)
