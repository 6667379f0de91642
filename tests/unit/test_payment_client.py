"""What the payment adapter says, as outcomes: nothing but a clear word is done or refused."""

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from google.type.decimal_pb2 import Decimal
from holdfast.payment.v1 import payment_pb2 as pb
from structlog.testing import capture_logs
from support.sagas import CARD

from booking_svc.clients.payments import CALLED_OFF, PAYMENTS_MAX, PaymentClient
from booking_svc.domain.outcome import Done, Pending, Refused, Unknown
from booking_svc.ports import ChargeOrder, Decision
from chassis.errors import CircuitOpen, DeadlineTooShort

REFERENCE = "BK-2026-BCDFGHJKLM"
ORDER = ChargeOrder(f"{REFERENCE}/charge", REFERENCE, "ann", 15000, "USD", CARD)
TIMEOUT_S = 30.0
Outcome = Done[str] | Refused | Pending | Unknown
STATES = ("PENDING", "SUCCESS", "FAILED", "REFUNDED", "PARTIALLY_REFUNDED", "CANCELLED")
DECLINED = {"error_code": "INSUFFICIENT_FUNDS", "error_message": "Payment declined"}


def payment(status: str | int, number: int = 1, refunded: str = "0.00", **more: Any) -> pb.Payment:
    return pb.Payment(
        payment_id=f"pay_{number}",
        status=status,
        amount=Decimal(value="150.00"),
        refunded_amount=Decimal(value=refunded),
        booking_reference=REFERENCE,
        **{"user_id": "ann", **more},
    )


class Wire:
    """`Outgoing` that reaches nobody: it notes what is asked, and answers as told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, dict[str, Any]]] = []

    async def call(self, _method: Any, request: Any, **options: Any) -> Any:
        self.asked.append((request, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def stream(self, _method: Any, request: Any) -> Any:
        self.asked.append((request, {}))
        for one in self.answer:
            yield one


async def client(answer: Any) -> tuple[PaymentClient, Wire]:
    wire = Wire(answer)
    async with grpc.aio.insecure_channel("nobody") as channel:
        return PaymentClient(channel, wire, TIMEOUT_S), wire


async def charged(answer: Any) -> Outcome:
    payments, _ = await client(answer)
    with capture_logs():
        return await payments.charge(ORDER)


async def found(answer: Any) -> Outcome | None:
    payments, _ = await client(answer)
    with capture_logs():
        return await payments.find(REFERENCE, "ann")


async def cancelled(answer: Any) -> Outcome:
    payments, _ = await client(answer)
    with capture_logs():
        return await payments.cancel(REFERENCE, "SEATS_LOST")


def failure(code: grpc.StatusCode, reason: str = "") -> grpc.aio.AioRpcError:
    """A failed call, with a reason of ours if one is given."""
    status = status_pb2.Status(code=code.value[0], message="no")
    if reason:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="holdfast"))
        status.details.append(detail)
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="no")


EXPECTED = {
    "SUCCESS": Done("pay_1"),
    "PENDING": Pending("pay_1"),
    "FAILED": Refused(
        "PAYMENT_FAILED",
        "Payment declined",
        {"paymentId": "pay_1", "errorCode": "INSUFFICIENT_FUNDS"},
    ),
    "REFUNDED": Refused("PAYMENT_FAILED", CALLED_OFF, {"paymentId": "pay_1"}),
    "PARTIALLY_REFUNDED": Done("pay_1"),
    "CANCELLED": Refused("PAYMENT_FAILED", CALLED_OFF, {"paymentId": "pay_1"}),
}


@pytest.mark.parametrize("state", STATES)
async def test_a_payment_as_the_outcome_of_a_charge(state: str) -> None:
    """Money that was taken is done; what is decided against, or was called off, is refused."""
    answer = payment(state, **(DECLINED if state == "FAILED" else {}))
    assert await charged(answer) == EXPECTED[state]
    assert await found(pb.ListPaymentsResponse(payments=[answer])) == EXPECTED[state]


@pytest.mark.parametrize("state", [0, 99], ids=["unspecified", "newer"])
async def test_a_state_that_nobody_knows_is_no_refusal(state: int) -> None:
    """A payment in a state that this program does not know may hold money: it is unknown."""
    unknown = Unknown(f"pay_1 has status {state}")
    assert await charged(payment(state)) == unknown
    assert await found(pb.ListPaymentsResponse(payments=[payment(state)])) == unknown


async def test_what_a_charge_says() -> None:
    """A charge names the sum, the booking, its user and the card, under our own key."""
    payments, wire = await client(payment("SUCCESS"))
    await payments.charge(ORDER)
    ((request, options),) = wire.asked
    assert options == {"timeout_s": TIMEOUT_S, "idempotency_key": ORDER.key}
    assert (request.amount.value, request.currency) == ("150.00", "USD")
    assert (request.booking_reference, request.user_id) == (REFERENCE, "ann")
    method = request.payment_method
    assert (method.type, method.card_number, method.cvv) == (1, CARD.number, CARD.cvv)
    assert (method.expiry_month, method.expiry_year) == (CARD.expiry_month, CARD.expiry_year)


async def test_a_charge_that_cannot_be_understood() -> None:
    """A charge that the payment adapter finds invalid was not taken: it is refused."""
    outcome = await charged(failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (failure(grpc.StatusCode.DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED"),
        (failure(grpc.StatusCode.UNAVAILABLE), "UNAVAILABLE"),
        (failure(grpc.StatusCode.INTERNAL, "INTERNAL"), "INTERNAL INTERNAL"),
        (failure(grpc.StatusCode.CANCELLED), "CANCELLED"),
        (
            failure(grpc.StatusCode.ABORTED, "IDEMPOTENCY_KEY_IN_USE"),
            "ABORTED IDEMPOTENCY_KEY_IN_USE",
        ),
        (
            failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
            "RESOURCE_EXHAUSTED OVERLOADED",
        ),
        (failure(grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"), None),
        (failure(grpc.StatusCode.NOT_FOUND, "PAYMENT_NOT_FOUND"), None),
        (CircuitOpen("payments", 1), "circuit open"),
    ],
)
async def test_what_is_no_clear_word_is_unknown(error: Exception, cause: str | None) -> None:
    """A call that ends without a word about the payment leaves it unknown, whatever the call."""
    for outcome in (await charged(error), await found(error), await cancelled(error)):
        assert isinstance(outcome, Unknown)
        assert cause is None or outcome.cause == cause


async def test_an_invalid_field_is_no_word_about_an_older_charge() -> None:
    """A refused question or cancellation says nothing of the payment: only a charge is refused."""
    error = failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert isinstance(await found(error), Unknown)
    assert isinstance(await cancelled(error), Unknown)


async def test_too_little_time_is_the_callers_error() -> None:
    """A call for which there is no time left is not made, and the runner is told."""
    with pytest.raises(DeadlineTooShort):
        await charged(DeadlineTooShort())


async def test_a_payment_that_never_was() -> None:
    """A booking without payments has no charge; with several, the first that was made is its."""
    assert await found(pb.ListPaymentsResponse()) is None
    newest_first = [payment("FAILED", 3), payment("PENDING", 2), payment("SUCCESS", 1)]
    payments, wire = await client(pb.ListPaymentsResponse(payments=newest_first))
    assert await payments.find(REFERENCE, "ann") == Done("pay_1")
    ((request, options),) = wire.asked
    assert (request.booking_reference, request.page_size) == (REFERENCE, PAYMENTS_MAX)
    assert options == {"timeout_s": TIMEOUT_S}


async def test_a_payment_of_somebody_else() -> None:
    """What others paid in a booking's name is not its charge, older or newer than that."""
    theirs = [payment("SUCCESS", number, user_id="bob") for number in (3, 1)]
    assert await found(pb.ListPaymentsResponse(payments=theirs)) is None
    among = [theirs[0], payment("FAILED", 2, **DECLINED), theirs[1]]
    outcome = await found(pb.ListPaymentsResponse(payments=among))
    assert isinstance(outcome, Refused)
    assert outcome.metadata["paymentId"] == "pay_2"


NO_REFUND = Refused("PAYMENT_NOT_REFUNDABLE", "the provider refused the refund")


@pytest.mark.parametrize(
    ("left", "outcome"),
    [
        ([], Done("CANCELLED")),
        ([payment("CANCELLED")], Done("CANCELLED")),
        ([payment("FAILED")], Done("FAILED")),
        ([payment("REFUNDED")], Done("REFUNDED")),
        ([payment("FAILED", 2), payment("REFUNDED")], Done("REFUNDED")),
        ([payment("FAILED", 2), payment("CANCELLED")], Done("CANCELLED")),
        ([payment("PENDING")], Unknown("pay_1 is not called off yet")),
        ([payment("SUCCESS", refunded="150.00")], Pending("pay_1")),
        ([payment("PARTIALLY_REFUNDED", refunded="150.00")], Pending("pay_1")),
        ([payment("SUCCESS")], NO_REFUND),
        ([payment("SUCCESS", refunded="149.99")], NO_REFUND),
        ([payment("PARTIALLY_REFUNDED", refunded="1.00")], NO_REFUND),
        ([payment("REFUNDED", 2), payment("SUCCESS", refunded="150.0")], Pending("pay_1")),
        ([payment("REFUNDED", 2), payment("SUCCESS")], NO_REFUND),
        ([payment("FAILED", 2), payment("PENDING")], Unknown("pay_1 is not called off yet")),
    ],
)
async def test_what_is_left_of_a_cancelled_payment(
    left: list[pb.Payment], outcome: Outcome
) -> None:
    """A payment is given back when none of the booking's payments holds money, and not before."""
    assert await cancelled(pb.CancelPaymentResponse(payments=left)) == outcome


async def test_what_a_cancellation_says() -> None:
    """A cancellation names the booking and why, and needs no key: its effect is what it asks."""
    payments, wire = await client(pb.CancelPaymentResponse())
    await payments.cancel(REFERENCE, "SEATS_LOST")
    request = pb.CancelPaymentRequest(booking_reference=REFERENCE, reason="SEATS_LOST")
    assert wire.asked == [(request, {"timeout_s": TIMEOUT_S})]


async def test_payments_that_change() -> None:
    """Every event but PENDING is a decision, and the cursor is handed through."""
    events = [pb.PaymentEvent(cursor=state, payment=payment(state)) for state in STATES]
    payments, wire = await client(events)
    decisions = [one async for one in payments.decisions("from")]
    assert decisions == [Decision(state, REFERENCE, state != "PENDING") for state in STATES]
    assert wire.asked == [(pb.StreamPaymentEventsRequest(cursor="from"), {})]
