"""The payment adapter as a generated blocking stub sees it, with its mock provider."""

from collections.abc import Awaitable, Callable

import pytest
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from support.client import As, refused
from support.databases import Databases
from support.payments import give_back, process, status
from support.tokens import auth_settings

from chassis.server import Hosted
from payment_svc.config import PaymentSettings
from payment_svc.wiring import wire


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[rpc.PaymentServiceStub]:
    return rpc.PaymentServiceStub


@pytest.fixture(scope="module")
def grpc_hosted() -> Callable[[Databases], Awaitable[Hosted]]:
    """The adapter as it is started, with a provider that declines by chance and at once."""

    async def make(databases: Databases) -> Hosted:
        settings = PaymentSettings(
            mock_database_url=await databases.empty(),
            mock_success_rate=0,
            mock_delay_min_s=0,
            mock_delay_max_s=0,
        )
        return await wire(settings, auth_settings(), await databases.fresh("payment_svc"))

    return make


@pytest.fixture
def caller(grpc_stub: rpc.PaymentServiceStub) -> As:
    return As(grpc_stub, "booking_svc", "payments")


def test_paid_and_given_back(caller: As) -> None:
    """A blocking stub pays with the test card that succeeds, gives it back, and finds it so."""
    paid = caller.ProcessPayment(process(booking="BK-9", card_number="4242424242424242"))
    refund = caller.RefundPayment(give_back(paid.payment_id))
    assert [status(paid), status(refund)] == ["SUCCESS", "REFUNDED"]
    page = caller.ListPayments(pb.ListPaymentsRequest(booking_reference="BK-9"))
    assert [status(one) for one in page.payments] == ["REFUNDED"]


@pytest.mark.parametrize("number", ["4000000000009995", "4111111111111111"])
def test_declined(caller: As, number: str) -> None:
    """A test card declines as documented, and any other by the rate of the settings."""
    failed = caller.ProcessPayment(process(card_number=number))
    assert status(failed) == "FAILED"
    assert failed.error_message.startswith("Payment declined: ")
    if number.endswith("9995"):
        assert failed.error_message.endswith("insufficient funds")


def test_a_refusal_reaches_a_blocking_stub(caller: As) -> None:
    """The reason and the facts of a refusal can be read from a blocking stub's error."""
    with refused("PAYMENT_NOT_FOUND", paymentId="pay_404"):
        caller.GetPayment(pb.GetPaymentRequest(payment_id="pay_404"))
